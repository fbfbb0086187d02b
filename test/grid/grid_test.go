//go:build e2e

package grid_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/grid"
	"github.com/sluice-gateway/sluice/test/process"
)

func TestMain(m *testing.M) {
	defer process.CleanUp()
	m.Run()
}

// TestGrid_EveryServedCell takes every served cell through one fault. The full grid, every cell under every fault, is
// 'make test-grid'.
func TestGrid_EveryServedCell(t *testing.T) {
	cells, err := grid.Cells()
	if err != nil {
		t.Fatal(err)
	}
	w, err := grid.NewWorld(t.Context(), t.TempDir(), cells)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	for _, g := range grid.Short(cells) {
		options, most := grid.Options{Messages: 2400, Span: 4 * time.Second, Dir: t.ArtifactDir()}, 18
		if g.Fault.Name == grid.Without { // there is nothing to wait for
			options.Messages, options.Span, most = 600, time.Second, 36
		}
		for _, batch := range g.Batches(most) {
			results, err := w.Run(t.Context(), g.Fault, batch, options)
			if err != nil {
				t.Fatalf("%v\n%s", err, w.Logs())
			}
			for i := range results {
				judged(t, &results[i], options.Messages)
			}
		}
	}
}

// judged fails where a promise was broken, or where a run had nothing to break one with.
func judged(t *testing.T, r *grid.Result, messages int) {
	t.Helper()
	t.Logf("%-50s %-18s %5d produced %5d stored %5d delivered %4d lost %4d twice %d gaps %.1f s", r.Cell, r.Fault, r.Produced, r.Stored,
		r.Delivered, r.Lost, r.Duplicated, r.Gaps, r.Seconds)
	if err := r.Err(); err != nil {
		t.Errorf("%v; its history is %s", err, r.History())
	}
	if r.Produced < messages/2 || r.Delivered == 0 && (r.Endpoint != "mock" || r.Direction == grid.Subscribe) {
		t.Errorf("%s under %s proves nothing: %+v", r.Cell, r.Fault, r)
	}
}
