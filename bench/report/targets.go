package report

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sluice-gateway/sluice/bench"
)

// Target is a figure to reach, and what came of it in a result.
type Target struct {
	Figure  string // what is measured, and what is to be reached
	Reached string // the worst of the scenarios that tell it; "": none of them was measured
	Met     bool
}

// Mark is what became of a target in a word.
func (t Target) Mark() string {
	switch {
	case t.Reached == "":
		return "not measured"
	case t.Met:
		return "pass"
	}
	return "FAIL"
}

// figure is a target: the scenarios that tell it, what is taken of each, and what it must be.
type figure struct {
	text      string
	scenarios string // regular expression
	take      func(*bench.Series) []float64
	// bound is what the median must not pass: from above, or, where atMost, from below.
	bound  float64
	atMost bool
	form   string // of a value, for fmt
	note   func(*bench.Series) string
}

func ratios(s *bench.Series) []float64     { return s.Ratios }
func cpuRatios(s *bench.Series) []float64  { return s.CPURatios }
func tailRatios(s *bench.Series) []float64 { return s.TailRatios }

// each takes something of every sample.
func each(of func(bench.Sample) float64) func(*bench.Series) []float64 {
	return func(s *bench.Series) (out []float64) {
		for _, v := range s.Samples {
			out = append(out, of(v))
		}
		return out
	}
}

// tail is the 99th percentile of the latency, in milliseconds.
func tail(v bench.Sample) float64 {
	if v.Latency == nil {
		return 0
	}
	return v.Latency.P99 / 1000
}

const kib = 1024

// figures are what Sluice is to reach on two cores, load and broker among them.
var figures = []figure{
	{text: "POST to Kafka over 64 connections: at least 0.95 of the best glue's throughput", scenarios: `^http-post/kafka/auto$`, take: ratios, bound: 0.95, form: "%.2f"},
	{text: "the same at half load: 99th percentile at most 1.2 times the glue's", scenarios: `^http-post/kafka/auto$`, take: tailRatios, bound: 1.2, atMost: true, form: "%.2f"},
	{text: "the same: CPU time per POST at most 1.15 times the glue's", scenarios: `^http-post/kafka/auto$`, take: cpuRatios, bound: 1.15, atMost: true, form: "%.2f"},
	{text: "Kafka to one SSE client, each level: at least 0.80 of franz-go alone", scenarios: `^(sse/kafka/.*|fed/sse/kafka/none)$`, take: ratios, bound: 0.80, form: "%.2f"},
	{text: "Kafka to 1, 100, 1,000 and 5,000 SSE clients: at least 0.80 of prepared frames, or, to one, of the feed", scenarios: `^fan-out/sse/\d+$`, take: ratios, bound: 0.80, form: "%.2f"},
	{text: "Kafka to 1, 100, 1,000 and 5,000 WebSocket clients: at least 0.85", scenarios: `^fan-out/websocket/\d+$`, take: ratios, bound: 0.85, form: "%.2f"},
	{text: "100 SSE clients at 1,000/s, 1,000 at 100/s: 99th percentile at most 50 ms", scenarios: `^fan-out/sse/\d+x\d+$`, take: each(tail), bound: 50, atMost: true, form: "%.0f ms"},
	{text: "the same over WebSocket", scenarios: `^fan-out/websocket/\d+x\d+$`, take: each(tail), bound: 50, atMost: true, form: "%.0f ms"},
	{text: "the same: one fetch session, however many clients", scenarios: `^fan-out/(sse|websocket)/\d+x\d+$`, take: each(func(v bench.Sample) float64 { return float64(v.Readers) }), bound: 1, atMost: true, form: "%.0f"},
	{text: "Kafka to http-get, pages of 500: at least 0.70 of franz-go alone", scenarios: `^http-get/kafka/auto$`, take: ratios, bound: 0.70, form: "%.2f"},
	{text: "Kafka to a webhook, at-least-once, 64 calls in flight, ordered per key: at least 0.80 of a bare client", scenarios: `^webhook/kafka/at-least-once$`, take: ratios, bound: 0.80, form: "%.2f"},
	{text: "MQTT with QoS 0, 1 and 2 to one SSE client: at least 0.80 of paho alone", scenarios: `^mqtt/qos-\d/sse$`, take: ratios, bound: 0.80, form: "%.2f"},
	{text: "POST to MQTT: at least 0.80 of paho alone", scenarios: `^http-post/mqtt5/auto$`, take: ratios, bound: 0.80, form: "%.2f"},
	{text: "five policies on the path: at least 0.85 of the throughput without", scenarios: `^policies/`, take: ratios, bound: 0.85, form: "%.2f"},
	{text: "an idle SSE connection: at most 4 KiB of the worker's memory", scenarios: `^idle/sse/`, take: each(kibibytes), bound: 4, atMost: true, form: "%.1f KiB", note: hundredThousand},
	{text: "an idle WebSocket: at most 8 KiB", scenarios: `^idle/websocket/`, take: each(kibibytes), bound: 8, atMost: true, form: "%.1f KiB", note: hundredThousand},
	{text: "a change among 10,000 APIs is served by 10 workers within 200 ms, 99 of 100", scenarios: `^(push|create)/`, take: each(tail), bound: 200, atMost: true, form: "%.0f ms"},
	{text: "a new worker serves 10,000 APIs within 3 s", scenarios: `^cold-start/`, take: each(func(v bench.Sample) float64 { return v.Value / 1000 }), bound: 3, atMost: true, form: "%.2f s"},
	{text: "a request among 10,000 APIs: at most 1.2 times the time of one among 10", scenarios: `^routing/`, take: inverse, bound: 1.2, atMost: true, form: "%.2f"},
}

