package push

import (
	"testing"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
)

func TestPush_OneAPIToOneWorker(t *testing.T) {
	g, h := newGrants(), newHistory()
	srv, _ := server(t, g, "")
	n := controlNode(t, g, h, "node-1", natsserver.DialConfig{InProcess: srv})
	n.replica.lead(1)
	w := startWorker(t, g, "worker-1", nil, at(srv.URL()))
	waitReady(t, w)

	rev := h.deploy("orders", []byte(`{"name":"orders"}`))
	out, err := n.Await(within(t), "orders", rev)
	must(t, err)
	if !out.Served() || len(out.Serving) != 1 || out.Serving[0] != "worker-1" {
		t.Fatalf("outcome %+v", out)
	}
	w.sink.serves(t, map[string]uint64{"orders": rev})

	rev = h.remove("orders")
	out, err = n.Await(within(t), "orders", rev)
	must(t, err)
	if !out.Served() || !out.Removed {
		t.Fatalf("outcome of the removal %+v", out)
	}
	w.sink.serves(t, nil)
}
