package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// groups is where the environment's shared policy groups are.
func (s *server) groups() string {
	return strings.TrimSuffix(s.root, "/v4/apis") + "/shared-policy-groups"
}

func groupBody(id, phase string, policies ...string) string {
	steps := []map[string]any{}
	for _, p := range policies {
		steps = append(steps, map[string]any{"name": p, "policy": p})
	}
	b, _ := json.Marshal(map[string]any{"id": id, "name": "Group " + id, "apiType": "MESSAGE", "phase": phase, "steps": steps})
	return string(b)
}

// refer is a flow whose steps refer to groups.
func refer(phase string, groups ...string) map[string]any {
	var steps []any
	for _, g := range groups {
		steps = append(steps, map[string]any{"policy": apidef.PolicySharedGroup, "configuration": map[string]any{"sharedPolicyGroupId": g}})
	}
	return map[string]any{"flows": []any{map[string]any{phase: steps}}}
}

// deployed is the definition that workers get of an API.
func (s *server) deployed(id string) *apidef.API {
	s.t.Helper()
	api := &apidef.API{}
	if err := json.Unmarshal(s.r.State().API(id).Deployed.Definition, api); err != nil {
		s.t.Fatal(err)
	}
	return api
}

func policiesOf(t *testing.T, s apidef.Step) string {
	t.Helper()
	g, _, err := s.SharedGroup()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, inner := range g.Steps {
		names = append(names, inner.Policy)
	}
	return strings.Join(names, " ")
}

func TestGroups_FromSaveToRedeployment(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("POST", s.groups(), groupBody("auth", "REQUEST", "one")).want(t, 201, "")
	if a.body["lifecycleState"] != management.GroupUndeployed || a.body["phase"] != "REQUEST" || !strings.HasSuffix(a.Header().Get("Location"), "/shared-policy-groups/auth") {
		t.Errorf("created %s at %s", a.Body, a.Header().Get("Location"))
	}
	id := s.created()
	flows := refer("request", "auth")
	steps := flows["flows"].([]any)[0].(map[string]any)["request"].([]any)
	flows["flows"].([]any)[0].(map[string]any)["request"] = append(steps, map[string]any{"sharedPolicyGroupRef": map[string]any{"name": "Group auth"}, "condition": "{#request.method == 'GET'}"})

	a = s.do("PUT", s.root+"/"+id, definition(flows)).want(t, 200, "")
	if got := fmt.Sprint(a.body["warnings"]); !strings.Contains(got, "is not deployed") || !strings.Contains(got, "/flows/0/request/0/configuration") {
		t.Errorf("warnings %s", got)
	}
	a = s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 400, management.CodeAPINotDeployable)
	if !strings.Contains(a.Body.String(), `"/flows/0/request/1/sharedPolicyGroupRef"`) || !strings.Contains(a.Body.String(), "/shared-policy-groups/auth/deployments") {
		t.Errorf("refused with %s", a.Body)
	}
	s.do("POST", s.groups()+"/auth/deployments", "").want(t, 202, "")
	a = s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 200, "")
	if a.body["deploymentState"] != management.Deployed {
		t.Errorf("an API that was deployed with a group is %v", a.body["deploymentState"])
	}
	s.do("POST", s.root+"/"+id+"?action=START", "").want(t, 204, "")
	request := s.deployed(id).Flows[0].Request
	if len(request) != 2 || policiesOf(t, request[0]) != "one" || request[1].Policy != apidef.PolicySharedGroup || request[1].Condition == "" || policiesOf(t, request[1]) != "one" {
		t.Fatalf("deployed %+v", request)
	}

	a = s.do("PUT", s.groups()+"/auth", groupBody("auth", "REQUEST", "one", "two")).want(t, 200, "")
	if a.body["lifecycleState"] != management.GroupPending || fmt.Sprint(a.body["apis"]) != "["+id+"]" {
		t.Errorf("updated %s", a.Body)
	}
	s.do("PUT", s.root+"/"+id, definition(map[string]any{"description": "a draft", "listeners": at2("/draft")["listeners"]})).want(t, 200, "")
	a = s.do("POST", s.groups()+"/auth/deployments?wait=1s", "").want(t, 202, "")
	if a.Header().Get("Sluice-Revision") == "" || a.body["lifecycleState"] != management.GroupDeployed || a.body["version"] != 2.0 {
		t.Errorf("deployed %s, revision %q", a.Body, a.Header().Get("Sluice-Revision"))
	}
	api := s.deployed(id)
	if policiesOf(t, api.Flows[0].Request[0]) != "one two" || policiesOf(t, api.Flows[0].Request[1]) != "one two" {
		t.Errorf("redeployed %+v", api.Flows[0].Request)
	}
	if api.Listeners[0].Paths[0].Path != "/orders/" && api.Listeners[0].Paths[0].Path != "/orders" {
		t.Error("the group's deployment deployed a draft of the API")
	}
	if a := s.do("GET", s.root+"/"+id, "").want(t, 200, ""); a.body["deploymentState"] != management.NeedRedeploy {
		t.Errorf("with a draft the API is %v", a.body["deploymentState"])
	}
	s.do("DELETE", s.groups()+"/auth/deployments", "").want(t, 400, management.CodeGroupUsed)
	s.do("DELETE", s.groups()+"/auth", "").want(t, 400, management.CodeGroupUsed)
	s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 200, "") // the draft, which does without
	a = s.do("DELETE", s.groups()+"/auth/deployments", "").want(t, 202, "")
	if a.body["lifecycleState"] != management.GroupUndeployed {
		t.Errorf("undeployed %s", a.Body)
	}
	s.do("DELETE", s.groups()+"/auth", "").want(t, 204, "")
	s.do("GET", s.groups()+"/auth", "").want(t, 404, management.CodeGroupNotFound)
}

