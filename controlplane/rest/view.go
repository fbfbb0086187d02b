package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// apiBody is a management.API as it is written: the definition goes out through apidef's encoder, which puts members
// that no dialect defines back where they stood.
type apiBody struct{ json json.RawMessage }

// MarshalJSON writes what was composed.
func (b apiBody) MarshalJSON() ([]byte, error) { return b.json, nil }

// Schema describes it as a management.API.
func (apiBody) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[management.API](), true, "API")
}

// extras are what an answer adds to a definition beside the record.
type extras struct {
	warnings apidef.Problems
	rollout  *management.Rollout
}

// viewAPI composes the answer for a record.
func viewAPI(a *fsm.API, more extras) (apiBody, error) {
	definition, err := compose(a, func(*fsm.Plan) bool { return false })
	if err != nil {
		return apiBody{}, err
	}
	text, err := apidef.Encode(definition, apidef.Gateway)
	if err != nil {
		return apiBody{}, fmt.Errorf("encode API %s: %w", a.ID, err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &members); err != nil {
		return apiBody{}, fmt.Errorf("encode API %s: %w", a.ID, err)
	}
	plans := []management.Plan{}
	for _, p := range a.Plans {
		plan, err := viewPlan(a, p)
		if err != nil {
			return apiBody{}, err
		}
		plans = append(plans, plan)
	}
	stale, err := outOfSync(a)
	if err != nil {
		return apiBody{}, err
	}
	add := map[string]any{
		"organizationId": a.Organization, "environmentId": a.Environment, "state": stateOf(a), "lifecycleState": a.Lifecycle,
		"visibility": a.Visibility, "createdAt": at(a.CreatedAtMS), "updatedAt": at(a.UpdatedAtMS), "plans": plans,
		"deploymentState": map[bool]string{true: management.NeedRedeploy, false: management.Deployed}[stale],
	}
	if d := a.Deployed; d != nil {
		add["deployedAt"], add["deployment"] = at(d.AtMS), viewDeployment(d)
	}
	if len(more.warnings) > 0 {
		add["warnings"] = more.warnings
	}
	if more.rollout != nil {
		add["rollout"] = more.rollout
	}
	for name, v := range add {
		if members[name], err = json.Marshal(v); err != nil {
			return apiBody{}, fmt.Errorf("encode %s of API %s: %w", name, a.ID, err)
		}
	}
	return apiBody{writeMembers(members)}, nil
}

// firstMembers are what a reader wants to see first.
var firstMembers = []string{"id", "crossId", "name", "description", "type", "apiVersion", "definitionVersion", "state", "lifecycleState", "visibility", "deploymentState"}

// writeMembers writes an object with firstMembers first and the others by name.
func writeMembers(members map[string]json.RawMessage) json.RawMessage {
	names := slices.Clone(firstMembers)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(firstMembers, name) {
			names = append(names, name)
		}
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, name := range names {
		v, ok := members[name]
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil { // text always encodes
			continue
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func viewPlan(a *fsm.API, p *fsm.Plan) (management.Plan, error) {
	plan, _, err := composePlan(p)
	if err != nil {
		return management.Plan{}, err
	}
	return management.Plan{
		Plan: plan, API: a.ID, CreatedAt: at(p.CreatedAtMS), UpdatedAt: at(p.UpdatedAtMS), PublishedAt: maybe(p.PublishedAtMS), ClosedAt: maybe(p.ClosedAtMS),
	}, nil
}

func viewDeployment(d *fsm.Deployed) *management.Deployment {
	return &management.Deployment{Revision: d.Revision, Number: d.Number, Label: d.Label, Actor: d.Actor, At: at(d.AtMS)}
}

func stateOf(a *fsm.API) string {
	if a.Started {
		return management.StateStarted
	}
	return management.StateStopped
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

// etag is a record's version as clients hold it: strong, since any change of the record makes another.
func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }
