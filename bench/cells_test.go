package bench

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/qos"
)

// A cell that is served and not measured would go unnoticed for ever.
func TestList_HasEveryServedCell(t *testing.T) {
	t.Parallel()
	names := List(Full)
	for _, entrypoint := range qos.Entrypoints() {
		for _, endpoint := range qos.Endpoints() {
			for _, level := range qos.Levels() {
				c := qos.Lookup(entrypoint, endpoint, level)
				measured := slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, nameOf(c)) })
				if served := c.Origin != qos.Refused; served != measured {
					t.Errorf("%s: served %t, measured %t", nameOf(c), served, measured)
				}
			}
		}
	}
}

func TestGroups_LimitsAreMeasuredBesideWhatIsHeldAgainstThem(t *testing.T) {
	t.Parallel()
	r := &runner{o: Options{Settings: Full}}
	seen := map[string]bool{}
	for _, g := range r.groups() {
		for _, c := range g.cases {
			if seen[c.name] {
				t.Errorf("%s is there twice", c.name)
			}
			seen[c.name] = true
			if c.guess <= 0 || c.guess > time.Minute {
				t.Errorf("%s: guessed to take %s", c.name, c.guess)
			}
			for _, name := range c.against {
				i := slices.IndexFunc(g.cases, func(l *scenario) bool { return l.name == name })
				if i < 0 || g.cases[i].unit != c.unit || !g.cases[i].limit {
					t.Errorf("%s is held against %s, which its group does not have in its unit", c.name, name)
				}
			}
		}
	}
}

func TestBest_IsTheStricterLimit(t *testing.T) {
	t.Parallel()
	round := map[string]Sample{"slow": {Value: 10}, "fast": {Value: 20}}
	for unit, want := range map[string]string{PerSecond: "fast", Millis: "slow"} {
		if got := best(&scenario{unit: unit, against: []string{"failed", "slow", "fast"}}, round); got != want {
			t.Errorf("%s: %s, want %s", unit, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want []float64 }{
		{nil, []float64{0, 0, 0}}, {[]float64{3, 1, 2}, []float64{1, 2, 3}}, {[]float64{4, 1, 3, 2}, []float64{1, 2.5, 4}},
	} {
		a, b, d := Spread(c.in)
		if !slices.Equal([]float64{a, b, d}, c.want) {
			t.Errorf("%v: %v, %v, %v", c.in, a, b, d)
		}
	}
}

// A run that lost a promised message, or had a request refused, must fail, and must not be among the figures.
func TestGroup_FailsWhereSomethingIsLost(t *testing.T) {
	t.Parallel()
	var lost, refused Sample
	lost.Sent, lost.Lost, refused.Failed = 10, 1, 1
	for name, bad := range map[string]Sample{"lost": lost, "refused": refused} {
		r := &runner{o: Options{Settings: Settings{Repetitions: 3}}, result: &Result{}}
		calls := 0
		g := &group{cases: []*scenario{
			{name: "limit", limit: true, unit: PerSecond, run: func(context.Context) (Sample, error) { return Sample{Value: 4}, nil }},
			{name: "ours", unit: PerSecond, against: []string{"limit"}, run: func(context.Context) (Sample, error) {
				if calls++; calls == 2 {
					return bad, nil
				}
				return Sample{Value: 2}, nil
			}}}}
		r.enrol(g)
		err := r.group(t.Context(), g)
		s := r.result.Find("ours")
		if err == nil || len(s.Samples) != 2 || !slices.Equal(s.Ratios, []float64{0.5, 0.5}) {
			t.Errorf("%s: error %v, samples %v, ratios %v", name, err, s.Values(), s.Ratios)
		}
		if name == "lost" && !errors.Is(err, errLost) {
			t.Errorf("lost: %v", err)
		}
	}
}

// What the worker used is held against what the same limit used, and the worst of its latencies against that limit's.
func TestCompare_HoldsCostAndTailAgainstTheSameLimit(t *testing.T) {
	t.Parallel()
	sample := func(value, cpu, p99 float64, process string) Sample {
		s := Sample{Value: value, Cost: map[string]Cost{process: {CPUMicros: cpu}, costLoad: {CPUMicros: 99}}}
		s.Latency = &load.Latency{P99: p99}
		return s
	}
	var s Series
	s.compare(sample(80, 30, 500, costWorker), sample(100, 20, 250, costLimit))
	s.compare(sample(80, 30, 500, costWorker), Sample{}) // the limit failed
	if !slices.Equal(s.Ratios, []float64{0.8}) || !slices.Equal(s.CPURatios, []float64{1.5}) || !slices.Equal(s.TailRatios, []float64{2}) {
		t.Errorf("%v, %v, %v", s.Ratios, s.CPURatios, s.TailRatios)
	}
}

func TestSelected_WithLimitsOrWithout(t *testing.T) {
	t.Parallel()
	groups := func() []*group {
		return []*group{{cases: []*scenario{{name: "l", limit: true}, {name: "m", limit: true}, {name: "a", against: []string{"l"}}, {name: "b"}}}, {cases: []*scenario{{name: "n", limit: true}}}}
	}
	for _, c := range []struct {
		only   string
		limits bool
		want   string
	}{{"", true, "l m a b / n"}, {"", false, "a b"}, {"a", true, "l a"}, {"a", false, "a"}, {"x", true, ""}} {
		var got []string
		for _, g := range selected(groups(), regexp.MustCompile(c.only), c.limits) {
			var names []string
			for _, s := range g.cases {
				names = append(names, s.name)
			}
			got = append(got, strings.Join(names, " "))
		}
		if text := strings.Join(got, " / "); text != c.want {
			t.Errorf("only %q, limits %t: %q, want %q", c.only, c.limits, text, c.want)
		}
	}
}

// Another API's sessions, and other metrics, must not count.
func TestSum_OfOneAPI(t *testing.T) {
	t.Parallel()
	const metrics = "# TYPE sluice_kafka_readers gauge\n" +
		`sluice_kafka_readers{api="a",endpoint="e"} 1` + "\n" + `sluice_kafka_readers{api="b",endpoint="e"} 4` + "\n" +
		`sluice_kafka_catch_up_readers{api="a",endpoint="e"} 2` + "\n" + `sluice_kafka_readers_more{api="a"} 8` + "\n"
	if n, err := sum(strings.NewReader(metrics), "a", "sluice_kafka_readers", "sluice_kafka_catch_up_readers"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
