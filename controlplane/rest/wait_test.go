package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/controlplane/proxy"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// workers sets what the workers make of every revision, or that they never say.
func workers(late bool, states ...string) func(*Config, *Deps) {
	return func(_ *Config, d *Deps) {
		d.Rollout = fakeRollout{late: late, outcomes: func(_ string, revision uint64) (out []management.WorkerOutcome) {
			for i, s := range states {
				o := management.WorkerOutcome{Worker: fmt.Sprint("w", i), State: s, Revision: revision}
				if s == management.WorkerFailed {
					o.Revision, o.Error = 1, "no broker at nowhere:9092"
				}
				out = append(out, o)
			}
			return out
		}}
	}
}

func TestWait_AllServe(t *testing.T) {
	t.Parallel()
	s := newServer(t, workers(false, management.WorkerServing, management.WorkerServing))
	one := root + "/" + s.created()
	a := s.do("POST", one+"?action=START&wait=5s", "").want(t, 204, "")
	if got := a.Header().Get(management.HeaderConfirmed); got != "2" {
		t.Fatalf("confirmed %q", got)
	}
	a = s.do("POST", one+"/deploy?wait=5", "").want(t, 200, "")
	if r := a.body["rollout"].(map[string]any); r["confirmed"] != 2.0 || len(r["workers"].([]any)) != 2 {
		t.Fatalf("rollout %v", r)
	}
	d := s.do("GET", one+"/deployments", "").want(t, 200, "")
	if len(d.body["workers"].([]any)) != 2 || d.body["revision"] == 0.0 {
		t.Fatalf("deployments %s", d.Body)
	}
}

func TestWait_OneCannotBuild(t *testing.T) {
	t.Parallel()
	s := newServer(t, workers(false, management.WorkerServing, management.WorkerFailed))
	one := root + "/" + s.created()
	a := s.do("POST", one+"?action=START&wait=5s", "").want(t, 400, management.CodeRolloutFailed)
	d := a.body["details"].([]any)[0].(map[string]any)
	if d["location"] != "worker w1" || d["message"] != "no broker at nowhere:9092" {
		t.Fatalf("details %v", d)
	}
	s.do("POST", one+"/deploy", "").want(t, 200, "") // without wait it is stored
}

func TestWait_NotInTime(t *testing.T) {
	t.Parallel()
	s := newServer(t, workers(true, management.WorkerServing, management.WorkerPending))
	one := root + "/" + s.created()
	a := s.do("POST", one+"?action=START&wait=10ms", "").want(t, 504, management.CodeRolloutPending)
	if p := a.body["parameters"].(map[string]any); p["confirmed"] != "1" || p["revision"] == "" {
		t.Fatalf("parameters %v", p)
	}
}

func TestWait_NobodyConnected(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	one := root + "/" + s.created()
	a := s.do("POST", one+"?action=START&wait=5s", "").want(t, 204, "")
	if got := a.Header().Get(management.HeaderConfirmed); got != "0" {
		t.Fatalf("confirmed %q", got)
	}
	s.do("POST", one+"?action=STOP&wait=1s", "").want(t, 204, "")
	s.do("DELETE", one+"?closePlans=true&wait=1s", "").want(t, 204, "")
}

func TestDeploy_WhatCannotBeServedIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(_ *Config, d *Deps) {
		d.Deployable = func(api *apidef.API) apidef.Problems {
			if len(api.Plans) != 1 || api.Plans[0].Status != apidef.PlanPublished {
				return apidef.Problems{{Message: "plans are missing", Severity: apidef.Error}}
			}
			return apidef.Problems{{Pointer: "/type", Message: "PROXY APIs are not served yet by this version", Code: "api.type.unsupported", Severity: apidef.Error}}
		}
	})
	one := root + "/" + s.created()
	for _, path := range []string{one + "/deploy", one + "?action=START"} {
		a := s.do("POST", path, "").want(t, 400, management.CodeAPINotDeployable)
		if !strings.Contains(a.body["message"].(string), "PROXY APIs are not served yet") {
			t.Fatalf("message %s", a.Body)
		}
	}
}

func TestCreate_DevPublishesAKeylessPlan(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config, _ *Deps) { c.AutoKeylessPlan = true })
	a := s.do("POST", root, definition(nil)).want(t, 201, "")
	if len(a.body["plans"].([]any)) != 1 || !strings.Contains(a.Body.String(), "keyless plan was published") {
		t.Fatalf("created %s", a.Body)
	}
	s.do("POST", fmt.Sprint(root, "/", a.body["id"], "?action=START"), "").want(t, 204, "")
}

func TestCluster_Unavailable(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"no leader", proxy.ErrNoLeader, 503, management.CodeNoLeader},
		{"timeout", context.DeadlineExceeded, 503, management.CodeNoLeader},
		{"answer lost", proxy.ErrOutcomeUnknown, 504, management.CodeUnknownOutcome},
		{"something else", errors.New("disk on fire"), 500, management.CodeInternal},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.r.err = c.err
			a := s.do("POST", root, definition(nil)).want(t, c.status, c.code)
			if strings.Contains(a.Body.String(), "disk") {
				t.Fatal("the inside is shown outside")
			}
			s.do("GET", root, "").want(t, c.status, c.code)
			s.do("GET", root+"?consistency=stale", "").want(t, 200, "")
			s.do("GET", "/management/cluster", "").want(t, 200, "")
		})
	}
}

