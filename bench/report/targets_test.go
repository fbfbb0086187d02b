package report

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/bench"
)

func series(name string, repetitions int, ratio float64) *bench.Series {
	s := &bench.Series{Name: name, Unit: bench.PerSecond}
	for range repetitions {
		s.Samples = append(s.Samples, bench.Sample{Value: 1000 * ratio, Cost: map[string]bench.Cost{"worker": {CPUMicros: 10 / ratio}}})
		s.Ratios, s.CPURatios = append(s.Ratios, ratio), append(s.CPURatios, 1/ratio)
	}
	return s
}

func target(t *testing.T, r *bench.Result, text string) Target {
	t.Helper()
	for _, x := range Targets(r) {
		if strings.Contains(x.Figure, text) {
			return x
		}
	}
	t.Fatalf("no figure has %q", text)
	return Target{}
}

func TestTargets_TheWorstScenarioDecides(t *testing.T) {
	t.Parallel()
	r := &bench.Result{Settings: bench.Settings{Repetitions: 2}, Series: []*bench.Series{
		series("fan-out/websocket/100", 2, 0.9), series("fan-out/websocket/1000", 2, 0.7), series("fan-out/websocket/5000", 2, 0.95),
		series("http-post/kafka/auto", 2, 0.95), series("routing/10000", 2, 0.8), series("webhook/kafka/at-least-once", 1, 0.99)}}
	for _, c := range []struct{ text, mark, reached string }{
		{"WebSocket clients: at least", "FAIL", "0.70 (fan-out/websocket/1000)"},
		{"of the best glue's throughput", "pass", "0.95 (http-post/kafka/auto)"},
		{"CPU time per POST", "pass", "1.05 (http-post/kafka/auto)"},
		{"among 10,000 APIs: at most 1.2", "FAIL", "1.25 (routing/10000)"},
		{"SSE clients: at least", "not measured", ""},
		{"to a webhook", "FAIL", "0.99 (webhook/kafka/at-least-once)"}, // one of its repetitions failed
		{"no message lost", "FAIL", "failed: webhook/kafka/at-least-once"},
	} {
		if got := target(t, r, c.text); got.Mark() != c.mark || got.Reached != c.reached {
			t.Errorf("%s: %s, %q; want %s, %q", c.text, got.Mark(), got.Reached, c.mark, c.reached)
		}
	}
	for _, s := range r.Series {
		s.Samples = nil
		s.Ratios = nil
	}
	if got := target(t, r, "of the best glue's throughput"); got.Mark() != "FAIL" || got.Reached != "http-post/kafka/auto failed" {
		t.Errorf("a scenario that failed: %+v", got)
	}
}

// A figure whose scenarios nobody measures would stay "not measured" for ever.
func TestTargets_EachIsToldByAScenario(t *testing.T) {
	t.Parallel()
	r := &bench.Result{}
	for _, name := range bench.List(bench.Full) {
		s := series(name, 1, 1)
		s.TailRatios = s.Ratios
		r.Series = append(r.Series, s)
	}
	for _, x := range Targets(r) {
		if x.Reached == "" {
			t.Errorf("no scenario tells: %s", x.Figure)
		}
	}
	if got := len(Overheads(r)); got != len(paths) {
		t.Errorf("%d of %d paths have both levels", got, len(paths))
	}
}

func TestOverheads_StrictAgainstLax(t *testing.T) {
	t.Parallel()
	r := &bench.Result{Series: []*bench.Series{series("fed/sse/kafka/none", 1, 1), series("fed/sse/kafka/at-least-once", 1, 0.5)}}
	got := Overheads(r)
	if len(got) != 1 || got[0].Rate != "500 / 1,000 = 0.50" || got[0].CPU != "20us / 10us = 2.00" || got[0].P50 != "" {
		t.Errorf("%+v", got)
	}
}
