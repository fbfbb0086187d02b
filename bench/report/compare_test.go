package report

import (
	"math"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/bench"
)

// Values of R's wilcox.test(a, b), exact without ties, and correct = TRUE with ties.
func TestMannWhitney_AsOthersCountIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"apart, five and five", []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		{"apart, the other way", []float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}, 2.0 / 252},
		{"apart, three and three", []float64{1, 2, 3}, []float64{4, 5, 6}, 2.0 / 20},
		{"mixed", []float64{1, 4}, []float64{2, 3}, 1},
		{"one crosses", []float64{1, 2, 3, 6}, []float64{4, 5, 7, 8}, 8.0 / 70},
		{"all alike", []float64{1, 1, 1}, []float64{1, 1, 1}, 1},
		{"none", nil, []float64{1}, 1},
	} {
		if got := MannWhitney(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: p = %v, want %v", c.name, got, c.want)
		}
	}
}

// The exact count and the approximation must agree where both may be used.
func TestMannWhitney_ApproximationIsClose(t *testing.T) {
	t.Parallel()
	var a, b []float64
	for i := range 15 {
		a, b = append(a, float64(3*i)), append(b, float64(3*i)+13.5)
	}
	u := 0.0
	for _, x := range a {
		for _, y := range b {
			if x > y {
				u++
			}
		}
	}
	if e, n := exact(15, 15, int(u)), normal(a, b, u); math.Abs(e-n) > 0.01 {
		t.Errorf("exact %v, normal %v", e, n)
	}
}

func TestCompare_TellsWorseFromBetter(t *testing.T) {
	t.Parallel()
	series := func(name, unit string, from float64) *bench.Series {
		s := &bench.Series{Name: name, Unit: unit}
		for i := range 5 {
			s.Samples = append(s.Samples, bench.Sample{Value: from + float64(i)})
		}
		return s
	}
	base := &bench.Result{Series: []*bench.Series{series("rate", bench.PerSecond, 100), series("delay", bench.Millis, 100), series("same", bench.Millis, 100)}}
	result := &bench.Result{Series: []*bench.Series{series("rate", bench.PerSecond, 200), series("delay", bench.Millis, 200), series("same", bench.Millis, 100), series("new", bench.Millis, 1)}}
	base.Settings.Repetitions, result.Settings.Repetitions = 5, 5
	var b strings.Builder
	Compare(&b, base, result)
	for _, line := range strings.Split(b.String(), "\n") {
		name, _, _ := strings.Cut(line, " ")
		want, known := map[string]string{"rate": "better", "delay": "WORSE", "same": "1.000"}[name]
		if known && !strings.HasSuffix(line, want) {
			t.Errorf("%q does not end with %s", line, want)
		}
		if name == "new" {
			t.Errorf("%q has nothing to be compared with", line)
		}
	}
}
