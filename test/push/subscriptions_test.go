package push

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// TestFeed_SubscriptionsComeBesideTheAPIs: a change of a subscription touches no API, and the other way round; it goes where
// its tags go, and a worker that restarts gets all that there is.
func TestFeed_SubscriptionsComeBesideTheAPIs(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	h.deploy("same-id", []byte("api"), "eu")
	first := h.subscribe("same-id", []byte("one"), "eu")
	eu := startWorker(t, g, "eu", []string{"eu"}, at(srv.URL()))
	us := startWorker(t, g, "us", []string{"us"}, at(srv.URL()))
	all := startWorker(t, g, "all", nil, at(srv.URL()))
	for _, w := range []*worker{eu, us, all} {
		waitReady(t, w)
	}
	waitLive(t, leader, 3)
	eu.sink.subscribed(t, map[string]uint64{"same-id": first})
	us.sink.subscribed(t, nil)
	seen := len(all.sink.seen())

	second := h.subscribe("same-id", []byte("two"), "us") // its API has moved
	eu.sink.subscribed(t, nil)
	us.sink.subscribed(t, map[string]uint64{"same-id": second})
	all.sink.subscribed(t, h.subscribed())
	for _, u := range all.sink.seen()[seen:] {
		if len(u.Changed)+len(u.Removed) > 0 || u.Full {
			t.Fatalf("a subscription's change touched APIs: %+v", u)
		}
	}
	h.deploy("same-id", []byte("again"), "eu")
	eu.sink.serves(t, h.expected("eu"))
	for _, u := range us.sink.seen() {
		if len(u.Changed) > 0 {
			t.Fatalf("a worker got what is not for it: %+v", u)
		}
	}
	us.stop()
	h.subscribe("second", []byte("x"), "us")
	us = startWorker(t, g, "us", []string{"us"}, at(srv.URL()))
	waitReady(t, us)
	us.sink.subscribed(t, h.subscribed("us"))
	us.sink.until(t, "the definitions are whole", func(map[string]feed.Deployment) bool { // under the sink's lock
		return string(us.sink.subs["same-id"].Definition) == "two" && string(us.sink.subs["second"].Definition) == "x"
	})
	if updates := us.sink.seen(); !updates[0].Full { // what it holds depends on how far the node was that answered
		t.Fatalf("after a restart: %+v", updates[0])
	}
	h.unsubscribe("same-id")
	h.unsubscribe("second")
	us.sink.subscribed(t, nil)
	all.sink.subscribed(t, nil)
}

// TestFeed_ManySubscriptions: a worker starts with them beside 10,000 APIs, and a change of one comes alone.
func TestFeed_ManySubscriptions(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	g, h, srv, leader, _ := cluster(t)
	h.fill(10_000, 300)
	h.fillWith(wire.ItemSubscription, "sub", 50_000, 300, nil)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	w.sink.subscribed(t, h.subscribed())
	waitLive(t, leader, 1)
	before := len(w.sink.seen())
	h.subscribe("sub-00007", []byte("changed"))
	w.sink.subscribed(t, h.subscribed())
	if u := w.sink.seen()[before:]; len(u) != 1 || len(u[0].Subscriptions) != 1 || len(u[0].Changed) != 0 {
		t.Fatalf("one change made %d updates", len(u))
	}
}

// standing is what a worker says of its subscriptions; it is a feed.Subscriptions.
type standing struct {
	mu       sync.Mutex
	states   []feed.SubscriptionState
	attempts map[string][]connectors.Attempt
}

func (s *standing) States() []feed.SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.states)
}

func (s *standing) Attempts(id string) []connectors.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts[id])
}

// say sets the states and has the feed tell them.
func (s *standing) say(w *worker, states ...feed.SubscriptionState) {
	s.mu.Lock()
	s.states = states
	s.mu.Unlock()
	w.SubscriptionsChanged()
}

func telling(s *standing) func(*feed.Config) {
	return func(c *feed.Config) { c.Subscriptions = s }
}

