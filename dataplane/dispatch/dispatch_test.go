package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/qos/message"
)

// bed is a dispatcher in a bubble, and the APIs below it, which remember what they were asked to run.
type bed struct {
	*dispatch.Dispatcher
	t        *testing.T
	counters *meter.Registry
	run      func(ctx context.Context, p *flow.Push) error // what an API does; Begun was called
	notified int

	mu sync.Mutex
	// guards the following
	deployed map[string]bool
	revision chan struct{} // closed when the revision ends
	begun    []*flow.Push
	running  int
	most     int // running at once
}

// in runs a test with a dispatcher in a bubble.
func in(t *testing.T, cfg dispatch.Config, test func(b *bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{t: t, counters: meter.NewRegistry(), deployed: map[string]bool{"a": true}, revision: make(chan struct{})}
		b.run = func(ctx context.Context, _ *flow.Push) error {
			<-ctx.Done()
			return nil
		}
		cfg.Instance = "worker-1"
		b.Dispatcher = dispatch.New(cfg, dispatch.Deps{APIs: b, Log: slog.New(slog.DiscardHandler), Counters: b.counters})
		b.Watch(func() { b.mu.Lock(); b.notified++; b.mu.Unlock() })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		test(b)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for i := range b.counters.Push.States {
			if n := b.counters.Push.States[i].Load(); n != 0 {
				t.Errorf("%d are %s after the end", n, meter.PushStates[i])
			}
		}
	})
}

// Push implements dispatch.APIs.
func (b *bed) Push(ctx context.Context, id string, p *flow.Push) error {
	b.mu.Lock()
	here := b.deployed[id]
	if here {
		b.begun = append(b.begun, p)
		b.running++
		b.most = max(b.most, b.running)
	}
	b.mu.Unlock()
	if !here {
		return reactor.ErrNotDeployed
	}
	defer func() {
		b.mu.Lock()
		b.running--
		b.mu.Unlock()
	}()
	p.Begun()
	return b.run(ctx, p)
}

// deploy ends the revision of the API, and puts another in its place, or not.
func (b *bed) deploy(here bool) {
	b.mu.Lock()
	close(b.revision)
	b.revision, b.deployed["a"] = make(chan struct{}), here
	b.mu.Unlock()
	b.Served([]string{"a"})
	synctest.Wait()
}

// ends is closed when the revision that is served now does.
func (b *bed) ends() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision
}

// apply gives the dispatcher subscriptions and waits until it has done what it can.
func (b *bed) apply(subscriptions ...*bundle.Subscription) {
	b.Apply(b.t.Context(), subscriptions, nil, false)
	synctest.Wait()
}

// runs is how many runs were begun.
func (b *bed) runs() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.begun)
}

// want compares the states, each as "id[/replay] state[: cause]".
func (b *bed) want(what string, want ...string) {
	b.t.Helper()
	synctest.Wait()
	var got []string
	for _, s := range b.States() {
		text := s.ID
		if s.Replay != "" {
			text += "/" + s.Replay
		}
		text += " " + s.State.String()
		if s.FailureCause != "" {
			text += ": " + s.FailureCause
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func sub(id string) *bundle.Subscription { return planetest.Subscribed(id, "a") }

func TestDispatcher_RunsWhatIsToBeServed(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		s, paused := sub("s"), sub("paused")
		s.Channel, s.Configuration, s.Metadata = "orders/eu", json.RawMessage(`{"callbackUrl":"http://x"}`), map[string]string{"k": "v"}
		paused.Dispatch = false
		b.apply(s, paused)
		b.want("running", "s running")
		if b.runs() != 1 {
			t.Fatalf("%d runs", b.runs())
		}
		p := b.begun[0]
		x, d := p.Exchange, p.Dispatch
		if x.ClientIdentifier != "s" || !x.ClientSupplied || x.Subscription != "s" || x.RequestID != "s" || x.TransactionID != "s" ||
			x.Plan != planetest.PushPlan || x.Application != "app" || x.PathInfo != "/orders/eu" || x.HTTP != nil || !x.Detached() {
			t.Errorf("exchange %+v", x)
		}
		if p.Entrypoint != planetest.PushType || d.ID != "s" || d.Instance != "worker-1" || d.From+d.Until != "" || d.Channel != s.Channel ||
			string(d.Configuration) != string(s.Configuration) || d.Metadata["k"] != "v" || d.Plan != planetest.PushPlan || d.Application != "app" {
			t.Errorf("dispatch %+v", d)
		}
		if n := b.counters.Push.States[dispatch.Running].Load(); n != 1 {
			t.Errorf("%d counted as running", n)
		}
	})
}

func TestDispatcher_Apply(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.apply(sub("s"), sub("t"))
		b.apply(sub("s"))
		if n := b.runs(); n != 2 {
			t.Errorf("%d runs: what did not change was begun again", n)
		}
		changed := sub("s")
		changed.Configuration = json.RawMessage(`{"callbackUrl":"http://y"}`)
		b.apply(changed)
		if n := b.runs(); n != 3 || string(b.begun[2].Dispatch.Configuration) != string(changed.Configuration) {
			t.Errorf("%d runs after a change", n)
		}
		paused := sub("s")
		paused.Dispatch = false
		b.apply(paused)
		b.want("paused", "t running")
		b.apply(sub("s"))
		b.want("resumed", "s running", "t running")
		b.Apply(t.Context(), nil, []string{"t"}, false)
		b.want("removed", "s running")
		b.Apply(t.Context(), []*bundle.Subscription{sub("u")}, nil, true)
		b.want("all there is", "u running")
		if b.running != 1 || b.notified == 0 {
			t.Errorf("%d running, notified %d times", b.running, b.notified)
		}
	})
}

