//go:build !race

package flow_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestBackend_PublishAllocatesNothing: neither the choice of an endpoint nor the watch over it.
func TestBackend_PublishAllocatesNothing(t *testing.T) {
	for _, endpoints := range [][]string{{"a"}, {"a", "b", "c"}} {
		f := newFarm(t, "weighted-round-robin", endpoints...).deploy()
		f.asked = make([]string, 0, 4_096)
		a := &ack{errs: make([]error, 0, 4_096)}
		x, ctx := &exchange.Exchange{}, t.Context()
		if n := testing.AllocsPerRun(1_000, func() {
			x.Endpoint = 0
			m := message.Get()
			m.SetAck(a)
			f.post.Publish(ctx, x, m)
		}); n != 0 {
			t.Errorf("%d endpoints: %v allocations", len(endpoints), n)
		}
	}
}
