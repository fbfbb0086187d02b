package rest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Bounds of a subscription's texts, in bytes, and of its metadata. They are replicated and, but for the texts, pushed.
const (
	maxText     = 4 << 10
	maxMetadata = 25
)

// subscriptionBody is what a client says of a subscription; has tells which members it gave.
type subscriptionBody struct {
	management.NewSubscription
	has      map[string]bool
	at       string // pointer to the entrypoint's configuration, in the form that was sent
	warnings apidef.Problems
}

// subscriptionMembers are those that a body may have; the others of an answer are taken back without a word.
var (
	subscriptionMembers = []string{"id", "plan", "planId", "application", "applicationId", "request", "metadata", "consumerConfiguration",
		"configuration", "startingAt", "endingAt", "origin"}
	subscriptionAnswered = []string{"api", "type", "status", "consumerStatus", "failureCause", "reason", "createdAt", "updatedAt", "processedAt",
		"closedAt", "pausedAt", "consumerPausedAt", "subscribedBy", "processedBy", "replays", "workers"}
)

// decodeSubscription reads a body as JSON or YAML, with the names of 3.20 and of 4.x.
func decodeSubscription(body []byte) (*subscriptionBody, error) {
	text, err := asJSON(body, "subscription")
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, problem(http.StatusBadRequest, apidef.CodeMalformed, "The body must be one subscription, as a JSON or YAML object")
	}
	b := &subscriptionBody{has: map[string]bool{}, at: "/consumerConfiguration/entrypointConfiguration"}
	var found apidef.Problems
	read := func(name string, into any, want string) {
		raw, ok := members[name]
		if !ok {
			return
		}
		b.has[name] = true
		if err := json.Unmarshal(raw, into); err != nil {
			found = append(found, bad("/"+name, "must be "+want))
		}
	}
	for _, alias := range [][2]string{{"plan", "planId"}, {"application", "applicationId"}} {
		if _, given := members[alias[1]]; !given && members[alias[0]] != nil {
			members[alias[1]] = members[alias[0]]
		}
	}
	read("id", &b.ID, "a text")
	read("planId", &b.Plan, "a text")
	read("applicationId", &b.Application, "a text")
	read("request", &b.Request, "a text")
	read("origin", &b.Origin, "a text")
	read("metadata", &b.Metadata, "an object of texts")
	read("startingAt", &b.StartingAt, "a time, e.g. 2026-11-22T10:00:00Z")
	read("endingAt", &b.EndingAt, "a time, e.g. 2026-11-22T10:00:00Z")
	read("consumerConfiguration", &b.ConsumerConfiguration, "an object with entrypointId and entrypointConfiguration")
	if _, given := members["consumerConfiguration"]; !given {
		found = append(found, b.readFlat(members["configuration"])...)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(subscriptionMembers, name) && !slices.Contains(subscriptionAnswered, name) {
			found = append(found, bad("/"+name, "is no member of a subscription; choose of: "+strings.Join(subscriptionMembers, ", ")))
		}
	}
	if found = append(found, b.check()...); len(found) > 0 {
		return nil, invalid(http.StatusBadRequest, "", found)
	}
	return b, nil
}

// readFlat reads the configuration as 3.20 has it: an object, or one as text, with the entrypoint's settings beside its name.
func (b *subscriptionBody) readFlat(raw json.RawMessage) apidef.Problems {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	b.at = "/configuration"
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		raw = json.RawMessage(text)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil {
		return apidef.Problems{bad(b.at, `must be an object as JSON text, e.g. "{\"entrypointId\":\"webhook\",\"callbackUrl\":\"https://example.com\"}"`)}
	}
	c := &management.ConsumerConfiguration{}
	for name, into := range map[string]*string{"entrypointId": &c.EntrypointID, "channel": &c.Channel} {
		if value, ok := members[name]; ok {
			if err := json.Unmarshal(value, into); err != nil {
				return apidef.Problems{bad(b.at+"/"+name, "must be a text")}
			}
			delete(members, name)
		}
	}
	if nested, ok := members["entrypointConfiguration"]; ok { // the form of 4.x, as text
		c.EntrypointConfiguration, b.at = nested, b.at+"/entrypointConfiguration"
	} else {
		c.EntrypointConfiguration, _ = json.Marshal(members) //nolint:errchkjson // raw members were read as JSON
	}
	b.ConsumerConfiguration, b.has["consumerConfiguration"] = c, true
	return nil
}

