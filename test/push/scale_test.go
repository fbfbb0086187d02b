package push

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestFeed_ColdStart(t *testing.T) {
	g, h, srv, _, _ := cluster(t)
	h.fill(2_000, 3_000)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	w.sink.serves(t, h.expected())
	changed := 0
	for _, u := range w.sink.seen() { // more than one when the worker was faster than the change
		changed += len(u.Changed)
	}
	if changed != 2_000 {
		t.Errorf("%d changes for 2,000 APIs", changed)
	}
}

func TestFeed_FiftyWorkersAtOnce(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	h.fill(500, 3_000)
	ws := make([]*worker, 50)
	for i := range ws {
		ws[i] = startWorker(t, g, fmt.Sprintf("w-%02d", i), nil, at(srv.URL()), func(c *feed.Config) { c.Period = time.Second })
	}
	for _, w := range ws {
		waitReady(t, w)
	}
	waitLive(t, leader, len(ws))
	rev := h.deploy("orders", []byte("1"))
	out, err := leader.Await(within(t), "orders", rev)
	must(t, err)
	if len(out.Serving) != len(ws) {
		t.Fatalf("served by %d", len(out.Serving))
	}
	for _, w := range ws {
		w.sink.serves(t, h.expected())
	}
}

// TestFeed_BusyNodeTurnsAway: with one slot for transfers, workers still all get theirs, one after the other.
func TestFeed_BusyNodeTurnsAway(t *testing.T) {
	g, h := newGrants(), newHistory()
	srv, _ := server(t, g, "")
	n := controlNode(t, g, h, "node-1", natsserver.DialConfig{InProcess: srv}, func(c *push.Config) { c.Transfers = 1 })
	n.replica.lead(1)
	h.fill(300, 5_000)
	ws := make([]*worker, 5)
	for i := range ws {
		ws[i] = startWorker(t, g, fmt.Sprintf("w-%d", i), nil, at(srv.URL()))
	}
	for _, w := range ws {
		waitReady(t, w)
		w.sink.serves(t, h.expected())
	}
}

func TestPush_DefinitionOfFourMiB(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	big := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	rev := h.deploy("big", big)
	_, err := leader.Await(within(t), "big", rev)
	must(t, err)
	w.sink.until(t, "the whole definition", func(apis map[string]feed.Deployment) bool {
		return bytes.Equal(apis["big"].Definition, big)
	})
	cold := startWorker(t, g, "cold", nil, at(srv.URL()))
	waitReady(t, cold)
	cold.sink.serves(t, h.expected())

	over := h.deploy("over", make([]byte, wire.MaxDefinitionBytes+1))
	out, err := leader.Await(within(t), "over", over)
	must(t, err)
	if len(out.Failures) != 1 || out.Failures[0].State != push.StateRejected {
		t.Fatalf("over the limit: %+v", out)
	}
}

// TestFeed_ServesOnWithoutControlPlane: workers start before anything else, survive the loss of all of it, and come to
// the newest state with no restart. What did not change is not sent again.
func TestFeed_ServesOnWithoutControlPlane(t *testing.T) {
	g, h := newGrants(), newHistory()
	h.fill(300, 3_000)
	first, firstRun := server(t, g, "")
	addr := first.URL()
	u, err := url.Parse(addr)
	must(t, err)
	firstRun.stop()
	w := startWorker(t, g, "w", nil, at(addr)) // NATS is down

	up := func(term uint64) (*node, *runner) {
		srv, run := server(t, g, u.Host)
		n := controlNode(t, g, h, fmt.Sprintf("node-%d", term), natsserver.DialConfig{InProcess: srv})
		n.replica.lead(term)
		return n, run
	}
	n, run := up(1)
	waitReady(t, w)
	w.sink.serves(t, h.expected())
	n.stop()
	run.stop()

	h.remove("api-00007")
	changed := h.deploy("api-00009", []byte("new"))
	w.sink.mu.Lock()
	if len(w.sink.apis) != 300 {
		t.Errorf("serves %d without a control plane", len(w.sink.apis))
	}
	w.sink.mu.Unlock()
	n, _ = up(2) // it has no memory of what was removed: the worker gets a manifest
	_, err = n.Await(within(t), "api-00009", changed)
	must(t, err)
	w.sink.serves(t, h.expected())
	seen := w.sink.seen()
	if last := seen[len(seen)-1]; len(seen) != 2 || last.Full || len(last.Changed) != 1 || !slices.Equal(last.Removed, []string{"api-00007"}) {
		t.Errorf("%d updates, the last with %d changed, %v removed", len(seen), len(last.Changed), last.Removed)
	}
}

// TestFeed_BusySinkGetsTheLatest: while Apply is busy changes add up, and each API comes once.
func TestFeed_BusySinkGetsTheLatest(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	hold := make(chan struct{})
	w.sink.setHold(hold)
	h.deploy("blocks", nil)
	var last uint64
	for i := range 50 {
		last = h.deploy("orders", []byte{byte(i)})
	}
	w.sink.setHold(nil)
	close(hold)
	_, err := leader.Await(within(t), "orders", last)
	must(t, err)
	if n := len(w.sink.seen()); n > 25 { // exactly 3 when the pushes arrive while the sink is held
		t.Errorf("%d updates", n)
	}
}

// TestPush_AnyNodeAnswers: with the leader gone, a follower gives a new worker everything.
func TestPush_AnyNodeAnswers(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	h.fill(300, 3_000)
	leader.stop()
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	w.sink.serves(t, h.expected())
	follower.replica.lead(2)
	rev := h.deploy("orders", nil)
	_, err := follower.Await(within(t), "orders", rev)
	must(t, err)
}
