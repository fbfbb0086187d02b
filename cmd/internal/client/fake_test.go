package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/describe"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// fake is a management API in memory: enough of the real one for what the command line prints, and faults on demand.
// What the real one answers is tested against the real one.
type fake struct {
	mu sync.Mutex
	// guards the following
	apis     []*fakeAPI
	revision int
	requests []string                                                 // method and path of every request
	fault    func(w http.ResponseWriter, r *http.Request) (told bool) // answers before the fake does
	workers  int
	ill      bool // the second worker fails to build what it is told
}

type fakeAPI struct {
	def      *apidef.API
	started  bool
	version  int // the ETag
	deployed *apidef.API
	revision int
}

const fakeToken = "sesame"

// newFake starts a fake with two workers.
func newFake(t *testing.T) (*fake, string) {
	t.Helper()
	f := &fake{workers: 2}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	if f.fault != nil && f.fault(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+fakeToken {
		refuse(w, http.StatusUnauthorized, "Unauthorized", "")
		return
	}
	const base = "/management/organizations/DEFAULT/environments/DEFAULT/v4/apis"
	switch rest, inside := strings.CutPrefix(r.URL.Path, base); {
	case r.URL.Path == "/management/cluster":
		answer(w, 200, management.Cluster{Node: "node-2", State: "follower", Leader: "node-1", Revision: uint64(f.revision), APIs: len(f.apis), Members: []management.Member{
			{ID: "node-1", Address: "10.0.0.1:8084", Voter: true, Leader: true},
			{ID: "node-2", Address: "10.0.0.2:8084", Voter: true},
		}})
	case r.URL.Path == "/management/workers":
		answer(w, 200, f.workerList())
	case inside && rest == "":
		f.collection(w, r)
	case inside:
		f.one(w, r, strings.Split(strings.TrimPrefix(rest, "/"), "/"))
	default:
		refuse(w, 404, "no such path", "")
	}
}

func (f *fake) workerList() []management.Worker {
	all := []management.Worker{}
	for i := range f.workers {
		w := management.Worker{
			ID: fmt.Sprintf("worker-%d", i+1), Version: "v0.1.0", Live: true, Ready: true, Revision: uint64(f.revision), APIs: 1,
			Connections: uint64(3 * i), SeenAt: time.Date(2026, 11, 22, 10, 0, i, 0, time.UTC),
		}
		if f.ill && i == 1 {
			w.Failures = []management.WorkerFailure{{API: "id-1", Revision: 2, Error: "kafka:9092: no such host"}}
		}
		all = append(all, w)
	}
	return all
}

func (f *fake) collection(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		all := []any{}
		for _, a := range f.apis {
			all = append(all, a.body())
		}
		// Two APIs a page, so that lists are read page by page.
		const perPage = 2
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		from := min((page-1)*perPage, len(all))
		answer(w, 200, management.Page[any]{
			Data:       all[from:min(from+perPage, len(all))],
			Pagination: management.Pagination{Page: page, PerPage: perPage, PageCount: (len(all) + perPage - 1) / perPage, TotalCount: len(all)},
		})
		return
	}
	def, ok := decodeBody(w, r)
	if !ok {
		return
	}
	if !f.free(w, def) {
		return
	}
	if def.ID == "" {
		def.ID = fmt.Sprintf("id-%d", len(f.apis)+1)
	}
	f.number(def)
	a := &fakeAPI{def: def, version: 1}
	f.apis = append(f.apis, a)
	w.Header().Set("ETag", a.etag())
	answer(w, 201, a.body())
}

// free refuses a definition whose path another API has.
func (f *fake) free(w http.ResponseWriter, def *apidef.API) bool {
	var others []*apidef.API
	for _, a := range f.apis {
		others = append(others, a.def)
	}
	var details []any
	for _, p := range apidef.PathConflicts(def, others) {
		details = append(details, map[string]any{"location": p.Pointer, "message": p.Message, "technicalCode": p.Code})
	}
	if len(details) > 0 {
		refuse(w, 400, "the definition has 1 problem", apidef.CodePathExists, details...)
	}
	return len(details) == 0
}

func (f *fake) number(def *apidef.API) {
	for i := range def.Plans {
		if def.Plans[i].ID == "" {
			def.Plans[i].ID = fmt.Sprintf("%s-plan-%d", def.ID, i+1)
		}
	}
}

func decodeBody(w http.ResponseWriter, r *http.Request) (*apidef.API, bool) {
	data, _ := io.ReadAll(r.Body)
	doc, err := apidef.Decode(data)
	if err != nil {
		refuse(w, 400, err.Error(), "definition.malformed")
		return nil, false
	}
	return doc.API, true
}