// check holds the body against what needs no API.
func (b *subscriptionBody) check() (found apidef.Problems) {
	if b.ID != "" && !goodID.MatchString(b.ID) {
		found = append(found, bad("/id", "must be at most 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"))
	}
	if b.Origin != "" && b.Origin != originManagement && b.Origin != "KUBERNETES" {
		found = append(found, bad("/origin", "must be MANAGEMENT or KUBERNETES"))
	}
	for _, t := range []struct{ at, text string }{{"/request", b.Request}, {"/applicationId", b.Application}} {
		if len(t.text) > maxText || strings.ContainsRune(t.text, 0) {
			found = append(found, bad(t.at, "must be at most 4 KiB of text"))
		}
	}
	if len(b.Metadata) > maxMetadata {
		found = append(found, bad("/metadata", "must have at most 25 members"))
	}
	for name, value := range b.Metadata {
		if len(name)+len(value) > maxText {
			found = append(found, bad("/metadata/"+escape(name), "must be at most 4 KiB of text"))
		}
	}
	if b.StartingAt != nil && b.EndingAt != nil && !b.EndingAt.After(*b.StartingAt) {
		found = append(found, bad("/endingAt", "must be after startingAt"))
	}
	return found
}

// consumer checks how the subscription is to be delivered, and puts the secrets back that the client sent masked.
func (s *Server) consumer(a *fsm.API, b *subscriptionBody, stored fsm.Consumer) (*command.Consumer, error) {
	c := b.ConsumerConfiguration
	if c == nil {
		return &command.Consumer{EntrypointId: stored.EntrypointID, Channel: stored.Channel, Configuration: stored.Configuration}, nil
	}
	out := &command.Consumer{EntrypointId: c.EntrypointID, Channel: c.Channel}
	if c.EntrypointID == "" {
		return out, nil // the state machine says so
	}
	kinds, err := subscriptionEntrypoints(a)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(b.at, "/entrypointConfiguration") + "/entrypointId"
	if !slices.Contains(kinds, c.EntrypointID) {
		message := "is no subscription entrypoint of this API; choose one of: " + strings.Join(kinds, ", ")
		if len(kinds) == 0 {
			message = "is no entrypoint of this API, which has no subscription listener; add one with that entrypoint to its definition"
		}
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad(name, message)})
	}
	if len(c.Channel) > maxText {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad(strings.TrimSuffix(name, "entrypointId")+"channel", "must be at most 4 KiB of text")})
	}
	cfg, found, err := unmasked(c.EntrypointConfiguration, stored.Configuration)
	if err != nil {
		return nil, err
	}
	if len(cfg) == 0 || string(cfg) == "null" {
		cfg = json.RawMessage("{}")
	}
	if len(found) == 0 {
		var known bool
		if found, known = s.deps.CheckSubscription(c.EntrypointID, cfg); !known {
			return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad(name, "is no entrypoint that this version can push to")})
		}
	}
	for i := range found {
		found[i].Pointer = b.at + found[i].Pointer
	}
	if len(found.Errors()) > 0 {
		return nil, invalid(http.StatusBadRequest, "", found)
	}
	b.warnings = found.Warnings()
	out.Configuration = cfg
	return out, nil
}

// subscriptionEntrypoints lists the types of the entrypoints that push.
func subscriptionEntrypoints(a *fsm.API) (types []string, err error) {
	api, err := compose(a, func(*fsm.Plan) bool { return false })
	if err != nil {
		return nil, err
	}
	for _, l := range api.Listeners {
		if l.Type != apidef.ListenerSubscription {
			continue
		}
		for _, e := range l.Entrypoints {
			types = append(types, e.Type)
		}
	}
	return types, nil
}

func bad(pointer, message string) apidef.Problem {
	return apidef.Problem{Pointer: pointer, Code: management.CodeDataInvalid, Severity: apidef.Error, Message: message}
}

const originManagement = "MANAGEMENT"

// put is the change that a body asks for, on top of what is stored; old is nil for a new subscription.
func (s *Server) putSubscription(a *fsm.API, b *subscriptionBody, old *fsm.Subscription) (*command.PutSubscription, error) {
	put := &command.PutSubscription{ApiId: a.ID}
	was := fsm.Subscription{}
	if old != nil {
		was = *old
		put.SubscriptionId, put.ExpectVersion = old.ID, old.Version
	}
	var err error
	if put.Consumer, err = s.consumer(a, b, was.Consumer); err != nil {
		return nil, err
	}
	put.Metadata, put.StartingAtMs, put.EndingAtMs = was.Metadata, was.StartingAtMS, was.EndingAtMS
	if b.has["metadata"] {
		put.Metadata = b.Metadata
	}
	if b.has["startingAt"] {
		put.StartingAtMs = millis(b.StartingAt)
	}
	if b.has["endingAt"] {
		put.EndingAtMs = millis(b.EndingAt)
	}
	if put.GetEndingAtMs() != 0 && put.GetEndingAtMs() <= put.GetStartingAtMs() {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/endingAt", "must be after startingAt")})
	}
	put.Request, put.Application, put.PlanId = b.Request, b.Application, b.Plan
	put.Origin = cmp.Or(b.Origin, originManagement)
	return put, nil
}

// millis is a time in milliseconds since 1970, 0 for none.
func millis(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}
