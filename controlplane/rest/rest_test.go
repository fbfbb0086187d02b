package rest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

func TestAPI_Life(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("POST", root+"/", definition(nil)).want(t, 201, "")
	id := a.body["id"].(string)
	if got := a.Header().Get("Location"); got != root+"/"+id {
		t.Fatalf("Location %q", got)
	}
	if a.body["state"] != "STOPPED" || a.body["lifecycleState"] != "CREATED" || a.body["visibility"] != "PRIVATE" || a.body["deploymentState"] != "NEED_REDEPLOY" {
		t.Fatalf("created: %s", a.Body)
	}
	one := root + "/" + id
	got := s.do("GET", one+"/", "").want(t, 200, "")
	tag := got.Header().Get("ETag")
	if tag == "" || got.Header().Get("Last-Modified") == "" {
		t.Fatalf("headers %v", got.Header())
	}
	if n := s.do("GET", one, "", "If-None-Match", "W/"+tag).want(t, 304, ""); n.Body.Len() != 0 {
		t.Fatalf("304 with a body: %s", n.Body)
	}
	s.do("POST", one+"/deploy", "").want(t, 400, management.CodeAPINotDeployable)
	plan := s.do("POST", one+"/plans", `{"name": "Free", "security": {"type": "KEY_LESS"}}`).want(t, 201, "")
	if plan.body["status"] != "staging" || plan.body["validation"] != "AUTO" {
		t.Fatalf("plan %s", plan.Body)
	}
	s.do("POST", fmt.Sprint(one, "/plans/", plan.body["id"], "/_publish"), "").want(t, 200, "")
	d := s.do("POST", one+"/deploy/", `{"deploymentLabel": "first"}`).want(t, 200, "")
	if d.body["deploymentState"] != "DEPLOYED" || d.body["deployment"].(map[string]any)["label"] != "first" {
		t.Fatalf("deployed: %s", d.Body)
	}
	started := s.do("POST", one+"?action=START", "").want(t, 204, "")
	if started.Header().Get("ETag") == "" || started.Header().Get(management.HeaderRevision) == "" {
		t.Fatalf("started: %v", started.Header())
	}
	s.do("POST", one+"?action=START", "").want(t, 400, management.CodeAPIState)
	s.do("DELETE", one, "").want(t, 400, management.CodeAPIRunning)
	put := s.do("PUT", one, definition(map[string]any{"description": "changed", "tags": []any{"eu"}})).want(t, 200, "")
	if put.body["deploymentState"] != "NEED_REDEPLOY" || len(put.body["plans"].([]any)) != 1 {
		t.Fatalf("updated: %s", put.Body)
	}
	s.do("PUT", one, definition(nil), "If-Match", tag).want(t, 412, management.CodePrecondition)
	s.do("PUT", one, definition(nil), "If-Match", put.Header().Get("ETag")).want(t, 200, "")
	s.do("POST", one+"?action=STOP", "").want(t, 204, "")
	s.do("DELETE", one, "").want(t, 400, management.CodeAPINotDeletable)
	s.do("DELETE", one+"?closePlans=true", "").want(t, 204, "")
	s.do("GET", one, "").want(t, 404, management.CodeAPINotFound)
}