func TestGroups_Refused(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(_ *Config, d *Deps) {
		d.Deployable = func(api *apidef.API) apidef.Problems { // what the data plane would say of a policy's settings
			for place, step := range api.SharedGroups() {
				if g, _, err := step.SharedGroup(); err == nil && len(g.Steps) > 0 && g.Steps[0].Policy == "bad-here" {
					return apidef.Problems{{Pointer: place.Pointer + "/configuration/steps/0/policy", Code: "c", Severity: apidef.Error, Message: "cannot be"}}
				}
			}
			if len(api.Flows) > 0 && len(api.Flows[0].Request) > 0 && api.Flows[0].Request[0].Policy == "bad" {
				return apidef.Problems{{Pointer: "/flows/0/request/0/configuration/x", Code: "c", Severity: apidef.Error, Message: "is wrong"}}
			}
			return nil
		}
	})
	for name, c := range map[string]struct{ body, code, text string }{
		"no object":      {"[", apidef.CodeMalformed, "object"},
		"wrong kind":     {`{"name": 1}`, management.CodeDataInvalid, "no shared policy group"},
		"nothing":        {"{}", management.CodeGroupInvalid, `"/name"`},
		"type":           {`{"name":"n","apiType":"SOAP","phase":"REQUEST"}`, management.CodeGroupInvalid, `"/apiType"`},
		"phase":          {`{"name":"n","apiType":"PROXY","phase":"PUBLISH"}`, management.CodeGroupInvalid, `"/phase"`},
		"id":             {`{"id":"a b","name":"n","apiType":"MESSAGE","phase":"REQUEST"}`, management.CodeGroupInvalid, `"/id"`},
		"steps no list":  {`{"name":"n","apiType":"MESSAGE","phase":"REQUEST","steps":{"a":1}}`, apidef.CodeMemberType, `"/steps"`},
		"step":           {`{"name":"n","apiType":"MESSAGE","phase":"REQUEST","steps":[{"name":"x"}]}`, apidef.CodeMemberMissing, `"/steps/0/policy"`},
		"settings":       {groupBody("a", "REQUEST", "bad"), "c", `"/steps/0/configuration/x"`},
		"group in group": {`{"name":"n","apiType":"MESSAGE","phase":"REQUEST","steps":[{"sharedPolicyGroupRef":{"name":"g"}}]}`, management.CodeGroupInvalid, `"/steps/0"`},
	} {
		a := s.do("POST", s.groups(), c.body).want(t, 400, c.code)
		if !strings.Contains(a.Body.String(), c.text) {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	s.do("POST", s.groups(), groupBody("g", "REQUEST", "fine")).want(t, 201, "")
	s.do("POST", s.groups(), groupBody("g", "REQUEST", "fine")).want(t, 400, management.CodeGroupExists)
	s.do("PUT", s.groups()+"/g", groupBody("g", "RESPONSE", "fine")).want(t, 400, management.CodeGroupInvalid)
	s.do("PUT", s.groups()+"/g", groupBody("other", "REQUEST", "fine")).want(t, 400, management.CodeGroupInvalid)
	s.do("PUT", s.groups()+"/g", groupBody("g", "REQUEST", "fine"), "If-Match", `"1000"`).want(t, 412, management.CodePrecondition)
	s.do("POST", s.groups()+"/g/deployments", "").want(t, 202, "")
	s.in(t, "OTHER").do("GET", s.in(t, "OTHER").groups()+"/g", "").want(t, 404, management.CodeGroupNotFound)

	id := s.created()
	for phase, text := range map[string]string{"response": "is for phase request of message APIs; this is phase response"} {
		s.do("PUT", s.root+"/"+id, definition(refer(phase, "g"))).want(t, 200, "")
		if a := s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 400, management.CodeAPINotDeployable); !strings.Contains(a.Body.String(), text) {
			t.Errorf("%s: %s", phase, a.Body)
		}
	}
	s.do("PUT", s.root+"/"+id, definition(refer("request", "missing"))).want(t, 200, "")
	if a := s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 400, management.CodeAPINotDeployable); !strings.Contains(a.Body.String(), `no shared policy group \"missing\"`) {
		t.Errorf("missing: %s", a.Body)
	}

	// A content that an API cannot be served with is refused before any is redeployed.
	s.do("PUT", s.root+"/"+id, definition(refer("request", "g"))).want(t, 200, "")
	s.do("POST", s.root+"/"+id+"/deploy", "").want(t, 200, "")
	s.do("PUT", s.groups()+"/g", groupBody("g", "REQUEST", "bad-here")).want(t, 200, "")
	a := s.do("POST", s.groups()+"/g/deployments", "").want(t, 400, management.CodeGroupInvalid)
	if text := a.Body.String(); !strings.Contains(text, id) || !strings.Contains(text, "/steps/0/policy cannot be") || !strings.Contains(text, `"/flows/0/request/0"`) {
		t.Errorf("refused with %s", text)
	}
	if policiesOf(t, s.deployed(id).Flows[0].Request[0]) != "fine" {
		t.Error("a refused deployment changed an API")
	}
}