func (f *fake) one(w http.ResponseWriter, r *http.Request, parts []string) {
	i := slices.IndexFunc(f.apis, func(a *fakeAPI) bool { return a.def.ID == parts[0] })
	if i < 0 {
		refuse(w, 404, "Api ["+parts[0]+"] can not be found.", "api.notFound")
		return
	}
	a := f.apis[i]
	if len(parts) > 1 {
		f.below(w, r, a, parts[1:])
		return
	}
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("ETag", a.etag())
		answer(w, 200, a.body())
	case http.MethodPut:
		if r.Header.Get("If-Match") != a.etag() {
			refuse(w, 412, "the API was changed since", "")
			return
		}
		def, ok := decodeBody(w, r)
		if !ok || !f.free(w, def) {
			return
		}
		f.number(def)
		a.def, a.version = def, a.version+1
		answer(w, 200, a.body())
	case http.MethodDelete:
		if a.started {
			refuse(w, 400, "Api is running", "api.running")
			return
		}
		f.apis = slices.Delete(f.apis, i, i+1)
		w.WriteHeader(204)
	case http.MethodPost:
		f.revision++
		a.started = r.URL.Query().Get("action") == "START"
		a.revision = f.revision
		if a.deployed == nil {
			a.deployed = a.def
		}
		w.WriteHeader(204)
	}
}

var documents = map[string]func(*apidef.API, describe.Options) (map[string]any, error){"asyncapi": describe.AsyncAPI, "openapi": describe.OpenAPI}

func (f *fake) below(w http.ResponseWriter, r *http.Request, a *fakeAPI, parts []string) {
	if make := documents[parts[0]]; make != nil {
		made, err := make(a.def, describe.Options{Gateway: r.URL.Query().Get("gateway")})
		if err != nil {
			refuse(w, 400, err.Error(), "apiType.notAllowed")
			return
		}
		answer(w, 200, made)
		return
	}
	switch parts[0] {
	case "deploy":
		if !slices.ContainsFunc(a.def.Plans, func(p apidef.Plan) bool { return p.Status == apidef.PlanPublished }) {
			refuse(w, 400, "API ["+a.def.Name+"] has no published plan, so nobody could use it", "api.NotDeployable")
			return
		}
		f.revision++
		a.deployed, a.revision = a.def, f.revision
		answer(w, 200, a.body())
	case "deployments":
		d := management.Deployments{API: a.def.ID, State: a.state(), Revision: uint64(a.revision), Workers: []management.WorkerOutcome{}}
		for i := range f.workers {
			o := management.WorkerOutcome{Worker: fmt.Sprintf("worker-%d", i+1), State: management.WorkerRemoved}
			switch {
			case a.started && f.ill && i == 1:
				o.State, o.Error = management.WorkerFailed, "kafka:9092: no such host"
			case a.started:
				o.State, o.Revision = management.WorkerServing, uint64(a.revision)
			}
			d.Workers = append(d.Workers, o)
		}
		answer(w, 200, d)
	case "plans":
		f.plans(w, r, a, parts[1:])
	}
}

func (f *fake) plans(w http.ResponseWriter, r *http.Request, a *fakeAPI, parts []string) {
	a.version++
	if len(parts) == 0 && r.Method == http.MethodGet {
		answer(w, 200, bodyOf(a.def)["plans"])
		return
	}
	if len(parts) == 0 {
		var p apidef.Plan
		_ = json.NewDecoder(r.Body).Decode(&p)
		p.ID, p.Status = fmt.Sprintf("%s-plan-%d", a.def.ID, len(a.def.Plans)+1), apidef.PlanStaging
		a.def = a.def.Clone()
		a.def.Plans = append(a.def.Plans, p)
		answer(w, 201, p)
		return
	}
	a.def = a.def.Clone()
	for i := range a.def.Plans {
		if p := &a.def.Plans[i]; p.ID == parts[0] {
			p.Status = map[string]apidef.PlanStatus{"_publish": apidef.PlanPublished, "_deprecate": apidef.PlanDeprecated, "_close": apidef.PlanClosed}[parts[1]]
			answer(w, 200, *p)
			return
		}
	}
	refuse(w, 404, "no such plan", "plan.notFound")
}

func (a *fakeAPI) etag() string { return fmt.Sprintf(`"%d"`, a.version) }

func (a *fakeAPI) state() string {
	if a.started {
		return "STARTED"
	}
	return "STOPPED"
}

func (a *fakeAPI) body() map[string]any {
	b := bodyOf(a.def)
	b["state"], b["deploymentState"] = a.state(), "NEED_REDEPLOY"
	if a.deployed != nil && a.deployed.Hash() == a.def.Hash() {
		b["deploymentState"] = "DEPLOYED"
	}
	if a.deployed != nil {
		b["deployedAt"] = "2026-11-22T10:00:00Z"
	}
	b["updatedAt"] = "2026-11-22T09:00:00Z"
	return b
}

func bodyOf(def *apidef.API) map[string]any {
	data, err := apidef.Encode(def, apidef.Gateway)
	if err != nil {
		panic(err)
	}
	b := map[string]any{"plans": []any{}}
	if err := json.Unmarshal(data, &b); err != nil {
		panic(err)
	}
	return b
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message, code string, details ...any) {
	answer(w, status, map[string]any{"http_status": status, "message": message, "technicalCode": code, "details": details})
}