// TestDispatcher_ChangesAreDisposedFirst: the new run begins when the deliveries of the old one have ended, not before.
func TestDispatcher_ChangesAreDisposedFirst(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.run = func(ctx context.Context, _ *flow.Push) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // a delivery under way
			return nil
		}
		b.apply(sub("s"), sub("other"))
		s := sub("s")
		s.Channel = "x"
		b.apply(s)
		if n := b.runs(); n != 2 {
			t.Errorf("%d runs before the delivery has ended", n)
		}
		time.Sleep(3 * time.Second)
		if n := b.runs(); n != 3 || b.most != 2 {
			t.Errorf("%d runs, %d at once", n, b.most)
		}
	})
}

func TestDispatcher_WaitsForItsTime(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		s := sub("s")
		s.StartingAt, s.EndingAt = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		b.apply(s)
		b.want("before", "s waiting: starts at "+s.StartingAt.UTC().Format(time.RFC3339))
		time.Sleep(time.Hour)
		b.want("at its time", "s running")
		time.Sleep(time.Hour)
		b.want("after", "s ended")
		time.Sleep(24 * time.Hour)
		if n := b.runs(); n != 1 {
			t.Errorf("%d runs", n)
		}
		s = sub("late")
		s.EndingAt = time.Now().Add(-time.Second)
		b.apply(s)
		b.want("never", "late ended", "s ended")
	})
}

func TestDispatcher_TechnicalFailuresAreTriedAgain(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		begun := []time.Time{}
		b.run = func(ctx context.Context, _ *flow.Push) error {
			begun = append(begun, time.Now())
			if len(begun) == 12 {
				<-ctx.Done()
				return nil
			}
			if len(begun) == 10 {
				time.Sleep(time.Hour) // it works, for a time
			}
			return &message.Failure{Status: 503, Key: message.KeyConnectionFailed, Message: "away", Retry: true}
		}
		b.apply(sub("s"))
		b.want("after the first failure", "s retrying: away (FAILURE_ENDPOINT_CONNECTION_FAILED)")
		time.Sleep(3 * time.Hour)
		b.want("in the end", "s running")
		for i, full := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300} {
			full *= time.Second
			if wait := begun[i+1].Sub(begun[i]); wait < full/2 || wait > full {
				t.Errorf("waited %v after failure %d, want %v to %v", wait, i+1, full/2, full)
			}
		}
		if wait := begun[10].Sub(begun[9]) - time.Hour; wait > 5*time.Second {
			t.Errorf("waited %v after the first failure of a run that had worked", wait)
		}
		if n := b.counters.Push.Retries.Load(); n != 11 {
			t.Errorf("%d retries counted", n)
		}
	})
}

func TestDispatcher_BusinessFailuresAreNot(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.run = func(context.Context, *flow.Push) error {
			return fmt.Errorf("deliver: %w", &message.Failure{Status: 401, Message: "Unauthorized"})
		}
		nameless := sub("nameless")
		nameless.EntrypointID = ""
		b.apply(sub("s"), nameless)
		time.Sleep(time.Hour)
		b.apply(sub("s"))
		b.Served([]string{"a"})
		b.want("at rest", "nameless failed: the subscription's configuration names no entrypoint", "s failed: deliver: Unauthorized")
		if n := b.runs(); n != 1 {
			t.Errorf("%d runs", n)
		}
		changed := sub("s")
		changed.Metadata = map[string]string{"fixed": "yes"}
		b.apply(changed)
		if n := b.runs(); n != 2 {
			t.Errorf("%d runs after it changed", n)
		}
	})
}