func TestAPI_Errors(t *testing.T) {
	t.Parallel()
	unknown := root + "/nope"
	cases := []struct {
		name         string
		method, path string
		body         string
		headers      []string
		status       int
		code         string
	}{
		{"empty body", "POST", root, "", nil, 400, management.CodeDataInvalid},
		{"not JSON", "POST", root, "{", nil, 400, apidef.CodeMalformed},
		{"no definition", "POST", root, "[]", nil, 400, apidef.CodeMemberType},
		{"no path", "POST", root, definition(at2("")), nil, 201, ""}, // sanitised to /
		{"bad path", "POST", root, definition(at2("/a b")), nil, 400, apidef.CodePathInvalid},
		{"bad id", "POST", root, definition(map[string]any{"id": "a/b"}), nil, 400, apidef.CodeValueInvalid},
		{"wrong version", "POST", root, definition(map[string]any{"definitionVersion": "2.0.0"}), nil, 400, apidef.CodeVersionUnsupported},
		{"media type", "POST", root, definition(nil), []string{"Content-Type", "application/xml"}, 415, management.CodeMediaType},
		{"too large", "POST", root, strings.Repeat(" ", maxBody+1), nil, 413, management.CodeTooLarge},
		{"unknown API", "GET", unknown, "", nil, 404, management.CodeAPINotFound},
		{"update unknown", "PUT", unknown, definition(nil), nil, 404, management.CodeAPINotFound},
		{"delete unknown", "DELETE", unknown, "", nil, 404, management.CodeAPINotFound},
		{"deploy unknown", "POST", unknown + "/deploy", "", nil, 404, management.CodeAPINotFound},
		{"start unknown", "POST", unknown + "?action=START", "", nil, 404, management.CodeAPINotFound},
		{"deployments of unknown", "GET", unknown + "/deployments", "", nil, 404, management.CodeAPINotFound},
		{"plans of unknown", "GET", unknown + "/plans", "", nil, 404, management.CodeAPINotFound},
		{"no action", "POST", unknown, "", nil, 400, management.CodeParameter},
		{"bad action", "POST", unknown + "?action=RUN", "", nil, 400, management.CodeParameter},
		{"bad wait", "POST", unknown + "/deploy?wait=long", "", nil, 400, management.CodeParameter},
		{"endless wait", "DELETE", unknown + "?wait=2h", "", nil, 400, management.CodeParameter},
		{"negative wait", "POST", unknown + "?action=STOP&wait=-1s", "", nil, 400, management.CodeParameter},
		{"bad page", "GET", root + "?page=x", "", nil, 400, management.CodeParameter},
		{"page 0", "GET", root + "?page=0", "", nil, 400, management.CodeParameter},
		{"huge page", "GET", root + "?perPage=99999999", "", nil, 400, management.CodeParameter},
		{"bad state", "GET", root + "?state=BROKEN", "", nil, 400, management.CodeParameter},
		{"bad organization", "GET", "/management/organizations/a%20b/environments/DEFAULT/v4/apis", "", nil, 400, management.CodeParameter},
		{"bad plan status", "GET", unknown + "/plans?status=OPEN", "", nil, 400, management.CodeParameter},
		{"method", "PATCH", root, "", nil, 405, management.CodeMethodNotAllowed},
		{"unknown path", "GET", "/management/nope", "", nil, 404, management.CodeNotFound},
		{"outside", "GET", "/nope", "", nil, 404, management.CodeNotFound},
		{"no token", "GET", root, "", []string{"Authorization", ""}, 401, management.CodeUnauthorized},
		{"wrong token", "GET", root, "", []string{"Authorization", "Bearer nope"}, 401, management.CodeUnauthorized},
		{"wrong scheme", "GET", root, "", []string{"Authorization", "Digest " + token}, 401, management.CodeUnauthorized},
		{"OpenAPI without token", "GET", "/management/openapi.json", "", []string{"Authorization", ""}, 401, management.CodeUnauthorized},
		{"unknown path without token", "GET", "/management/nope", "", []string{"Authorization", ""}, 401, management.CodeUnauthorized},
	}
	shared := newServer(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			shared.in(t, "DEFAULT").do(c.method, c.path, c.body, c.headers...).want(t, c.status, c.code)
		})
	}
}

