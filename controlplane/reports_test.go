package controlplane

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// says is what workers report, as a test sets it; it is a Push that tells nobody anything.
type says struct {
	mu      sync.Mutex
	changed chan struct{}
	failed  []push.SubscriptionState
	ended   []push.ReplayEnd
	workers []string
	settled bool
}

// set changes what is reported.
func (s *says) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *says) Changed() <-chan struct{} { s.mu.Lock(); defer s.mu.Unlock(); return s.changed }
func (s *says) Failed() []push.SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.failed)
}
func (s *says) Ended() []push.ReplayEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended)
}
func (s *says) Candidates(string) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.workers), s.settled
}
func (s *says) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *says) Await(context.Context, string, uint64) ([]management.WorkerOutcome, error) {
	return nil, nil
}
func (s *says) Outcomes(string, uint64) []management.WorkerOutcome  { return nil }
func (s *says) Workers() []management.Worker                        { return nil }
func (s *says) Subscription(string) []management.WorkerSubscription { return nil }
func (s *says) Attempts(context.Context, string, int) (management.Attempts, error) {
	return management.Attempts{}, nil
}

// reporting runs one node with an API "a", its push plan "p" and the accepted subscription "s".
func reporting(t *testing.T) (*Node, *says) {
	t.Helper()
	id, err := identity.New(identity.Secret{7}, identity.Config{Node: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	reports, peers := &says{changed: make(chan struct{})}, listen(t)
	node, err := New(Config{
		Store: store.Config{NodeID: "n0", DataDir: t.TempDir(), Peers: []store.Peer{{ID: "n0", Address: peers.Addr().String()}}}, REST: rest.Config{Token: token},
	}, Deps{
		Identity: id, Peers: peers, Management: listen(t), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Meter: noop.Meter{},
		Push:       func(*Source) (Push, error) { return reports, nil },
		Validate:   func(d *apidef.Document) apidef.Problems { return d.Validate(apidef.Validation{}) },
		Deployable: func(*apidef.API) apidef.Problems { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	must(t, node, &command.Command{Change: &command.Command_PutApi{PutApi: &command.PutApi{ApiId: "a", Create: true, Type: "message", Definition: []byte("{}"),
		Plans: []*command.Plan{{Id: "p", Status: command.PlanStatus_PLAN_STATUS_PUBLISHED}}}}})
	must(t, node, &command.Command{Change: &command.Command_PutSubscription{PutSubscription: &command.PutSubscription{
		SubscriptionId: "s", Create: true, ApiId: "a", PlanId: "p", Accept: true, Consumer: &command.Consumer{EntrypointId: "webhook"}}}})
	return node, reports
}

func must(t *testing.T, n *Node, cmd *command.Command) *command.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := n.proxy.Propose(ctx, cmd)
	if err != nil || r.GetError() != nil {
		t.Fatal(r, err)
	}
	return r
}

// until waits until the subscription is as it should be.
func until(t *testing.T, n *Node, what string, ok func(*fsm.Subscription) bool) *fsm.Subscription {
	t.Helper()
	deadline := time.After(patience)
	for {
		st := n.store.State()
		if s := st.Subscription("s"); ok(s) {
			return s
		}
		select {
		case <-st.Superseded():
		case <-deadline:
			t.Fatalf("%s: not within %s: %+v", what, patience, st.Subscription("s"))
		}
	}
}

// TestRecorder_AFailureIsRecordedOnce: what a worker gives up becomes the consumer's status, and stays so until that is
// changed by hand; an old report does not bring it back.
func TestRecorder_AFailureIsRecordedOnce(t *testing.T) {
	t.Parallel()
	n, reports := reporting(t)
	first := n.store.State().Subscription("s").Revision
	reports.set(func() {
		reports.failed = []push.SubscriptionState{{Worker: "w1", ID: "s", Revision: first, Cause: "401"}, {Worker: "w1", ID: "gone", Revision: first}}
	})
	s := until(t, n, "the failure is recorded", func(s *fsm.Subscription) bool { return s.FailureCause != "" })
	if s.ConsumerStatus != command.ConsumerStatus_CONSUMER_STATUS_FAILURE || s.FailureCause != "401" || s.Dispatched() {
		t.Fatalf("recorded %+v", s)
	}
	index := n.store.State().Index()
	reports.set(func() {}) // still reported, until the worker has heard of it
	must(t, n, &command.Command{Change: &command.Command_MoveSubscription{MoveSubscription: &command.MoveSubscription{
		SubscriptionId: "s", Move: command.SubscriptionMove_SUBSCRIPTION_MOVE_START}}})
	reports.set(func() {})
	second := must(t, n, &command.Command{Change: &command.Command_AddReplay{AddReplay: &command.AddReplay{SubscriptionId: "s", ReplayId: "r", From: "earliest"}}})
	if got := n.store.State().Index(); got != second.GetIndex() || second.GetIndex() != index+2 {
		t.Errorf("%d entries where two changes were made", got-index)
	}
	reports.set(func() {
		reports.failed = []push.SubscriptionState{{Worker: "w2", ID: "s", Revision: second.GetIndex(), Cause: "403"}}
	})
	until(t, n, "the next failure is recorded", func(s *fsm.Subscription) bool { return s.FailureCause == "403" })
}

// TestRecorder_AReplayIsOneWorkers: it is given to a live worker, to another one when that is gone, and ends by the word of
// the one that has it.
func TestRecorder_AReplayIsOneWorkers(t *testing.T) {
	t.Parallel()
	n, reports := reporting(t)
	must(t, n, &command.Command{Change: &command.Command_AddReplay{AddReplay: &command.AddReplay{SubscriptionId: "s", ReplayId: "r", From: "earliest"}}})
	reports.set(func() { reports.workers = []string{"w1", "w2"} }) // not yet settled: others may come
	reports.set(func() { reports.settled = true })
	s := until(t, n, "it is given to a worker", func(s *fsm.Subscription) bool { return s.Replays[0].Worker != "" })
	first := s.Replays[0].Worker
	other := map[string]string{"w1": "w2", "w2": "w1"}[first]
	if other == "" {
		t.Fatalf("given to %q", first)
	}
	reports.set(func() { reports.workers = []string{other} })
	until(t, n, "it is given to the other", func(s *fsm.Subscription) bool { return s.Replays[0].Worker == other })
	reports.set(func() {
		reports.ended = []push.ReplayEnd{{Worker: first, Subscription: "s", Replay: "r", Error: "late"}, {Worker: other, Subscription: "s", Replay: "r"}}
	})
	s = until(t, n, "it is over", func(s *fsm.Subscription) bool { return s.Replays[0].EndedMS != 0 })
	if s.Replays[0].State != command.ReplayState_REPLAY_STATE_FINISHED {
		t.Errorf("ended %+v", s.Replays[0])
	}
	if got := (Subscribed{record: s}).Bundle().Replays; got != nil {
		t.Errorf("workers still get %v", got)
	}
}

// TestSource_SinceLeadsToTheSnapshot: what changed, on top of what was, is what there is.
func TestSource_SinceLeadsToTheSnapshot(t *testing.T) {
	t.Parallel()
	n, _ := reporting(t)
	start := n.Source().Snapshot()
	if len(start.Subscriptions)+len(start.APIs) != 0 {
		t.Fatalf("of a stopped API: %+v", start)
	}
	must(t, n, &command.Command{Change: &command.Command_SetState{SetState: &command.SetState{
		ApiId: "a", ExpectVersion: n.store.State().API("a").Version, To: command.ApiState_API_STATE_STARTED, Definition: []byte("{}")}}})
	snap := n.Source().Snapshot()
	delta, ok := n.Source().Since(start.Revision)
	if !ok || fmt.Sprint(delta.APIs, delta.Subscriptions) != fmt.Sprint(snap.APIs, snap.Subscriptions) || len(snap.Subscriptions) != 1 || delta.Revision != snap.Revision {
		t.Fatalf("since %d: %+v, there is %+v", start.Revision, delta, snap)
	}
	if b := snap.Subscriptions[0].Bundle(); !b.Dispatch || b.ID != "s" || b.API != "a" || b.EntrypointID != "webhook" {
		t.Errorf("bundle %+v", b)
	}
	must(t, n, &command.Command{Change: &command.Command_SetState{SetState: &command.SetState{ApiId: "a", To: command.ApiState_API_STATE_STOPPED}}})
	delta, ok = n.Source().Since(snap.Revision)
	if !ok || !slices.Equal(delta.RemovedAPIs, []string{"a"}) || !slices.Equal(delta.RemovedSubscriptions, []string{"s"}) || len(delta.APIs)+len(delta.Subscriptions) != 0 {
		t.Fatalf("after the stop: %+v", delta)
	}
	if _, ok := n.Source().Since(delta.Revision + 1); ok {
		t.Error("knows the future")
	}
}