// TestGroups_NamesakesAndRace: a name that two groups have means neither; a change of somebody else who was first is built upon.
func TestGroups_NamesakesAndRace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, id := range []string{"one", "two"} {
		s.do("POST", s.groups(), strings.Replace(groupBody(id, "REQUEST", "p"), "Group "+id, "Twin", 1)).want(t, 201, "")
		s.do("POST", s.groups()+"/"+id+"/deployments", "").want(t, 202, "")
	}
	_, found := findGroups(s.r.State(), "DEFAULT", "DEFAULT", &apidef.API{Type: apidef.TypeMessage,
		Flows: []apidef.Flow{{Request: []apidef.Step{{SharedPolicyGroupRef: json.RawMessage(`{"name":"Twin"}`)}}}}})
	if len(found) != 1 || !strings.Contains(found[0].Message, "2 shared policy groups") {
		t.Errorf("found %v", found)
	}
	a := s.do("GET", s.groups()+"?name=Twin&perPage=1", "").want(t, 200, "")
	if data, _ := a.body["data"].([]any); len(data) != 1 || fmt.Sprint(a.body["pagination"].(map[string]any)["totalCount"]) != "2" {
		t.Errorf("list %s", a.Body)
	}
	s.r.before = func() {
		put := &command.PutGroup{GroupId: "one", ApiType: "message", Phase: "request", Name: "Twin", Steps: []byte(`[{"policy":"q"}]`)}
		if _, err := s.r.Propose(t.Context(), &command.Command{Change: &command.Command_PutGroup{PutGroup: put}}); err != nil {
			t.Error(err)
		}
	}
	s.do("POST", s.groups()+"/one/deployments", "").want(t, 202, "")
	if g := s.r.State().Group("one"); g.Pending() || string(g.Deployed) != `[{"policy":"q"}]` {
		t.Errorf("deployed %s", g.Deployed)
	}
	var none *fsm.Group
	if g, n := findGroup(s.r.State(), "DEFAULT", "DEFAULT", apidef.SharedGroup{ID: "three"}); g != none || n != 0 {
		t.Errorf("found %v", g)
	}
}

// TestGroups_Try: a draft is tried with what is deployed of its groups.
func TestGroups_Try(t *testing.T) {
	t.Parallel()
	var tried string
	s := newServer(t, func(_ *Config, d *Deps) {
		d.Try = func(_ context.Context, api *apidef.API, _ management.Trial) (*management.TrialReport, error) {
			for _, step := range api.SharedGroups() {
				tried += policiesOf(t, *step)
			}
			return &management.TrialReport{}, nil
		}
	})
	draft := `{"definition":` + definition(refer("publish", "g")) + `,"messages":[{"content":"x"}]}`
	if a := s.do("POST", root+"/_try", draft).want(t, 400, management.CodeGroupNotFound); !strings.Contains(a.Body.String(), `"/definition/flows/0/publish/0/configuration"`) {
		t.Errorf("refused with %s", a.Body)
	}
	s.do("POST", s.groups(), groupBody("g", "PUBLISH", "one", "two")).want(t, 201, "")
	s.do("POST", s.groups()+"/g/deployments", "").want(t, 202, "")
	if s.do("POST", root+"/_try", draft).want(t, 200, ""); tried != "one two" {
		t.Errorf("tried %q", tried)
	}
}