// TestRefusals_EveryCode reaches every refusal of the state machine that a client can cause.
func TestRefusals_EveryCode(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		setup  func(s *server) string // returns an API's id
		do     func(s *server, one string) answerOf
		status int
		code   string
	}{
		{"id exists", func(s *server) string { return s.create(map[string]any{"id": "a"}) },
			func(s *server, _ string) answerOf { return s.do("POST", s.root, definition(map[string]any{"id": "a"})) }, 400, management.CodeAPIExists},
		{"path exists", (*server).created, func(s *server, _ string) answerOf { return s.do("POST", s.root, definition(nil)) }, 400, management.CodePathExists},
		{"type", (*server).created, func(s *server, one string) answerOf {
			return s.do("PUT", one, definition(map[string]any{"type": "proxy", "listeners": []any{map[string]any{"type": "http", "paths": []any{map[string]any{"path": "/p"}}, "entrypoints": []any{map[string]any{"type": "http-proxy"}}}},
				"endpointGroups": []any{map[string]any{"name": "default", "type": "http-proxy", "endpoints": []any{map[string]any{"name": "one", "type": "http-proxy"}}}}}))
		}, 400, management.CodeAPIType},
		{"lifecycle", (*server).created, func(s *server, one string) answerOf {
			s.do("PUT", one, definition(map[string]any{"lifecycleState": "DEPRECATED"})).want(s.t, 200, "")
			return s.do("PUT", one, definition(map[string]any{"lifecycleState": "PUBLISHED"}))
		}, 400, management.CodeLifecycle},
		{"new plan of a deprecated API", (*server).created, func(s *server, one string) answerOf {
			s.do("PUT", one, definition(map[string]any{"lifecycleState": "DEPRECATED"})).want(s.t, 200, "")
			return s.do("POST", one+"/plans", `{"name": "p", "security": {"type": "jwt"}}`)
		}, 400, management.CodeAPIDeprecated},
		{"another id in the body", (*server).created, func(s *server, one string) answerOf {
			return s.do("PUT", one, definition(map[string]any{"id": "other"}))
		}, 400, apidef.CodeValueInvalid},
		{"second keyless plan", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/plans", keylessJSON) }, 400, management.CodePlanKeyless},
		{"plan exists", func(s *server) string {
			id := s.create(nil)
			s.do("POST", s.root+"/"+id+"/plans", `{"id": "p", "name": "p", "security": {"type": "jwt"}}`).want(s.t, 201, "")
			return id
		}, func(s *server, one string) answerOf {
			return s.do("POST", one+"/plans", `{"id": "p", "name": "p", "security": {"type": "jwt"}}`)
		}, 400, management.CodePlanExists},
		{"plan without security", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/plans", `{"name": "p"}`) }, 400, management.CodePlanInvalid},
		{"plan not JSON", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/plans", `{`) }, 400, apidef.CodeMalformed},
		{"two plans", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/plans", `{}, {}`) }, 400, apidef.CodeMalformed},
		{"plan id", (*server).created, func(s *server, one string) answerOf {
			return s.do("POST", one+"/plans", `{"id": "a/b", "name": "p", "security": {"type": "jwt"}}`)
		}, 400, apidef.CodeValueInvalid},
		{"plan unknown", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/plans/x/_publish", "") }, 404, management.CodePlanNotFound},
		{"label", (*server).created, func(s *server, one string) answerOf {
			return s.do("POST", one+"/deploy", `{"deploymentLabel": "`+strings.Repeat("x", 33)+`"}`)
		}, 400, management.CodeDataInvalid},
		{"deploy body", (*server).created, func(s *server, one string) answerOf { return s.do("POST", one+"/deploy", `[`) }, 400, management.CodeDataInvalid},
		{"stale deploy", (*server).created, func(s *server, one string) answerOf {
			return s.do("POST", one+"/deploy", "", "If-Match", `"1"`)
		}, 412, management.CodePrecondition},
	}
	shared := newServer(t)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := shared.in(t, fmt.Sprint("env", i))
			one := s.root + "/" + c.setup(s)
			before := s.r.State().Len()
			c.do(s, one).want(t, c.status, c.code)
			if s.r.State().Len() != before {
				t.Fatal("something was stored")
			}
		})
	}
}

func TestPlans_Lifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	one := root + "/" + s.create(nil)
	p := s.do("POST", one+"/plans", "name: Gold\nsecurity:\n  type: JWT\n  configuration: {signature: RSA_RS256}\n", "Content-Type", "application/yaml").want(t, 201, "")
	id := p.body["id"].(string)
	if p.body["validation"] != "MANUAL" || p.body["type"] != "API" || p.Header().Get("Location") != one+"/plans/"+id {
		t.Fatalf("created %s", p.Body)
	}
	plan := one + "/plans/" + id
	list := func(query string) int {
		a := s.do("GET", one+"/plans"+query, "").want(t, 200, "")
		var all []any
		if err := json.Unmarshal(a.Body.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if list("") != 0 || list("?status=STAGING,CLOSED&security=JWT") != 1 || list("?status=staging&security=API_KEY") != 0 {
		t.Fatal("filters")
	}
	s.do("POST", plan+"/_deprecate", "").want(t, 400, management.CodePlanNotPublished)
	s.do("POST", plan+"/_publish/", "").want(t, 200, "")
	s.do("POST", plan+"/_publish", "").want(t, 400, management.CodePlanPublished)
	if u := s.do("PUT", plan, `{"name": "Gold 2", "security": {"type": "jwt"}}`).want(t, 200, ""); u.body["name"] != "Gold 2" || u.body["status"] != "published" {
		t.Fatalf("updated %s", u.Body)
	}
	s.do("PUT", plan, `{"name": "x", "security": {"type": "api-key"}}`).want(t, 400, management.CodePlanInvalid)
	s.do("PUT", plan, `{"id": "other", "name": "x", "security": {"type": "jwt"}}`).want(t, 400, apidef.CodeValueInvalid)
	s.do("POST", plan+"/_depreciate", "").want(t, 200, "")
	s.do("POST", plan+"/_publish", "").want(t, 400, management.CodePlanDeprecated)
	s.do("POST", plan+"/_close", "").want(t, 200, "")
	s.do("POST", plan+"/_close", "").want(t, 400, management.CodePlanClosed)
	if g := s.do("GET", plan, "").want(t, 200, ""); g.body["closedAt"] == nil || g.body["publishedAt"] == nil {
		t.Fatalf("closed %s", g.Body)
	}
	s.do("DELETE", plan, "").want(t, 204, "")
	s.do("GET", plan, "").want(t, 404, management.CodePlanNotFound)
}

func TestCreate_ListsEveryProblemAndWarning(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	bad := at2("/a b")
	bad["name"], bad["endpointGroups"] = "", []any{}
	a := s.do("POST", root, definition(bad))
	details, _ := a.body["details"].([]any)
	if a.Code != 400 || len(details) < 3 {
		t.Fatalf("%d problems: %s", len(details), a.Body)
	}
	a = s.do("POST", root, definition(map[string]any{"surprise": 1, "state": "STARTED"})).want(t, 201, "")
	warnings, _ := a.body["warnings"].([]any)
	if len(warnings) < 2 || a.body["surprise"] != float64(1) || a.body["state"] != "STOPPED" {
		t.Fatalf("an unknown member is not kept and told: %s", a.Body)
	}
}

// TestSeeds_AreStoredAndListed posts the definitions that users were promised, as they are printed.
func TestSeeds_AreStoredAndListed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	files, err := filepath.Glob("../../proto/apidef/testdata/seeds/*")
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, file := range files {
		if !slices.Contains([]string{".json", ".yaml"}, filepath.Ext(file)) {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a := s.do("POST", root+"/", string(b), "Content-Type", "application/json").want(t, 201, "")
		one := fmt.Sprint(root, "/", a.body["id"])
		again := s.do("PUT", one, string(b)).want(t, 200, "")
		if len(again.body["plans"].([]any)) != len(a.body["plans"].([]any)) {
			t.Errorf("%s: applied twice, its plans are %v", file, again.body["plans"])
		}
		stored++
	}
	if list := s.do("GET", root, "").want(t, 200, ""); len(list.body["data"].([]any)) != stored || stored < 4 {
		t.Fatalf("%d of %d seeds are listed", len(list.body["data"].([]any)), stored)
	}
}

func TestConflict_TellsWhere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.created()
	a := s.do("POST", root, definition(nil)).want(t, 400, management.CodePathExists)
	d := a.body["details"].([]any)[0].(map[string]any)
	if d["location"] != "/listeners/0/paths/0/path" {
		t.Fatalf("location %v", d["location"])
	}
	other := root + "/" + s.create(at2("/other"))
	a = s.do("PUT", other, definition(nil)).want(t, 400, management.CodePathExists)
	if d := a.body["details"].([]any)[0].(map[string]any); d["location"] != "/listeners/0/paths/0/path" {
		t.Fatalf("location %v", d["location"])
	}
}

func TestUpdate_AnswerSentBackChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	one := root + "/" + s.create(map[string]any{"surprise": map[string]any{"a": 1}, "plans": []any{
		map[string]any{"name": "Free", "status": "published", "security": map[string]any{"type": "key-less"}, "odd": true},
		map[string]any{"name": "Gold", "status": "staging", "security": map[string]any{"type": "jwt"}},
	}})
	s.do("POST", one+"?action=START", "").want(t, 204, "")
	first := s.do("GET", one, "").want(t, 200, "")
	second := s.do("PUT", one, first.Body.String()).want(t, 200, "")
	delete(second.body, "warnings")
	for _, m := range []string{"updatedAt"} {
		delete(first.body, m)
		delete(second.body, m)
	}
	strip := func(b map[string]any) string {
		for _, p := range b["plans"].([]any) {
			delete(p.(map[string]any), "updatedAt")
		}
		out, _ := json.MarshalIndent(b, "", " ")
		return string(out)
	}
	if a, b := strip(first.body), strip(second.body); a != b {
		t.Fatalf("sent back:\n%s\nbecame:\n%s", a, b)
	}
	if second.body["deploymentState"] != "DEPLOYED" {
		t.Fatal("a redeployment is asked for")
	}
}

