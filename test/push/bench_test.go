package push

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
)

// BenchmarkColdStart is a worker's start with 10,000 APIs of 3 KiB each, over TCP on loopback.
func BenchmarkColdStart(b *testing.B) {
	g, h, srv, _ := benchCluster(b)
	h.fill(10_000, 3_000)
	warm := startWorker(b, g, "warm", nil, at(srv.URL()))
	waitReady(b, warm)
	warm.stop()
	for i := 0; b.Loop(); i++ {
		w := startWorker(b, g, fmt.Sprintf("w-%d", i), nil, at(srv.URL()))
		waitReady(b, w)
		w.stop()
	}
}

// BenchmarkCreateToApplied is one change among 10,000 APIs on 10 workers: from the change of the replicated state until
// every worker has reported that it serves it. The percentiles are over all of them.
func BenchmarkCreateToApplied(b *testing.B) {
	g, h, srv, leader := benchCluster(b)
	h.fill(10_000, 3_000)
	for i := range 10 {
		w := startWorker(b, g, fmt.Sprintf("w-%d", i), nil, at(srv.URL()), func(c *feed.Config) { c.Period = time.Second })
		waitReady(b, w)
	}
	waitLive(b, leader, 10)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		id := fmt.Sprintf("new-%d", i%1_000)
		rev := h.deploy(id, definition(id, uint64(i), 3_000))
		out, err := leader.Await(within(b), id, rev)
		must(b, err)
		if len(out.Serving) != 10 {
			b.Fatalf("served by %v", out.Serving)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
}

// BenchmarkBulk is 10,000 APIs deployed at once, until 10 workers serve them all.
func BenchmarkBulk(b *testing.B) {
	g, h, srv, leader := benchCluster(b)
	for i := range 10 {
		w := startWorker(b, g, fmt.Sprintf("w-%d", i), nil, at(srv.URL()), func(c *feed.Config) { c.Period = time.Second })
		waitReady(b, w)
	}
	waitLive(b, leader, 10)
	for b.Loop() {
		rev := h.fill(10_000, 3_000)
		_, err := leader.Await(within(b), "api-09999", rev)
		must(b, err)
	}
}

func benchCluster(b *testing.B) (*grants, *history, *natsserver.Server, *node) {
	b.Helper()
	g, h := newGrants(), newHistory()
	srv, _ := server(b, g, "")
	leader := controlNode(b, g, h, "node-1", natsserver.DialConfig{InProcess: srv},
		func(c *push.Config) { c.Heartbeat = time.Second })
	leader.replica.lead(1)
	return g, h, srv, leader
}