func TestCluster_Members(t *testing.T) {
	t.Parallel()
	s := newServer(t, workers(false))
	if a := s.do("GET", "/management/cluster/", "").want(t, 200, ""); a.body["leader"] != "n0" || len(a.body["members"].([]any)) != 1 {
		t.Fatalf("cluster %s", a.Body)
	}
	if a := s.do("GET", "/management/workers", "").want(t, 200, ""); len(a.body["data"].([]any)) != 1 {
		t.Fatalf("workers %s", a.Body)
	}
	s.do("PUT", "/management/cluster/members/n1?address=127.0.0.1:2", "").want(t, 204, "")
	s.do("PUT", "/management/cluster/members/n1", "").want(t, 400, management.CodeParameter)
	s.do("DELETE", "/management/cluster/members/n1", "").want(t, 204, "")
	s = newServer(t, func(_ *Config, d *Deps) { d.Cluster = fakeCluster{store.ErrRefused} })
	s.do("PUT", "/management/cluster/members/n1?address=x", "").want(t, 400, management.CodeParameter)
}

func TestList_PagesAndFilters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 5 {
		m := at2(fmt.Sprint("/p", i))
		m["name"], m["crossId"] = fmt.Sprint("api-", 4-i), fmt.Sprint("x", i)
		s.create(m)
	}
	names := func(query string) string {
		a := s.do("GET", root+query, "").want(t, 200, "")
		var out []string
		for _, d := range a.body["data"].([]any) {
			out = append(out, d.(map[string]any)["name"].(string))
		}
		return strings.Join(out, " ")
	}
	for query, want := range map[string]string{
		"/":                                   "api-0 api-1 api-2 api-3 api-4",
		"?page=2&perPage=2":                   "api-2 api-3",
		"?page=3&perPage=2":                   "api-4",
		"?page=9223372036854775807&perPage=2": "",
		"?name=api-3":                         "api-3",
		"?crossId=x0":                         "api-4",
		"?state=STARTED":                      "",
	} {
		if got := names(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	a := s.do("GET", root+"?page=2&perPage=2", "").want(t, 200, "")
	if l := a.body["links"].(map[string]any); l["next"] != root+"?page=3&perPage=2" || l["previous"] != root+"?page=1&perPage=2" {
		t.Fatalf("links %v", l)
	}
	if p := a.body["pagination"].(map[string]any); p["pageCount"] != 3.0 || p["totalCount"] != 5.0 || p["pageItemsCount"] != 2.0 {
		t.Fatalf("pagination %v", p)
	}
	elsewhere := strings.Replace(root, "environments/DEFAULT", "environments/OTHER", 1)
	if a := s.do("GET", elsewhere, "").want(t, 200, ""); len(a.body["data"].([]any)) != 0 {
		t.Fatalf("another environment sees %s", a.Body)
	}
}

func TestAuth_BasicTakesTheTokenAsPassword(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, root, nil)
	r.SetBasicAuth("anybody", token)
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
}

func TestPanic_IsA500(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(_ *Config, d *Deps) { d.Validate = func(*apidef.Document) apidef.Problems { panic("boom") } })
	a := s.do("POST", root, definition(nil)).want(t, 500, management.CodeInternal)
	if strings.Contains(a.Body.String(), "boom") {
		t.Fatal("the inside is shown outside")
	}
}

func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("GET", "/management/openapi.json", "")
	var doc struct {
		OpenAPI    string                    `json:"openapi"`
		Paths      map[string]map[string]any `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("version %s, %v", doc.OpenAPI, err)
	}
	if len(doc.Paths) < 12 || doc.Components.Schemas["Error"] == nil || doc.Components.Schemas["ErrorModel"] != nil || doc.Components.Schemas["API"] == nil {
		t.Fatalf("%d paths, schemas %v", len(doc.Paths), len(doc.Components.Schemas))
	}
	for ref := range strings.SplitSeq(a.Body.String(), `"$ref": "#/components/schemas/`) {
		name, _, _ := strings.Cut(ref, `"`)
		if !strings.HasPrefix(ref, "{") && doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is referred to and not there", name)
		}
	}
	if y := s.do("GET", "/management/openapi.yaml", ""); y.Code != 200 || !strings.Contains(y.Body.String(), "openapi: 3.1.0") {
		t.Fatalf("yaml: %d", y.Code)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	h := Health(map[string]Probe{
		"raft": func(context.Context) error { return nil },
		"nats": func(context.Context) error { return errors.New("no server") },
	})
	for query, want := range map[string]int{"": 500, "?probes=raft": 200, "?probes=raft,nats": 500, "?probes=nope": 500} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_node/health"+query, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", query, w.Code, want, w.Body)
		}
	}
}
