package report

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/bench"
)

// significant is the probability of chance below which a difference is called one.
const significant = 0.05

// Compare writes how a result differs from a base.
func Compare(w io.Writer, base, result *bench.Result) {
	fmt.Fprintf(w, "base:   %s\nresult: %s\n\n%-54s %13s %13s %8s %7s\n", Where(base), Where(result), "scenario", "base", "result", "change", "p")
	for _, s := range result.Series {
		b := base.Find(s.Name)
		if b == nil || s.Limit || len(b.Samples) == 0 || len(s.Samples) == 0 {
			continue
		}
		old, now, unit := b.Values(), s.Values(), s.Unit
		if len(b.Ratios) > 0 && len(s.Ratios) > 0 {
			old, now, unit = b.Ratios, s.Ratios, "ratio"
		}
		_, was, _ := bench.Spread(old)
		_, is, _ := bench.Spread(now)
		p := MannWhitney(old, now)
		fmt.Fprintf(w, "%-54s %13s %13s %+7.1f%% %7.3f%s\n", s.Name, compared(unit, was), compared(unit, is), 100*(is/was-1), p, verdict(s.Unit, was, is, p))
	}
	if n := min(base.Settings.Repetitions, result.Settings.Repetitions); n < 4 {
		fmt.Fprintf(w, "\n%d repetitions cannot show a difference below p = %.2f; measure with at least 4\n", n, significant)
	}
}

func compared(unit string, v float64) string {
	if unit == "ratio" {
		return fmt.Sprintf("%.3f", v)
	}
	return Value(unit, v)
}

func verdict(unit string, was, is, p float64) string {
	switch {
	case p >= significant:
		return ""
	case (unit == bench.PerSecond) == (is > was):
		return "  better"
	}
	return "  WORSE"
}

// MannWhitney is the two-sided probability that two samples as different as a and b are of one distribution. It is exact for
// small samples without ties (all ways to deal the ranks are counted), and the normal approximation, corrected for
// ties and continuity, otherwise.
func MannWhitney(a, b []float64) float64 {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	u, ties := 0.0, false
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				u++
			case x == y:
				u += 0.5
				ties = true
			}
		}
	}
	u = math.Min(u, float64(n*m)-u)
	if !ties && n*m <= 400 {
		return exact(n, m, int(u))
	}
	return normal(a, b, u)
}

// exact counts in how many of all orders of n and m values U is at most u, on either side.
func exact(n, m, u int) float64 {
	// ways[i][k]: orders of i values of the first and the j of the second so far whose U is k.
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, n*m+1)
		ways[i][0] = 1
	}
	for j := 1; j <= m; j++ {
		for i := 1; i <= n; i++ {
			next := slices.Clone(ways[i])
			clear(next)
			for k := 0; k <= i*j; k++ {
				// the greatest of all is of the first, and greater than all j of the second; or it is of the second
				next[k] = ways[i][k]
				if k >= j {
					next[k] += ways[i-1][k-j]
				}
			}
			ways[i] = next
		}
	}
	below, all := 0.0, 0.0
	for k, w := range ways[n] {
		all += w
		if k <= u {
			below += w
		}
	}
	return math.Min(1, 2*below/all)
}

func normal(a, b []float64, u float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	total := n + m
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	correction := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		t := float64(j - i)
		correction += t*t*t - t
		i = j
	}
	sigma := math.Sqrt(n * m / 12 * (total + 1 - correction/(total*(total-1))))
	if sigma == 0 {
		return 1
	}
	z := (math.Abs(u-n*m/2) - 0.5) / sigma
	return math.Min(1, math.Erfc(math.Max(z, 0)/math.Sqrt2))
}
