package rest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "0123456789abcdef0123456789abcdef"
	root  = "/management/organizations/DEFAULT/environments/DEFAULT/v4/apis"
)

// replica is the state machine with no cluster around it.
type replica struct {
	mu    sync.Mutex
	fsm   *fsm.FSM
	index uint64 // guarded by mu
	err   error  // answers everything where it is set
	// before runs ahead of a command, once: the change of somebody else who was first.
	before func()
}

func (r *replica) Propose(_ context.Context, cmd *command.Command) (*command.Result, error) {
	if r.err != nil {
		return nil, r.err
	}
	if f := r.before; f != nil {
		r.before = nil
		f()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index++
	cmd.AtMs = 1_700_000_000_000 + int64(r.index)
	b, err := command.Marshal(cmd)
	if err != nil {
		return nil, err
	}
	return r.fsm.Apply(r.index, b), nil
}

func (r *replica) Read(context.Context) (*fsm.State, error) { return r.fsm.State(), r.err }
func (r *replica) State() *fsm.State                        { return r.fsm.State() }

type fakeCluster struct{ err error }

func (fakeCluster) Status() (store.Status, error) {
	return store.Status{NodeID: "n0", State: "leader", LeaderID: "n0", Members: []store.Member{{ID: "n0", Address: "127.0.0.1:1", Voter: true, Leader: true}}}, nil
}
func (c fakeCluster) AddMember(context.Context, string, string) error { return c.err }
func (c fakeCluster) RemoveMember(context.Context, string) error      { return c.err }

// fakeRollout answers with what a test says workers made of a revision.
type fakeRollout struct {
	outcomes func(api string, revision uint64) []management.WorkerOutcome
	late     bool // some worker never says anything
}

func (f fakeRollout) Await(ctx context.Context, api string, revision uint64) ([]management.WorkerOutcome, error) {
	if f.late {
		<-ctx.Done()
		return f.outcomes(api, revision), ctx.Err()
	}
	return f.outcomes(api, revision), nil
}
func (f fakeRollout) Outcomes(api string, revision uint64) []management.WorkerOutcome {
	return f.outcomes(api, revision)
}
func (fakeRollout) Subscription(id string) []management.WorkerSubscription {
	return []management.WorkerSubscription{{Worker: "w1", State: "RETRYING", Cause: "no broker for " + id}}
}
func (fakeRollout) Attempts(_ context.Context, id string, limit int) (management.Attempts, error) {
	return management.Attempts{Data: []management.Attempt{{Worker: "w1", Message: id, Number: limit, Outcome: "DELIVERED"}}, Silent: []string{"w2"}}, nil
}
func (fakeRollout) Workers() []management.Worker { return []management.Worker{{ID: "w1", Live: true}} }

// server is a management API under test.
type server struct {
	t    *testing.T
	h    http.Handler
	r    *replica
	root string // where the environment's APIs are
}

// in is the server seen by another test, with an environment of its own: building a server is slow under the race
// detector.
func (s *server) in(t *testing.T, env string) *server {
	return &server{t: t, h: s.h, r: s.r, root: "/management/organizations/DEFAULT/environments/" + env + "/v4/apis"}
}

func newServer(t *testing.T, change ...func(*Config, *Deps)) *server {
	t.Helper()
	r := &replica{fsm: fsm.New()}
	cfg := Config{Token: token}
	deps := Deps{
		Replica: r, Cluster: fakeCluster{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Meter: noop.Meter{},
		Validate:   func(d *apidef.Document) apidef.Problems { return d.Validate(apidef.Validation{}) },
		Deployable: func(*apidef.API) apidef.Problems { return nil },
	}
	for _, c := range change {
		c(&cfg, &deps)
	}
	s, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return &server{t: t, h: s.Handler(), r: r, root: root}
}

// answerOf is an answer with its body decoded.
type answerOf struct {
	*httptest.ResponseRecorder
	body map[string]any
}

// do sends a request; headers are name, value pairs.
func (s *server) do(method, path, body string, headers ...string) answerOf {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, in)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a := answerOf{ResponseRecorder: httptest.NewRecorder()}
	s.h.ServeHTTP(a, r)
	if strings.HasPrefix(a.Header().Get("Content-Type"), "application/json") && a.Body.Len() > 0 {
		_ = json.Unmarshal(a.Body.Bytes(), &a.body) // lists stay nil
	}
	return a
}

// want fails unless the status and, for errors, the technical code are these and the error body is whole.
func (a answerOf) want(t *testing.T, status int, code string) answerOf {
	t.Helper()
	if a.Code != status {
		t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	if status < 400 {
		return a
	}
	if a.body["technicalCode"] != code || a.body["message"] == "" || a.body["http_status"] != float64(status) || a.body["httpStatus"] != float64(status) {
		t.Fatalf("want code %s in %s", code, a.Body)
	}
	return a
}

// definition is a message API from http-post to mock, with the members given added or replaced.
func definition(members map[string]any) string {
	d := map[string]any{
		"name": "Orders", "apiVersion": "1.0", "definitionVersion": "4.0.0", "type": "message", "description": "d",
		"listeners":      []any{map[string]any{"type": "http", "paths": []any{map[string]any{"path": "/orders"}}, "entrypoints": []any{map[string]any{"type": "http-post"}}}},
		"endpointGroups": []any{map[string]any{"name": "default", "type": "mock", "endpoints": []any{map[string]any{"name": "one", "type": "mock"}}}},
	}
	maps.Copy(d, members)
	b, _ := json.Marshal(d)
	return string(b)
}

func at2(path string) map[string]any {
	return map[string]any{"listeners": []any{map[string]any{"type": "http", "paths": []any{map[string]any{"path": path}}, "entrypoints": []any{map[string]any{"type": "http-post"}}}}}
}

const keylessJSON = `{"name": "Free", "security": {"type": "KEY_LESS"}, "status": "published"}`

// create makes an API and returns its id.
func (s *server) create(members map[string]any) string {
	s.t.Helper()
	a := s.do("POST", s.root+"/", definition(members)).want(s.t, 201, "")
	id, _ := a.body["id"].(string)
	return id
}

// created makes an API with a published keyless plan.
func (s *server) created() string {
	id := s.create(nil)
	s.do("POST", s.root+"/"+id+"/plans", keylessJSON).want(s.t, 201, "")
	return id
}
