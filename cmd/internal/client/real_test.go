package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// server is a management API to run a test on.
type server struct {
	name, url string
	ill       func() // makes the second worker fail to build what it is told
}

// onBoth runs a test on the fake and on the real management API.
func onBoth(t *testing.T, test func(t *testing.T, on server)) {
	t.Run("fake", func(t *testing.T) {
		f, url := newFake(t)
		test(t, server{name: "fake", url: url, ill: func() { f.mu.Lock(); f.ill = true; f.mu.Unlock() }})
	})
	t.Run("real", func(t *testing.T) {
		n, url := newReal(t, rest.Config{Token: fakeToken})
		test(t, server{name: "real", url: url, ill: func() { n.mu.Lock(); n.ill = true; n.mu.Unlock() }})
	})
}

// newReal starts the real management API over the real state machine, which is replicated to nobody and rolled out to
// two workers that serve at once. Its clock goes a second a command, so that what it answers is the same every time.
func newReal(t *testing.T, cfg rest.Config) (*node, string) {
	t.Helper()
	n, handler := realHandler(t, cfg)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return n, server.URL
}

func realHandler(t *testing.T, cfg rest.Config) (*node, http.Handler) {
	t.Helper()
	n := &node{fsm: fsm.New()}
	s, err := rest.New(cfg, rest.Deps{
		Replica: n, Cluster: n, Rollout: n, Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{},
		Validate:          func(d *apidef.Document) apidef.Problems { return d.Validate(law) },
		Deployable:        deployable,
		CheckSubscription: func(typ string, _ json.RawMessage) (apidef.Problems, bool) { return nil, typ == "webhook" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, s.Handler()
}

// deployable refuses what is not served yet, as a control plane does.
func deployable(api *apidef.API) apidef.Problems {
	if api.Type == apidef.TypeMessage {
		return nil
	}
	return apidef.Problems{{Pointer: "/type", Message: "APIs of type " + string(api.Type) + " are not served yet", Code: "api.type.unsupported", Severity: apidef.Error}}
}

// node is a control plane of one, without a log.
type node struct {
	mu sync.Mutex
	// guards the following
	fsm   *fsm.FSM
	index uint64
	ill   bool
}

func (n *node) Propose(_ context.Context, cmd *command.Command) (*command.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	cmd.RequestId = fmt.Sprint("request-", n.index)
	cmd.AtMs = time.Date(2026, 11, 22, 10, 0, int(n.index), 0, time.UTC).UnixMilli()
	data, err := command.Marshal(cmd)
	if err != nil {
		return nil, err
	}
	return n.fsm.Apply(n.index, data), nil
}

func (n *node) Read(context.Context) (*fsm.State, error) { return n.fsm.State(), nil }
func (n *node) State() *fsm.State                        { return n.fsm.State() }

func (n *node) Status() (store.Status, error) {
	return store.Status{NodeID: "node-1", State: "leader", LeaderID: "node-1", Members: []store.Member{{ID: "node-1", Address: "127.0.0.1:8084", Voter: true, Leader: true}}}, nil
}
func (n *node) AddMember(context.Context, string, string) error { return nil }
func (n *node) RemoveMember(context.Context, string) error      { return nil }

func (n *node) Await(_ context.Context, api string, revision uint64) ([]management.WorkerOutcome, error) {
	return n.Outcomes(api, revision), nil
}

func (n *node) Outcomes(api string, revision uint64) []management.WorkerOutcome {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := []management.WorkerOutcome{{Worker: "worker-1", State: management.WorkerServing, Revision: revision}, {Worker: "worker-2", State: management.WorkerServing, Revision: revision}}
	if a := n.fsm.State().API(api); a == nil || !a.Started {
		for i := range out {
			out[i].State, out[i].Revision = management.WorkerRemoved, 0
		}
	} else if n.ill {
		out[1] = management.WorkerOutcome{Worker: "worker-2", State: management.WorkerFailed, Error: "kafka:9092: no such host"}
	}
	return out
}

func (n *node) Subscription(string) []management.WorkerSubscription {
	lag := uint64(7)
	return []management.WorkerSubscription{{Worker: "worker-1", State: "RUNNING", Lag: &lag}, {Worker: "worker-2", State: "RETRYING", Cause: "no broker"}}
}

func (n *node) Attempts(_ context.Context, id string, _ int) (management.Attempts, error) {
	if id != "s-1" {
		return management.Attempts{Data: []management.Attempt{}}, nil
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	next := at.Add(5 * time.Second)
	return management.Attempts{Silent: []string{"worker-2"}, Data: []management.Attempt{
		{Worker: "worker-1", At: at, TookMS: 12.34, Message: "orders@0#8", Number: 1, Status: 503, Error: "unavailable", Outcome: "RETRIED", Next: &next},
		{Worker: "worker-1", At: at.Add(-time.Second), TookMS: 3, Message: "orders@0#7", Number: 2, Status: 200, Outcome: "DELIVERED"},
	}}, nil
}

func (n *node) Workers() []management.Worker {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := []management.Worker{}
	for i := range 2 {
		w := management.Worker{
			ID: fmt.Sprintf("worker-%d", i+1), Version: "v0.1.0", Live: true, Ready: true, Revision: n.fsm.State().Revision(), APIs: n.fsm.State().Len(),
			SeenAt: time.Date(2026, 11, 22, 10, 0, i, 0, time.UTC),
		}
		if n.ill && i == 1 {
			for a := range n.fsm.State().Serving {
				w.Failures = append(w.Failures, management.WorkerFailure{API: a.ID, Revision: a.Deployed.Revision, Error: "kafka:9092: no such host"})
			}
		}
		all = append(all, w)
	}
	return all
}

// TestReal_SeedInDevelopment posts the seed's definition, which has no plan, to a server that gives it one.
func TestReal_SeedInDevelopment(t *testing.T) {
	_, url := newReal(t, rest.Config{Token: fakeToken, AutoKeylessPlan: true})
	file := seeds + "/data-ingestion.json"
	golden(t, "first", run(t, url, "", "apply", "-f", file), seeds, "SEEDS")
	golden(t, "second", run(t, url, "", "apply", "-f", file), seeds, "SEEDS")
	golden(t, "json", run(t, url, "", "apply", "-f", file, "-o", "json"), seeds, "SEEDS")
}

// TestReal_Answers runs into what only the real one says.
func TestReal_Answers(t *testing.T) {
	_, url := newReal(t, rest.Config{Token: fakeToken})
	run(t, url, orders, "apply", "-f", "-")
	for _, c := range []struct{ name, args string }{
		{"label-too-long", "deploy orders-stream --label a-label-that-is-longer-than-32-characters"},
		{"plan-published", "plan publish orders-stream Keyless"},
		{"plan-second-keyless", "plan create orders-stream --security key-less --publish --name Other"},
		{"plan-close", "plan close orders-stream Keyless"},
		{"plan-close-again", "plan close orders-stream Keyless"},
		{"deploy-no-plan", "deploy orders-stream"},
		{"bad-org", "get apis --org a/b"},
		{"other-env", "get apis --env TEST"},
	} {
		golden(t, c.name, run(t, url, "", strings.Fields(c.args)...))
	}
}

// TestReal_LosesARace stops the API just before the first update arrives: the update is refused, since it was made from
// what the API was before, and made again.
func TestReal_LosesARace(t *testing.T) {
	n, handler := realHandler(t, rest.Config{Token: fakeToken})
	var mu sync.Mutex // guards the following
	var puts []int
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			handler.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if len(puts) == 0 {
			for a := range n.State().APIs {
				stop := &command.SetState{ApiId: a.ID, ExpectVersion: a.Version, To: command.ApiState_API_STATE_STOPPED}
				if result, err := n.Propose(r.Context(), &command.Command{Change: &command.Command_SetState{SetState: stop}}); err != nil || result.GetError() != nil {
					t.Errorf("stop: %v %v", result, err)
				}
			}
		}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		puts = append(puts, rec.Code)
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	t.Cleanup(front.Close)
	run(t, front.URL, orders, "apply", "-f", "-")
	golden(t, "apply", run(t, front.URL, strings.Replace(orders, "/orders", "/orders/v2", 1), "apply", "-f", "-"))
	mu.Lock()
	defer mu.Unlock()
	if want := []int{http.StatusPreconditionFailed, http.StatusOK}; !slices.Equal(puts, want) {
		t.Errorf("updates were answered %v, want %v", puts, want)
	}
}

// TestReal_PlansFollowTheDefinition renames, adds and drops plans by applying.
func TestReal_PlansFollowTheDefinition(t *testing.T) {
	_, url := newReal(t, rest.Config{Token: fakeToken})
	with := func(plans string) string { return orders[:strings.Index(orders, "plans:")] + plans }
	for _, step := range []struct{ name, plans string }{
		{"01-two", "plans:\n  - {name: Keyless, security: {type: key-less}, status: published}\n  - {name: Gold, security: {type: api-key}, status: published}\n"},
		{"02-again", "plans:\n  - {name: Keyless, security: {type: key-less}, status: published}\n  - {name: Gold, security: {type: api-key}, status: published}\n"},
		{"03-not-said", "plans:\n  - {name: Keyless, security: {type: key-less}}\n  - {name: Gold, security: {type: api-key}}\n"},
		{"04-one-less", "plans:\n  - {name: Gold, security: {type: api-key}, status: published}\n"},
		{"05-none", ""},
		{"06-deprecated", "plans:\n  - {name: Gold, security: {type: api-key}, status: deprecated}\n"},
		{"07-back", "plans:\n  - {name: Gold, security: {type: api-key}, status: published}\n"},
	} {
		golden(t, step.name, run(t, url, with(step.plans), "apply", "-f", "-"))
		golden(t, step.name+"-plans", run(t, url, "", "get", "plans"))
	}
	golden(t, "08-export", run(t, url, "", "get", "api", "orders-stream", "--dialect", "gateway", "-o", "yaml"))
}