func kibibytes(v bench.Sample) float64 { return v.Value / kib }

// inverse turns ratios of rates into ratios of times.
func inverse(s *bench.Series) (out []float64) {
	for _, v := range s.Ratios {
		out = append(out, 1/v)
	}
	return out
}

// hundredThousand says what so many connections would take.
func hundredThousand(s *bench.Series) string {
	_, slope, _ := bench.Spread(each(func(v bench.Sample) float64 { return v.Slope })(s))
	return fmt.Sprintf("%d of them; each further one %.1f KiB, so 100,000 take %.0f MiB", s.Samples[0].Sent, slope/kib, slope*100_000/(1<<20))
}

// Targets holds a result against the figures to reach. A scenario of which a repetition failed reaches nothing.
func Targets(r *bench.Result) []Target {
	out := make([]Target, 0, len(figures)+1)
	for _, f := range figures {
		out = append(out, f.hold(r))
	}
	return append(out, complete(r))
}

// hold takes the worst of the scenarios that tell a figure.
func (f figure) hold(r *bench.Result) Target {
	t, of := Target{Figure: f.text, Met: true}, regexp.MustCompile(f.scenarios)
	worst, told := 0.0, 0
	for _, s := range r.Series {
		if s.Limit || !of.MatchString(s.Name) {
			continue
		}
		values := f.take(s)
		if len(values) == 0 {
			if len(s.Samples) < r.Settings.Repetitions {
				return Target{Figure: f.text, Reached: s.Name + " failed"}
			}
			continue
		}
		_, median, _ := bench.Spread(values)
		if told++; told == 1 || (median > worst) == f.atMost {
			worst, t.Reached = median, fmt.Sprintf(f.form+" (%s)", median, s.Name)
			if f.note != nil {
				t.Reached += "; " + f.note(s)
			}
		}
		t.Met = t.Met && (median == f.bound || (median < f.bound) == f.atMost) && len(s.Samples) == r.Settings.Repetitions
	}
	return t
}

// complete is that nothing is lost: every repetition of every scenario has all that was promised.
func complete(r *bench.Result) Target {
	t := Target{Figure: "no message lost that was promised, in any scenario", Met: true}
	scenarios := 0
	var failed []string
	for _, s := range r.Series {
		if s.Limit {
			continue
		}
		if scenarios++; len(s.Samples) < r.Settings.Repetitions {
			failed = append(failed, s.Name)
		}
	}
	t.Reached = fmt.Sprintf("%d scenarios, all complete", scenarios)
	if len(failed) > 0 {
		t.Met, t.Reached = false, "failed: "+strings.Join(failed, ", ")
	}
	return t
}

// Overhead is what at-least-once costs against none at one entrypoint, or the strictest level against the laxest that it has.
type Overhead struct {
	Path           string // entrypoint and endpoint
	Strict, Lax    string // levels
	Rate, CPU, P50 string // strict against lax, each with the factor; "": not told
}

// paths are where levels are compared: the scenarios of the strict and the lax level.
var paths = []struct{ path, scenario, strict, lax string }{
	{"POST to Kafka", "http-post/kafka/", "auto", "none"},
	{"POST to MQTT 5", "http-post/mqtt5/", "auto", "none"},
	{"Kafka to SSE, as it is produced", "fed/sse/kafka/", "at-least-once", "none"},
	{"Kafka to SSE, at a steady rate", "live/sse/kafka/", "at-least-once", "none"},
	{"MQTT 5 to SSE, at a steady rate", "live/sse/mqtt5/", "at-least-once", "none"},
	{"Kafka to WebSocket, as it is produced", "fed/websocket/kafka/", "at-least-once", "none"},
	{"Kafka to WebSocket, at a steady rate", "live/websocket/kafka/", "at-least-once", "none"},
	{"Kafka to http-get", "http-get/kafka/", "at-least-once", "auto"},
	{"Kafka to a webhook", "webhook/kafka/", "at-least-once", "none"},
	{"MQTT 5 to a webhook", "webhook/mqtt5/", "at-least-once", "none"},
	{"mock to SSE", "sse/mock/", "at-least-once", "none"},
	{"mock to WebSocket", "websocket/mock/", "at-least-once", "none"},
}

// Overheads compares levels wherever both were measured.
func Overheads(r *bench.Result) (out []Overhead) {
	for _, p := range paths {
		strict, lax := r.Find(p.scenario+p.strict), r.Find(p.scenario+p.lax)
		if strict == nil || lax == nil || len(strict.Samples) == 0 || len(lax.Samples) == 0 {
			continue
		}
		o := Overhead{Path: p.path, Strict: p.strict, Lax: p.lax}
		if strict.Unit == bench.PerSecond {
			o.Rate = factor(strict.Values(), lax.Values(), thousands)
		}
		cpuOf := each(bench.Sample.CPU)
		o.CPU = factor(cpuOf(strict), cpuOf(lax), micros)
		median := each(func(v bench.Sample) float64 {
			if v.Latency == nil {
				return 0
			}
			return v.Latency.P50
		})
		o.P50 = factor(median(strict), median(lax), micros)
		out = append(out, o)
	}
	return out
}

// factor writes the medians of two levels and their relation; "" where one is not known.
func factor(strict, lax []float64, write func(float64) string) string {
	_, a, _ := bench.Spread(strict)
	_, b, _ := bench.Spread(lax)
	if a <= 0 || b <= 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s = %.2f", write(a), write(b), a/b)
}
