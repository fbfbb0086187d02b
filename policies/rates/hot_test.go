//go:build !race

package rates_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/policies/rates"
)

func TestTable_HitAllocatesNothing(t *testing.T) {
	w := newWorker(1, 3)
	c := call("k", 1_000_000)
	c.Period = rates.Period{N: 1, Unit: rates.Hours}
	hit(t, &w.Table, c)
	if n := testing.AllocsPerRun(1000, func() { _, _ = w.Hit(t.Context(), c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
