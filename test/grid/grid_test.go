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
	options := grid.Options{Messages: 3000, Span: 5 * time.Second, Dir: t.ArtifactDir()}
	for _, g := range grid.Short(cells) {
		if len(g.Cells) == 0 {
			continue
		}
		results, err := w.Run(t.Context(), g.Fault, g.Cells, options)
		if err != nil {
			t.Fatalf("%v\n%s", err, w.Logs())
		}
		for i := range results {
			r := &results[i]
			t.Logf("%-40s %-18s %5d produced %5d stored %5d delivered %4d lost %4d twice %d gaps %.1f s", r.Cell, r.Fault, r.Produced, r.Stored,
				r.Delivered, r.Lost, r.Duplicated, r.Gaps, r.Seconds)
			if err := r.Err(); err != nil {
				t.Errorf("%v; its history is %s", err, r.History())
			}
			if r.Produced < options.Messages/2 || r.Delivered == 0 && r.Endpoint != "mock" {
				t.Errorf("%s under %s proves nothing: %+v", r.Cell, r.Fault, r)
			}
		}
	}
}