func TestDispatcher_NothingMoreToDeliver(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.run = func(context.Context, *flow.Push) error { return nil }
		b.apply(sub("s"))
		b.want("over", "s ended")
	})
}

func TestDispatcher_WaitsForItsAPI(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.deploy(false)
		b.apply(sub("s"))
		b.want("not deployed", "s waiting: the API is not deployed here")
		b.Served([]string{"b"})
		b.want("another API", "s waiting: the API is not deployed here")
		b.deploy(true)
		b.want("deployed", "s running")
	})
}

// TestDispatcher_GoesOnWithTheNextRevision: at once, and without waiting for anybody else.
func TestDispatcher_GoesOnWithTheNextRevision(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.run = func(ctx context.Context, p *flow.Push) error {
			select {
			case <-ctx.Done():
				return nil
			case <-b.ends():
			}
			if p.Dispatch.ID == "slow" {
				time.Sleep(time.Minute) // a delivery under way
			}
			return flow.ErrEnded
		}
		b.apply(sub("s"), sub("slow"))
		b.deploy(true)
		if n := b.runs(); n != 3 {
			t.Errorf("%d runs, want s twice and slow once", n)
		}
		b.want("both", "s running", "slow running")
		time.Sleep(time.Minute)
		if n := b.runs(); n != 4 {
			t.Errorf("%d runs, want both twice", n)
		}
		b.deploy(false)
		time.Sleep(time.Minute)
		b.want("removed", "s waiting: the API is not deployed here", "slow waiting: the API is not deployed here")
	})
}

