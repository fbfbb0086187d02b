//go:build !race

package dispatch

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
)

// TestHistory_AllocatesNothing: an attempt is kept for every message that is delivered.
func TestHistory_AllocatesNothing(t *testing.T) {
	var h history
	h.init(50, DefaultHistoryBytes)
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
		for range 50 {
			h.add(ids[i], connectors.Attempt{Message: "orders-0-7"})
		}
	}
	i := 0
	if n := testing.AllocsPerRun(1_000, func() {
		i++
		h.add(ids[i%len(ids)], connectors.Attempt{Message: "orders-0-8", Err: "busy"})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
