package push

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
)

// cluster is a NATS server and two control-plane nodes, the first of which leads.
func cluster(t testing.TB) (*grants, *history, *natsserver.Server, *node, *node) {
	t.Helper()
	g, h := newGrants(), newHistory()
	srv, _ := server(t, g, "")
	leader := controlNode(t, g, h, "node-1", natsserver.DialConfig{InProcess: srv})
	follower := controlNode(t, g, h, "node-2", natsserver.DialConfig{InProcess: srv})
	leader.replica.lead(1)
	return g, h, srv, leader, follower
}

func TestAwait_WaitsForEveryWorkerThatShouldServe(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	one := startWorker(t, g, "one", []string{"eu"}, at(srv.URL()))
	two := startWorker(t, g, "two", []string{"eu", "us"}, at(srv.URL()))
	other := startWorker(t, g, "other", []string{"us"}, at(srv.URL()))
	for _, w := range []*worker{one, two, other} {
		waitReady(t, w)
	}
	waitLive(t, leader, 3)
	waitLive(t, follower, 3)

	hold := make(chan struct{})
	two.sink.setHold(hold)
	rev := h.deploy("orders", []byte("1"), "eu")
	short, cancel := context.WithTimeout(t.Context(), 4*beat)
	defer cancel()
	out, err := follower.Await(short, "orders", rev)
	if !errors.Is(err, push.ErrNotServed) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("one worker is busy: %+v %v", out, err)
	}
	two.sink.setHold(nil)
	close(hold)
	for _, n := range []*node{leader, follower} { // any node may be asked
		out, err = n.Await(within(t), "orders", rev)
		must(t, err)
		if strings.Join(out.Serving, " ") != "one two" || !out.Served() {
			t.Fatalf("outcome %+v", out)
		}
	}
	newer := h.deploy("orders", []byte("2"), "eu")
	_, err = leader.Await(within(t), "orders", newer)
	must(t, err)
	out, err = leader.Await(within(t), "orders", rev)
	must(t, err)
	if !out.Served() {
		t.Fatalf("a newer revision does not count: %+v", out)
	}
	moved := h.deploy("orders", []byte("3"), "us") // to another tag
	out, err = follower.Await(within(t), "orders", moved)
	must(t, err)
	if strings.Join(out.Serving, " ") != "other two" {
		t.Fatalf("outcome after the move %+v", out)
	}
	one.sink.serves(t, nil)
}

func TestAwait_ReportsFailure(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	good := h.deploy("orders", []byte("1"))
	_, err := leader.Await(within(t), "orders", good)
	must(t, err)

	w.sink.fail("orders", "/endpointGroups/0: no such broker")
	bad := h.deploy("orders", []byte("2"))
	for _, n := range []*node{leader, follower} {
		out, err := n.Await(within(t), "orders", bad)
		must(t, err)
		if len(out.Failures) != 1 || out.Served() {
			t.Fatalf("outcome %+v", out)
		}
		f := out.Failures[0]
		if f.Worker != "w" || f.State != push.StateFailed || f.Revision != bad || f.Serving != good || f.Error != "/endpointGroups/0: no such broker" {
			t.Fatalf("failure %+v", f)
		}
	}
	if got := w.sink.revisions()["orders"]; got != good {
		t.Fatalf("serving %d, want the old %d", got, good)
	}
	w.Report(feed.Result{APIID: "orders", Revision: bad, State: feed.Serving}) // built later after all
	watch(t, leader, "failure taken back", func([]push.Worker) bool { return leader.Status("orders").Served() })

	w.sink.fail("orders", "")
	fixed := h.deploy("orders", []byte("3"))
	out, err := leader.Await(within(t), "orders", fixed)
	must(t, err)
	if !out.Served() {
		t.Fatalf("outcome %+v", out)
	}
}

func TestAwait_NoWorkers(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	rev := h.deploy("orders", []byte("1"), "eu")
	short, cancel := context.WithTimeout(t.Context(), 3*beat)
	defer cancel()
	if out, err := leader.Await(short, "orders", rev); !errors.Is(err, push.ErrNoWorkers) {
		t.Fatalf("no worker: %+v %v", out, err)
	}
	startWorker(t, g, "elsewhere", []string{"us"}, at(srv.URL()))
	waitLive(t, leader, 1)
	short, cancel = context.WithTimeout(t.Context(), 3*beat)
	defer cancel()
	if out, err := leader.Await(short, "orders", rev); !errors.Is(err, push.ErrNoWorkers) {
		t.Fatalf("only a worker of another tag: %+v %v", out, err)
	}
	startWorker(t, g, "here", []string{"eu"}, at(srv.URL())) // one that comes is waited for
	out, err := leader.Await(within(t), "orders", rev)
	must(t, err)
	if strings.Join(out.Serving, " ") != "here" {
		t.Fatalf("outcome %+v", out)
	}
}

func TestAwait_DoesNotWaitForTheDead(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	stays := startWorker(t, g, "stays", nil, at(srv.URL()))
	leaves := startWorker(t, g, "leaves", nil, at(srv.URL()))
	stuck := startWorker(t, g, "stuck", nil, at(srv.URL()), func(c *feed.Config) { c.Period = 10 * time.Second })
	for _, w := range []*worker{stays, leaves, stuck} {
		waitReady(t, w)
	}
	waitLive(t, leader, 3)
	leaves.stop() // says good-bye
	waitLive(t, leader, 2)
	stuck.sink.setHold(make(chan struct{}))
	rev := h.deploy("orders", []byte("1"))
	stays.sink.serves(t, map[string]uint64{"orders": rev})
	done := make(chan error, 1)
	go func() {
		_, err := leader.Await(within(t), "orders", rev)
		done <- err
	}()
	stuck.stop() // while it is waited for
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("waits for a worker that has left")
	}
}
