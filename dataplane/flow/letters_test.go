package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/message"
)

// burying is a flow whose one step makes dead letters of the phase's messages that fail: those with offset 2.
func burying(phase string) string {
	return fmt.Sprintf(`[{%q:[{"policy":"tag","failureMode":"dead-letter","configuration":{"name":"+","failAt":2}}]}]`, phase)
}

// TestLetters_NeedAnEndpoint: what could fail to be kept later is refused when the API is built.
func TestLetters_NeedAnEndpoint(t *testing.T) {
	t.Parallel()
	const push = "/plans/0/flows/0/subscribe/0/failureMode"
	for _, c := range []struct {
		name, flows string
		plan        bool
		dlq         []string // of http-post and sse
		want        string
	}{
		{"publish without", burying("publish"), false, []string{"", "late"}, "/flows/0/publish/0/failureMode"},
		{"publish with", burying("publish"), false, []string{"late", ""}, ""},
		{"subscribe without", burying("subscribe"), false, []string{"late", ""}, "/flows/0/subscribe/0/failureMode"},
		{"subscribe with", burying("subscribe"), false, []string{"", "letters"}, ""},
		{"of a plan", burying("subscribe"), true, []string{"late", ""}, push},
		{"both without", burying("publish") + burying("subscribe"), false, []string{"", ""}, "/flows/0/publish/0/failureMode, /flows/1/subscribe/0/failureMode"},
		{"no step needs one", `[]`, false, []string{"late", ""}, "/listeners/0/entrypoints/0/dlq"},
		{"disabled step", `[{"subscribe":[{"enabled":false,"policy":"tag","failureMode":"dead-letter"}]}]`, false, []string{"", ""}, ""},
	} {
		def := withLetters("late")
		def.Listeners, def.Plans = planetest.API("/a/", "http-post", "sse").Listeners, planetest.API("/a/").Plans
		for i, name := range c.dlq {
			if name != "" {
				def.Listeners[0].Entrypoints[i].DLQ = &apidef.DLQ{Endpoint: name}
			}
		}
		into := &def.Flows
		if c.plan {
			into = &def.Plans[0].Flows
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(c.flows, "][", ",")), into); err != nil {
			t.Fatal(err)
		}
		cfg := lettersConfig(&planetest.Dispatcher{}, new([]string))
		cfg.Policies = policies.List(policies.Type{ID: "tag", Phases: policies.PerMessage, Compile: func(json.RawMessage, policies.Env) (any, apidef.Problems) { return &tagPolicy{}, nil }})
		if got := pointers(flow.Check(cfg, flow.Deployment{ID: "a", API: def}).Errors()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestLetters_OfSubscribers: a message that failed counts as done when the endpoint of dead letters has it, and never before.
func TestLetters_OfSubscribers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level   string
		refuses error
		want    string // what the subscriber got, what became of its stream, what the endpoint was told
	}{
		{"auto", nil, "0+ 1+ 3+ <nil>; through 0, through 1, through 3"},
		{"at-least-once", nil, "0+ 1+ 3+ <nil>; ack 0, ack 1, ack 2, ack 3"},
		{"auto", errors.New("full"), "0+ 1+ dead letter of no (TEAPOT): policy tag: refused: full; through 0, through 1"},
		{"at-least-once", errors.New("full"), "0+ 1+ dead letter of no (TEAPOT): policy tag: refused: full; ack 0, ack 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t).flows(burying("subscribe"))
			s.def.Listeners[0].Entrypoints[1].DLQ = &apidef.DLQ{Endpoint: "only"}
			s.refuses = c.refuses
			sub, r := s.on(c.level, newTopic(4), 0)()
			got, end := []string{}, error(nil)
			for range 8 {
				var out []message.Message
				if out, end = sub.Poll(10); end != nil {
					break
				}
				for i := range out {
					got = append(got, string(out[i].Content))
					if c.level == "auto" {
						sub.DeliveredThrough(&out[i])
					} else {
						sub.Acknowledge(&out[i])
					}
				}
				synctest.Wait()
			}
			slices.Sort(r.reported) // what is dropped is acknowledged alone, before or after what was handed out
			if line := fmt.Sprintf("%s %v; %s", strings.Join(got, " "), end, strings.Join(r.reported, ", ")); line != c.want {
				t.Errorf("%s, endpoint says %v:\ngot  %s\nwant %s", c.level, c.refuses, line, c.want)
			}
			if !slices.Equal(s.published, []string{"2"}) {
				t.Errorf("dead letters %q, want the message as it was", s.published)
			}
			sub.Close(context.Background())
		})
	}
}

// TestLetters_OfPublishers: the publisher is told what became of its message at the endpoint of dead letters.
func TestLetters_OfPublishers(t *testing.T) {
	t.Parallel()
	for _, refuses := range []error{nil, errors.New("full")} {
		s := newStage(t).flows(`[{"publish":[{"policy":"json-validation","failureMode":"dead-letter","configuration":{"schema":"{}"}}]}]`)
		s.def.Listeners[0].Entrypoints[0].DLQ = &apidef.DLQ{Endpoint: "only"}
		s.refuses = refuses
		s.deploy().ask("POST", "/", "no json")
		if s.err != refuses || !slices.Equal(s.published, []string{"no json"}) {
			t.Errorf("told %v, want %v; published %q", s.err, refuses, s.published)
		}
	}
}
