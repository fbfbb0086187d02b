package report

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/bench"
	"github.com/sluice-gateway/sluice/bench/load"
)

func sample() *bench.Result {
	limit := &bench.Series{Name: "limit/x", Title: "plain <x>", Group: "publish", Unit: bench.PerSecond, Limit: true}
	ours := &bench.Series{Name: "http-post/kafka/auto", Title: "through sluice", Group: "publish", Unit: bench.PerSecond, Against: []string{"limit/x"}, Ratios: []float64{0.5, 0.7, 0.6}}
	for i := range 3 {
		s := bench.Sample{Value: float64(1000 * (i + 1)), Cost: map[string]bench.Cost{"worker": {CPUMicros: 12.34}}}
		s.Sent, s.Delivered = 10, 10
		s.Latency = &load.Latency{Count: 10, P50: 250, P99: 12_345, Curve: [][2]float64{{0, 100}, {50, 250}, {99, 12_345}, {100, 20_000}}}
		ours.Samples = append(ours.Samples, s)
		limit.Samples = append(limit.Samples, bench.Sample{Value: 3000})
	}
	broken := &bench.Series{Name: "broken", Title: "broken", Group: "drain", Unit: bench.Millis}
	return &bench.Result{Format: bench.Format, Series: []*bench.Series{limit, ours, broken}, Settings: bench.Settings{Repetitions: 3, Size: 1024}}
}

func TestReplaceSection_LeavesTheRest(t *testing.T) {
	t.Parallel()
	got, err := ReplaceSection([]byte("before\n"+sectionBegin+"old\n"+sectionEnd+"after\n"), sample())
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	for _, want := range []string{"before\n", "\nafter\n", "| **through sluice** | **2,000/s** | 0.60 (0.50..0.70) | 250us | 12ms | 12us |  |", "| limit: plain <x> | 3,000/s |", "30 sent, 30 delivered, 0 promised and lost"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") || strings.Contains(text, "**broken**") {
		t.Errorf("what was there, or failed, is still there:\n%s", text)
	}
	again, err := ReplaceSection(got, sample())
	if err != nil || string(again) != text {
		t.Errorf("a second time differs: %v", err)
	}
	for _, bad := range []string{"", sectionBegin, sectionEnd} {
		if _, err := ReplaceSection([]byte(bad), sample()); !errors.Is(err, errNoSection) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The page must show everything and need nothing from elsewhere.
func TestWritePage_StandsAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.html")
	if err := WritePage(path, sample()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{"<svg", "<polyline", "plain &lt;x&gt;", "prefers-color-scheme: dark", "2,000/s", "failed"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "@import", "plain <x>", "NaN", "Inf"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
}

func TestText_ShowsWhatFailed(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Text(&b, sample())
	for _, want := range []string{"broken", "failed", "0.60 (0.50..0.70)", "2,000/s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
