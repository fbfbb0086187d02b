package flow_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// grouped is a step that stands for steps, with more members where given, as JSON.
func grouped(more string, steps ...string) string {
	return `{"policy":"shared-policy-group-policy","configuration":{"sharedPolicyGroupId":"g","steps":[` + strings.Join(steps, ",") + `]}` + more + `}`
}

// TestGroup_Runs: the steps of a group run in its place, and its condition is asked once, whatever they change.
func TestGroup_Runs(t *testing.T) {
	t.Parallel()
	const fresh = `,"condition":"{#response.headers['X-Ran'] == null}"`
	s := newStage(t).flows(`[{
"request":[` + tag("1") + `,` + grouped("", tag("2"), tag("3")) + `,` + grouped(`,"condition":"{#request.method == 'GET'}"`, tag("get"), tag("get2")) + `,` + tag("4") + `]},
{"publish":[` + grouped(`,"messageCondition":"{#message.content == 'a'}"`, tag("1"), tag("2")) + `,` + grouped(`,"condition":"{#request.headers['x-who'] != null}"`, tag("w"), tag("x")) + `,` + tag("3") + `]}
]`).deploy()
	if got := ran(s.ask("POST", "/", "a,b")); got != "request 1, request 2, request 3, request 4" {
		t.Errorf("ran %s", got)
	}
	if got := ran(s.ask("GET", "/", "")); got != "request 1, request 2, request 3, request get, request get2, request 4" {
		t.Errorf("ran %s", got)
	}
	s.ask("POST", "/", "a", "X-Who", "me")
	if want := []string{"a123", "b3", "a12wx3"}; !slices.Equal(s.published, want) {
		t.Errorf("published %q, want %q", s.published, want)
	}

	s = newStage(t).flows(`[{"response":[` + grouped(fresh, tag("1"), tag("2")) + `,` + grouped(fresh, tag("3")) + `]}]`).deploy()
	if got := ran(s.ask("POST", "/", "")); got != "response 1, response 2" {
		t.Errorf("ran %s", got)
	}
}

func TestGroup_Refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ step, want string }{
		"not resolved": {`{"policy":"shared-policy-group-policy","configuration":{"sharedPolicyGroupId":"g"}}`, "/flows/0/request/0/configuration the steps of the shared policy group are missing"},
		"no id":        {`{"policy":"shared-policy-group-policy"}`, "/flows/0/request/0/configuration must hold the id"},
		"nested":       {grouped("", grouped("")), "/flows/0/request/0 a shared policy group cannot contain groups"},
		"inner policy": {grouped("", `{"policy":"nope"}`), `/flows/0/request/0/configuration/steps/0/policy policy "nope" is not served`},
		"failure mode": {grouped(`,"failureMode":"skip"`), "/flows/0/request/0/failureMode"},
		"condition":    {grouped(`,"condition":"{#request.}"`), "/flows/0/request/0/condition is no expression"},
	} {
		def := planetest.API("/a/", "http-post")
		if err := json.Unmarshal([]byte(`[{"request":[`+c.step+`]}]`), &def.Flows); err != nil {
			t.Fatal(err)
		}
		cfg := planetest.Config(nil, nil, nil)
		cfg.Policies = policies.List()
		_, err := flow.New(cfg, flow.Deployment{ID: "a", API: def})
		ps, _ := err.(apidef.Problems)
		if len(ps) == 0 || !strings.HasPrefix(ps[0].Pointer+" "+ps[0].Message, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	// Where a definition is only checked, the steps may come later.
	def := planetest.API("/a/", "http-post")
	def.Flows = []apidef.Flow{{Request: []apidef.Step{{SharedPolicyGroupRef: json.RawMessage(`{"name":"g"}`)}}}}
	if found := flow.Check(planetest.Config(nil, nil, nil), flow.Deployment{ID: "a", API: def}); len(found.Errors()) > 0 {
		t.Errorf("checked: %v", found)
	}
}

// TestGroup_Trial: a trial asks the conditions of a group as a worker does, and says that they were not met.
func TestGroup_Trial(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{
"request":[` + grouped(`,"condition":"{#request.headers['x-who'] != null}"`, tag("r1"), tag("r2")) + `],
"subscribe":[` + grouped(`,"messageCondition":"{#message.content == 'a'}"`, tag("1"), tag("2")) + `,` + tag("3") + `]}]`)
	cfg := planetest.Config(nil, nil, nil)
	cfg.Policies = policies.List(policies.Type{ID: "tag", Phases: policies.Request | policies.Subscribe,
		Compile: func(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
			p := &tagPolicy{runs: &s.runs}
			return p, settings.Decode(cfg, p)
		}})
	trial, err := flow.NewTrial(t.Context(), cfg, flow.Deployment{ID: "a", API: s.def}, flow.TrialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer trial.Close()
	for _, did := range trial.Before {
		if !strings.Contains(did.Reason, "the condition of its shared policy group") {
			t.Errorf("before: %+v", did)
		}
	}
	for content, want := range map[string]string{"a": "a123", "b": "b3"} {
		r := trial.Run(t.Context(), message.Message{Content: []byte(content)})
		if string(r.Out.Content) != want || len(trial.Before) != 2 || len(r.Steps) != 3 {
			t.Errorf("%s became %q by %+v", content, r.Out.Content, r.Steps)
		}
	}
}
