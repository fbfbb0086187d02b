package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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
	round := map[string]float64{"slow": 10, "fast": 20}
	for unit, want := range map[string]float64{PerSecond: 20, Millis: 10} {
		if got := best(&scenario{unit: unit, against: []string{"slow", "fast", "failed"}}, round); got != want {
			t.Errorf("%s: %v, want %v", unit, got, want)
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
		err := r.group(t.Context(), &group{cases: []*scenario{
			{name: "limit", limit: true, unit: PerSecond, run: func(context.Context) (Sample, error) { return Sample{Value: 4}, nil }},
			{name: "ours", unit: PerSecond, against: []string{"limit"}, run: func(context.Context) (Sample, error) {
				if calls++; calls == 2 {
					return bad, nil
				}
				return Sample{Value: 2}, nil
			}}}})
		s := r.result.Find("ours")
		if err == nil || len(s.Samples) != 2 || !slices.Equal(s.Ratios, []float64{0.5, 0.5}) {
			t.Errorf("%s: error %v, samples %v, ratios %v", name, err, s.Values(), s.Ratios)
		}
		if name == "lost" && !errors.Is(err, errLost) {
			t.Errorf("lost: %v", err)
		}
	}
}