func TestUpdate_PlansOfTheDefinitionAreThePlans(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	plan := func(name string) any {
		return map[string]any{"name": name, "status": "published", "security": map[string]any{"type": "jwt"}}
	}
	one := root + "/" + s.create(map[string]any{"plans": []any{plan("a"), plan("b")}})
	ids := func(a answerOf) (out []string) {
		for _, p := range a.body["plans"].([]any) {
			p := p.(map[string]any)
			out = append(out, fmt.Sprint(p["name"], p["status"], p["id"]))
		}
		return out
	}
	before := ids(s.do("GET", one, "").want(t, 200, ""))
	again := s.do("PUT", one, definition(map[string]any{"plans": []any{plan("a"), plan("b")}})).want(t, 200, "")
	if got := ids(again); !slices.Equal(got, before) {
		t.Fatalf("plans %v became %v", before, got)
	}
	a := s.do("PUT", one, definition(map[string]any{"plans": []any{plan("b")}})).want(t, 200, "")
	if got := ids(a); !strings.HasPrefix(got[0], "aclosed") || got[1] != before[1] || !strings.Contains(a.Body.String(), `no longer holds plan`) {
		t.Fatalf("got %v, %s", got, a.Body)
	}
	a = s.do("PUT", one, definition(nil)).want(t, 200, "") // says nothing about plans
	if got := ids(a); got[1] != before[1] {
		t.Fatalf("got %v", got)
	}
}

func TestChange_IsRepeatedWhenSomebodyWasFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	id := s.created()
	s.r.before = func() { s.do("PUT", root+"/"+id, definition(map[string]any{"description": "theirs"})).want(t, 200, "") }
	d := s.do("POST", root+"/"+id+"/deploy", "").want(t, 200, "")
	if d.body["deploymentState"] != "DEPLOYED" || d.body["description"] != "theirs" {
		t.Fatalf("deployed something old: %s", d.Body)
	}
	tag := d.Header().Get("ETag")
	s.r.before = func() { s.do("PUT", root+"/"+id, definition(map[string]any{"description": "again"})).want(t, 200, "") }
	s.do("PUT", root+"/"+id, definition(nil), "If-Match", tag).want(t, 412, management.CodePrecondition)
}