// told waits until the node knows that the subscription stands so on every worker.
func told(t *testing.T, n *node, id string, want ...push.SubscriptionKind) []push.SubscriptionState {
	t.Helper()
	var last []push.SubscriptionState
	watch(t, n, fmt.Sprintf("%s is %v", id, want), func([]push.Worker) bool {
		last = n.Subscription(id)
		var got []push.SubscriptionKind
		for _, s := range last {
			got = append(got, s.State)
		}
		return slices.Equal(got, want)
	})
	return last
}

// TestFeed_TellsHowSubscriptionsStand: what does not simply run is told, with the revision that it is about.
func TestFeed_TellsHowSubscriptionsStand(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	one, two := &standing{}, &standing{}
	w1 := startWorker(t, g, "w1", nil, at(srv.URL()), telling(one))
	w2 := startWorker(t, g, "w2", nil, at(srv.URL()), telling(two))
	waitReady(t, w1)
	waitReady(t, w2)
	waitLive(t, follower, 2)
	first := h.subscribe("s", []byte("1"))
	w1.sink.subscribed(t, h.subscribed())
	w2.sink.subscribed(t, h.subscribed())
	told(t, follower, "s", push.SubscriptionRunning, push.SubscriptionRunning)

	lag, since := uint64(7), time.Now()
	one.say(w1, feed.SubscriptionState{ID: "s", State: feed.Retrying, Cause: "no broker", Since: since, Lag: &lag},
		feed.SubscriptionState{ID: "s", Replay: "r1", State: feed.Ended}, feed.SubscriptionState{ID: "s", Replay: "r2", State: feed.FailedSubscription, Cause: "bad cursor"},
		feed.SubscriptionState{ID: "s", Replay: "r3", State: feed.Running}, feed.SubscriptionState{ID: "simple", State: feed.Running})
	got := told(t, leader, "s", push.SubscriptionRetrying, push.SubscriptionRunning)
	if s := got[0]; s.Worker != "w1" || s.Cause != "no broker" || *s.Lag != 7 || s.Revision != first || s.Since.UnixMilli() != since.UnixMilli() {
		t.Errorf("told %+v", s)
	}
	want := []push.ReplayEnd{{Worker: "w1", Subscription: "s", Replay: "r1"}, {Worker: "w1", Subscription: "s", Replay: "r2", Error: "bad cursor"}}
	if ended := leader.Ended(); !slices.Equal(ended, want) {
		t.Errorf("ended %+v", ended)
	}
	two.say(w2, feed.SubscriptionState{ID: "s", State: feed.FailedSubscription, Cause: "401", Since: time.Now()})
	told(t, leader, "s", push.SubscriptionRetrying, push.SubscriptionFailed)
	if failed := leader.Failed(); len(failed) != 1 || failed[0].ID != "s" || failed[0].Worker != "w2" || failed[0].Revision != first || failed[0].Cause != "401" {
		t.Errorf("failed %+v", failed)
	}

	// What began before the worker had the next revision is not about that one.
	second := h.subscribe("s", []byte("2"))
	w2.sink.subscribed(t, h.subscribed())
	w1.sink.subscribed(t, h.subscribed())
	told(t, leader, "s", push.SubscriptionRunning, push.SubscriptionRunning)
	if failed := leader.Failed(); len(failed) != 1 || failed[0].Revision != first {
		t.Errorf("a failure of revision %d is told of %d: %+v", first, second, failed)
	}
	two.say(w2, feed.SubscriptionState{ID: "s", State: feed.FailedSubscription, Cause: "403", Since: time.Now()})
	told(t, leader, "s", push.SubscriptionRunning, push.SubscriptionFailed)
	if failed := leader.Failed(); failed[0].Revision != second {
		t.Errorf("failed %+v", failed)
	}
	two.say(w2)
	one.say(w1)
	told(t, leader, "s", push.SubscriptionRunning, push.SubscriptionRunning)
	if workers, settled := leader.Candidates("s"); !settled || !slices.Equal(workers, []string{"w1", "w2"}) {
		t.Errorf("candidates %v, settled %t", workers, settled)
	}
	if workers, _ := leader.Candidates("unknown"); workers != nil {
		t.Errorf("candidates of nothing: %v", workers)
	}
}

