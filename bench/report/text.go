// Package report tells of results: as text, as a page, as the performance section of the README, and against another result.
package report

//go:generate go run ./readme ../results/full.json ../../README.md

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench"
)

// Text writes a result for people.
func Text(w io.Writer, r *bench.Result) {
	fmt.Fprintf(w, "\n%s\n", Where(r))
	group := ""
	for _, s := range r.Series {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(w, "\n%-54s %11s %21s %19s %8s %8s %11s %9s\n", group, "median", "min..max", "ratio (min..max)", "p50", "p99", "CPU", "CPU ratio")
		}
		least, median, most := bench.Spread(s.Values())
		if len(s.Samples) == 0 {
			fmt.Fprintf(w, "%-54s %11s\n", s.Name, "failed")
			continue
		}
		p50, p99 := latencies(s)
		fmt.Fprintf(w, "%-54s %11s %21s %19s %8s %8s %11s %9s\n", s.Name, Value(s.Unit, median), Value(s.Unit, least)+".."+Value(s.Unit, most),
			ratio(s.Ratios), p50, p99, cpu(s), middling(s.CPURatios))
	}
	fmt.Fprintf(w, "\n%-112s %-12s %s\n", "figure to reach", "", "reached")
	for _, t := range Targets(r) {
		fmt.Fprintf(w, "%-112s %-12s %s\n", t.Figure, t.Mark(), t.Reached)
	}
	if all := Overheads(r); len(all) > 0 {
		fmt.Fprintf(w, "\n%-40s %-24s %-28s %-28s %s\n", "what a level costs against another", "levels", "rate", "CPU per message", "p50")
		for _, o := range all {
			fmt.Fprintf(w, "%-40s %-24s %-28s %-28s %s\n", o.Path, o.Strict+" / "+o.Lax, o.Rate, o.CPU, o.P50)
		}
	}
	fmt.Fprintf(w, "\n%s\n", Completeness(r))
}

// Smoke writes of a result whether it is complete, a line per group, and nothing of times.
func Smoke(w io.Writer, r *bench.Result) {
	type tally struct {
		name   string
		all    int
		failed []string
	}
	var groups []*tally
	total, failed := 0, 0
	for _, s := range r.Series {
		if len(groups) == 0 || groups[len(groups)-1].name != s.Group {
			groups = append(groups, &tally{name: s.Group})
		}
		g := groups[len(groups)-1]
		g.all++
		total++
		if len(s.Samples) < r.Settings.Repetitions {
			g.failed = append(g.failed, s.Name)
			failed++
		}
	}
	for _, g := range groups {
		if len(g.failed) > 0 {
			fmt.Fprintf(w, "FAIL\tbench\t%s: %s\n", g.name, strings.Join(g.failed, ", "))
			continue
		}
		fmt.Fprintf(w, "ok  \tbench\t%s, %d scenarios\n", g.name, g.all)
	}
	fmt.Fprintf(w, "%d of %d scenarios complete in %.0f s; %s\n", total-failed, total, r.Took, Completeness(r))
}

// Where tells the machine and the settings in a line.
func Where(r *bench.Result) string {
	m := r.Machine
	kafka := ""
	if r.Brokers.Kafka == "embedded" {
		kafka = "; on the embedded Kafka, which is for development and whose figures are not a real one's"
	}
	return fmt.Sprintf("%s, %d cores, %s; %d repetitions, %d-byte messages, broker and load on the same cores%s", m.CPU, m.Cores, m.Go, r.Settings.Repetitions, r.Settings.Size, kafka)
}

// Completeness sums up what was sent and what came of it.
func Completeness(r *bench.Result) string {
	var sent, delivered, lost, again int64
	for _, s := range r.Series {
		if s.Limit {
			continue
		}
		for _, v := range s.Samples {
			sent, delivered, lost, again = sent+v.Sent, delivered+v.Delivered, lost+v.Lost, again+v.Duplicated
		}
	}
	return fmt.Sprintf("through sluice: %d sent, %d delivered, %d promised and lost, %d duplicated", sent, delivered, lost, again)
}

// Value writes a value in its unit.
func Value(unit string, v float64) string {
	switch unit {
	case bench.PerSecond:
		return thousands(v) + "/s"
	case bench.Millis:
		return fmt.Sprintf("%.2f ms", v)
	case bench.BytesEach:
		return fmt.Sprintf("%.1f KiB", v/1024)
	}
	return fmt.Sprint(v)
}

func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// middling is the median of ratios alone.
func middling(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	_, median, _ := bench.Spread(ratios)
	return fmt.Sprintf("%.2f", median)
}

func ratio(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	least, median, most := bench.Spread(ratios)
	return fmt.Sprintf("%.2f (%.2f..%.2f)", median, least, most)
}

// latencies are the medians of the samples' percentiles.
func latencies(s *bench.Series) (p50, p99 string) {
	var a, b []float64
	for _, v := range s.Samples {
		if v.Latency != nil {
			a, b = append(a, v.Latency.P50), append(b, v.Latency.P99)
		}
	}
	if len(a) == 0 {
		return "", ""
	}
	_, m, _ := bench.Spread(a)
	_, n, _ := bench.Spread(b)
	return micros(m), micros(n)
}

// cpu is the median CPU time per message of the worker, or of the limit.
func cpu(s *bench.Series) string {
	_, median, _ := bench.Spread(each(bench.Sample.CPU)(s))
	if median == 0 {
		return ""
	}
	return micros(median)
}

func micros(v float64) string {
	d := time.Duration(v * float64(time.Microsecond))
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= 10*time.Millisecond:
		d = d.Round(time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case d >= 10*time.Microsecond:
		d = d.Round(time.Microsecond)
	default:
		d = d.Round(10 * time.Nanosecond)
	}
	return strings.ReplaceAll(d.String(), "µ", "u")
}
