package dataplane_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// pushed is the deployment of an API that pushes.
func pushed(revision uint64) reactor.Update {
	return reactor.Update{Revision: revision, Changed: []reactor.Deployment{{ID: "a", Revision: revision, Bundle: planetest.Bundle(planetest.PushAPI())}}}
}

// delivery is a fake connector's run, as the test sees it.
type delivery struct {
	id        string
	revision  uint64
	instance  string
	attempted func(connectors.Attempt)
	ended     chan struct{} // closed when it was told to go
	leave     chan struct{} // closed by the test: what is under way has ended
}

// pusher is a worker that pushes, and a value whenever a subscription of it changes its state.
type pusher struct {
	*node
	news chan struct{}
}

// pushNode is a worker with a connector that tells of its runs.
func pushNode(t *testing.T, runs chan *delivery) *pusher {
	p := &pusher{news: make(chan struct{}, 1)}
	p.node = start(t, planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{
		DispatchFunc: func(ctx context.Context, x *exchange.Exchange, d *connectors.Dispatch, _ connectors.Backend) error {
			if d.ID == "mad" {
				panic("a connector's mistake")
			}
			run := &delivery{id: d.ID, revision: x.API.Revision, instance: d.Instance, attempted: d.Attempted, ended: make(chan struct{}), leave: make(chan struct{})}
			runs <- run
			<-ctx.Done()
			close(run.ended)
			<-run.leave
			return nil
		}}), func(w *dataplane.Worker) (dataplane.Feed, error) {
		w.Subscriptions().Watch(func() {
			select {
			case p.news <- struct{}{}:
			default:
			}
		})
		return feed(func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}), nil
	})
	return p
}

// state waits until a subscription is in a state.
func (p *pusher) state(id string, want dispatch.Kind) dispatch.State {
	p.t.Helper()
	for late := time.After(10 * time.Second); ; {
		for _, s := range p.Subscriptions().States() {
			if s.ID == id && s.State == want {
				return s
			}
		}
		select {
		case <-p.news:
		case <-late:
			p.t.Fatalf("%s is not %s: %+v", id, want, p.Subscriptions().States())
		}
	}
}

func TestWorker_PushSubscriptionsFollowTheAPI(t *testing.T) {
	runs := make(chan *delivery, 1)
	n := pushNode(t, runs)
	n.Subscriptions().Apply(t.Context(), []*bundle.Subscription{planetest.Subscribed("s", "a")}, nil, true)
	n.state("s", dispatch.Waiting)
	n.Apply(t.Context(), pushed(1))
	first := <-runs
	if first.revision != 1 || first.instance != "n1" {
		t.Errorf("run %+v", first)
	}
	n.state("s", dispatch.Running)
	n.Apply(t.Context(), pushed(2)) // returns although the delivery is under way
	<-first.ended
	select {
	case <-runs:
		t.Error("the next revision delivers before the old one has ended")
	default:
	}
	close(first.leave)
	second := <-runs
	if second.revision != 2 {
		t.Errorf("run %+v", second)
	}
	close(second.leave)
	n.Apply(t.Context(), reactor.Update{Revision: 3, Removed: []string{"a"}})
	<-second.ended
	if s := n.state("s", dispatch.Waiting); s.FailureCause != reactor.ErrNotDeployed.Error() {
		t.Errorf("cause %q", s.FailureCause)
	}
	n.Apply(t.Context(), pushed(4))
	third := <-runs
	close(third.leave)
}

func TestWorker_APanicStaysInItsSubscription(t *testing.T) {
	runs := make(chan *delivery, 1)
	n := pushNode(t, runs)
	n.Apply(t.Context(), pushed(1))
	n.Subscriptions().Apply(t.Context(), []*bundle.Subscription{planetest.Subscribed("mad", "a"), planetest.Subscribed("s", "a")}, nil, true)
	run := <-runs
	n.state("mad", dispatch.Retrying)
	n.state("s", dispatch.Running)
	close(run.leave)
}

// TestWorker_StopWaitsForDeliveries: what is under way when the worker stops is ended, not cut.
func TestWorker_StopWaitsForDeliveries(t *testing.T) {
	runs := make(chan *delivery, 1)
	n := pushNode(t, runs)
	n.Apply(t.Context(), pushed(1))
	n.Subscriptions().Apply(t.Context(), []*bundle.Subscription{planetest.Subscribed("s", "a")}, nil, true)
	run := <-runs
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	<-run.ended
	select {
	case <-stopped:
		t.Error("stopped with a delivery under way")
	default:
	}
	close(run.leave)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAdmin_ShowsPushSubscriptions(t *testing.T) {
	runs := make(chan *delivery, 1)
	n := pushNode(t, runs)
	n.Apply(t.Context(), pushed(1))
	n.Subscriptions().Apply(t.Context(), []*bundle.Subscription{planetest.Subscribed("s", "a"), planetest.Subscribed("away", "b")}, nil, true)
	run := <-runs
	run.attempted(connectors.Attempt{Message: "orders-0-7", Number: 2, Status: 503, Err: "busy", Took: 1500 * time.Microsecond, Outcome: connectors.Retried})
	n.state("s", dispatch.Running)
	n.state("away", dispatch.Waiting)
	for _, c := range []struct {
		path, authorization string
		status              int
		contains            string
	}{
		{"/_node/subscriptions", "", 401, "Unauthorized"},
		{"/_node/subscriptions", bearer, 200, `"failureCause": "the API is not deployed here"`},
		{"/_node/subscriptions/s", bearer, 200, `"state": "running"`},
		{"/_node/subscriptions/s", bearer, 200, `"tookMs": 1.5,
      "message": "orders-0-7",
      "number": 2,
      "status": 503,
      "error": "busy",
      "outcome": "retried",
      "messages": 1,`},
		{"/_node/subscriptions/nobody", bearer, 404, ""},
		{"/_node/metrics/prometheus", bearer, 200, `sluice_dispatch_subscriptions{otel_scope_name="github.com/sluice-gateway/sluice/dataplane",otel_scope_schema_url="",otel_scope_version="",state="running"} 1`},
		{"/_node/metrics/prometheus", bearer, 200, `outcome="retried"} 1`},
	} {
		if s, b := n.ask(c.path, c.authorization); s != c.status || !strings.Contains(b, c.contains) {
			t.Errorf("%s: %d, want %d and %q in:\n%s", c.path, s, c.status, c.contains, b)
		}
	}
	close(run.leave)
}