// TestPush_CollectsAttempts: every worker is asked, the newest come first, and who does not answer is named.
func TestPush_CollectsAttempts(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	began := time.Now().Truncate(time.Millisecond).UTC()
	try := func(n int) connectors.Attempt {
		return connectors.Attempt{
			At: began.Add(time.Duration(n) * time.Second), Took: 1500 * time.Microsecond, Message: fmt.Sprint("m", n), Number: n, Status: 503,
			Err: "unavailable", Next: began.Add(time.Minute), Outcome: connectors.Retried, Messages: 1, Bytes: 12,
		}
	}
	one := &standing{attempts: map[string][]connectors.Attempt{"s": {try(1), try(3)}}}
	two := &standing{attempts: map[string][]connectors.Attempt{"s": {try(2), try(4)}, "other": {try(9)}}}
	for _, w := range []*worker{
		startWorker(t, g, "w1", nil, at(srv.URL()), telling(one)), startWorker(t, g, "w2", nil, at(srv.URL()), telling(two)),
		startWorker(t, g, "mute", nil, at(srv.URL())), startWorker(t, g, "us", []string{"us"}, at(srv.URL()), telling(&standing{})),
	} {
		waitReady(t, w)
	}
	for _, n := range []*node{leader, follower} {
		waitLive(t, n, 4)
		h.subscribe("s", []byte("1"), "eu")
		watch(t, n, "the subscription is known", func([]push.Worker) bool { w, _ := n.Candidates("s"); return len(w) == 3 })
		all, silent, err := n.Attempts(within(t), "s", 3)
		must(t, err)
		var order []string
		for _, a := range all {
			order = append(order, a.Worker+" "+a.Message)
		}
		if !slices.Equal(order, []string{"w2 m4", "w1 m3", "w2 m2"}) || !slices.Equal(silent, []string{"mute"}) {
			t.Fatalf("%+v: attempts %v, silent %v", n.replica.Leader(), order, silent)
		}
		want := push.Attempt{
			Worker: "w2", At: began.Add(4 * time.Second), Took: 1500 * time.Microsecond, Message: "m4", Number: 4, Status: 503,
			Error: "unavailable", Next: began.Add(time.Minute), Outcome: "retried", Messages: 1, Bytes: 12,
		}
		if all[0] != want {
			t.Fatalf("got %+v, want %+v", all[0], want)
		}
	}
}

// TestPermissions_AWorkerAnswersForItselfOnly: it hears no other worker's questions and cannot answer them.
func TestPermissions_AWorkerAnswersForItselfOnly(t *testing.T) {
	g, _, srv, _, _ := cluster(t)
	nc, err := natsserver.Dial(natsserver.DialConfig{Node: "w1", InProcess: srv, Seed: g.worker(t, "w1").seed, Log: logger(t)})
	must(t, err)
	t.Cleanup(nc.Close)
	must(t, natsserver.WaitConnected(within(t), nc))
	for _, c := range []struct {
		subject string
		allowed bool
	}{
		{wire.AttemptsSubject("w1"), true}, {wire.AttemptsSubject("w2"), false}, {wire.ReplyPattern("node-1"), false},
		{wire.RevisionSubject(wire.Everything.Of(wire.ItemSubscription)), true}, {wire.RevisionSubject("eu"), false},
		{wire.RevisionSubject(wire.Stream("eu").Of(wire.ItemSubscription)), false},
	} {
		_, err := nc.SubscribeSync(c.subject)
		must(t, err)
		must(t, nc.Flush()) // the server has said no by then, if it does
		refused := nc.LastError() != nil && strings.Contains(nc.LastError().Error(), strconv.Quote(c.subject))
		if refused == c.allowed {
			t.Errorf("subscribe to %s: %v", c.subject, nc.LastError())
		}
	}
	heard, _ := eavesdrop(t, g, srv)
	answers, err := heard.SubscribeSync(wire.ReplyPattern("node-1"))
	must(t, err)
	must(t, heard.Flush())
	must(t, nc.Publish(wire.ReplySubject("w2", "node-1", "r"), []byte("for another")))
	must(t, nc.Publish(wire.ReplySubject("w1", "node-1", "r"), []byte("mine")))
	if got := next(t, answers); string(got) != "mine" {
		t.Errorf("heard %q", got)
	}
}