// TestDispatcher_RetriesWhenTheAPIChanges: a new revision may be what was missing.
func TestDispatcher_RetriesWhenTheAPIChanges(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		b.run = func(context.Context, *flow.Push) error { return errors.New("no broker") }
		b.apply(sub("s"))
		b.Served([]string{"a"})
		if n := b.runs(); n != 2 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestDispatcher_RunsAtMostSoMany(t *testing.T) {
	in(t, dispatch.Config{Max: 2}, func(b *bed) {
		var all []*bundle.Subscription
		for i := range 5 {
			all = append(all, sub(fmt.Sprint(i)))
		}
		b.apply(all...)
		count := map[dispatch.Kind]int{}
		for _, s := range b.States() {
			count[s.State]++
		}
		if count[dispatch.Running] != 2 || count[dispatch.Waiting] != 3 || b.counters.Push.States[dispatch.Waiting].Load() != 3 {
			t.Errorf("states %v", count)
		}
		for i := range 4 {
			b.Apply(t.Context(), nil, []string{fmt.Sprint(i)}, false)
		}
		b.want("the last one has its turn", "4 running")
		if b.most > 2 {
			t.Errorf("%d at once", b.most)
		}
	})
}

func TestDispatcher_ReplaysRunBesideTheLiveDelivery(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		tries := 0
		untils := []string{}
		b.run = func(ctx context.Context, p *flow.Push) error {
			switch p.Dispatch.From {
			case "c1":
				return nil
			case "@2026-11-01T00:00:00Z":
				untils = append(untils, p.Dispatch.Until)
				if tries++; tries == 1 {
					return errors.New("lost the broker")
				}
			}
			<-ctx.Done()
			return nil
		}
		b.apply(sub("s"))
		s := sub("s")
		s.Replays = []bundle.Replay{{ID: "r1", From: "c1", Until: "c2"}, {ID: "r2", From: "@2026-11-01T00:00:00Z"}}
		now := time.Now().UTC().Format(time.RFC3339Nano)
		b.apply(s)
		if n := b.runs(); n != 3 {
			t.Fatalf("%d runs: the live delivery must not be disturbed", n)
		}
		for _, p := range b.begun[1:] {
			if x := p.Exchange; x.ClientSupplied || x.Subscription != "s" || x.ClientIdentifier != "s" {
				t.Errorf("a replay's exchange %+v", x)
			}
		}
		b.want("beside", "s running", "s/r1 ended", "s/r2 retrying: lost the broker")
		time.Sleep(time.Minute)
		b.want("later", "s running", "s/r1 ended", "s/r2 running")
		if diff := cmp.Diff([]string{"@" + now, "@" + now}, untils); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		s = sub("s")
		s.Replays = []bundle.Replay{{ID: "r2", From: "@2026-11-01T00:00:00Z"}}
		b.apply(s)
		b.want("one was taken back", "s running", "s/r2 running")
		if n := b.runs(); n != 4 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestDispatcher_RestsAndAttempts(t *testing.T) {
	in(t, dispatch.Config{Attempts: 3}, func(b *bed) {
		b.apply(sub("s"))
		d := b.begun[0].Dispatch
		d.Rests("circuit open")
		b.want("rests", "s resting: circuit open")
		time.Sleep(time.Hour)
		since := b.States()[0].Since
		d.Rests("circuit open, 2 probes failed")
		if got := b.States()[0]; !got.Since.Equal(since) {
			t.Errorf("since %v, want %v: it still rests", got.Since, since)
		}
		d.Rests("")
		b.want("goes on", "s running")
		for i := range 5 {
			d.Attempted(connectors.Attempt{Message: fmt.Sprint(i), Outcome: connectors.Delivered, Err: strings.Repeat("é", 1_000)})
		}
		got := b.Attempts("s")
		if len(got) != 3 || got[0].Message != "2" || got[2].Message != "4" || len(got[0].Err) > 512 {
			t.Errorf("attempts %+v", got)
		}
		if n := b.counters.Push.Attempts[connectors.Delivered].Load(); n != 5 {
			t.Errorf("%d counted", n)
		}
		b.Apply(t.Context(), nil, []string{"s"}, false)
		d.Rests("circuit open")
		b.want("what an old run says does not count")
		if got := b.Attempts("s"); got != nil {
			t.Errorf("kept %v", got)
		}
	})
}

func TestDispatcher_BoundsItsMemoryOfAttempts(t *testing.T) {
	in(t, dispatch.Config{HistoryBytes: 10_000}, func(b *bed) {
		var all []*bundle.Subscription
		for i := range 20 {
			all = append(all, sub(fmt.Sprint(i)))
		}
		b.apply(all...)
		for _, p := range b.begun {
			for range 10 {
				p.Dispatch.Attempted(connectors.Attempt{Message: "m"})
			}
		}
		kept := 0
		for _, p := range b.begun {
			kept += len(b.Attempts(p.Dispatch.ID))
		}
		if last := b.begun[19].Dispatch.ID; kept != 60 || len(b.Attempts(last)) != 10 {
			t.Errorf("%d attempts kept, %d of the last", kept, len(b.Attempts(last)))
		}
	})
}

// TestDispatcher_ChangeIsSeenAtOnce: from the moment of a change, nothing is told of what was before, and nothing that the old
// run says while it ends.
func TestDispatcher_ChangeIsSeenAtOnce(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		release := make(chan struct{})
		b.run = func(ctx context.Context, p *flow.Push) error {
			if p.Dispatch.Metadata["new"] == "" {
				p.Dispatch.Rests("the circuit is open")
				<-ctx.Done()
				<-release // it finishes what is under way
				p.Dispatch.Rests("the circuit is open again")
				p.Begun()
				return nil
			}
			<-ctx.Done()
			return nil
		}
		b.apply(sub("s"))
		b.want("before", "s resting: the circuit is open")
		changed := sub("s")
		changed.Metadata = map[string]string{"new": "yes"}
		told := b.notified
		b.Apply(b.t.Context(), []*bundle.Subscription{changed}, nil, false)
		if s := b.States()[0]; s.State != dispatch.Waiting || s.FailureCause != "" {
			t.Errorf("after the change it is %s: %s", s.State, s.FailureCause)
		}
		if b.notified == told {
			t.Error("nobody was told of the change")
		}
		b.want("while the old run ends", "s waiting")
		close(release)
		b.want("after", "s running")
	})
}

// TestDispatcher_StartIsTold: why a subscription waits is seen from the first moment.
func TestDispatcher_StartIsTold(t *testing.T) {
	in(t, dispatch.Config{}, func(b *bed) {
		later := sub("s")
		later.StartingAt = time.Now().Add(time.Hour)
		b.Apply(b.t.Context(), []*bundle.Subscription{later}, nil, false)
		if s := b.States()[0]; s.State != dispatch.Waiting || !strings.HasPrefix(s.FailureCause, "starts at ") {
			t.Errorf("it is %s: %q", s.State, s.FailureCause)
		}
	})
}
