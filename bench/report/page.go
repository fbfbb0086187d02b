package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"strings"

	"github.com/sluice-gateway/sluice/bench"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"value": Value, "ratio": ratio, "targets": Targets, "overheads": Overheads, "cpu": cpu, "where": Where, "complete": Completeness,
	"median": func(s *bench.Series) float64 { _, m, _ := bench.Spread(s.Values()); return m },
	"p50":    func(s *bench.Series) string { p, _ := latencies(s); return p },
	"p99":    func(s *bench.Series) string { _, p := latencies(s); return p },
	"bars":   bars, "curves": curves,
}).Parse(pageText))

// groupOf are the series of a page's section.
type groupOf struct {
	Name   string
	Series []*bench.Series
}

// WritePage writes a page that needs nothing but itself: no scripts, no fonts, no styles from elsewhere.
func WritePage(path string, r *bench.Result) error {
	var groups []*groupOf
	for _, s := range r.Series {
		if len(groups) == 0 || groups[len(groups)-1].Name != s.Group {
			groups = append(groups, &groupOf{Name: s.Group})
		}
		last := groups[len(groups)-1]
		last.Series = append(last.Series, s)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := page.Execute(f, map[string]any{"Result": r, "Groups": groups}); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

// Sizes of plots, in SVG units.
const (
	plotWidth, nameWidth, rowHeight = 960, 360, 22
	curveHeight                     = 260
)

// bars plots the samples of a group's series that have one unit: a bar to the median, a dot per repetition.
func bars(all []*bench.Series) template.HTML {
	var b strings.Builder
	for _, unit := range []string{bench.PerSecond, bench.Millis, bench.BytesEach} {
		var series []*bench.Series
		most := 0.0
		for _, s := range all {
			if s.Unit == unit && len(s.Samples) > 0 {
				series = append(series, s)
				_, _, top := bench.Spread(s.Values())
				most = math.Max(most, top)
			}
		}
		if most == 0 {
			continue
		}
		fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, rowHeight*len(series)+8, unit)
		for i, s := range series {
			row(&b, s, i, most)
		}
		b.WriteString("</svg>")
	}
	return template.HTML(b.String())
}

func row(b *strings.Builder, s *bench.Series, i int, most float64) {
	y := i*rowHeight + 4
	scale := func(v float64) float64 { return v / most * (plotWidth - nameWidth - 110) }
	_, median, _ := bench.Spread(s.Values())
	class := "ours"
	if s.Limit {
		class = "limit"
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-8, y+14, template.HTMLEscapeString(s.Name))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`, class, nameWidth, y+2, scale(median), rowHeight-6, template.HTMLEscapeString(s.Title))
	for _, v := range s.Values() {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="2.5"><title>%s</title></circle>`, nameWidth+scale(v), y+10, Value(s.Unit, v))
	}
	_, _, top := bench.Spread(s.Values())
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`, nameWidth+scale(top)+8, y+14, Value(s.Unit, median))
}

// curves plots the latency of a group's series over the percentiles, each nine as wide as the last; "" where there is none.
func curves(all []*bench.Series) template.HTML {
	var series []*bench.Series
	least, most := math.Inf(1), 0.0
	for _, s := range all {
		if c := middle(s); c != nil {
			series = append(series, s)
			for _, p := range c {
				least, most = math.Min(least, math.Max(p[1], 1)), math.Max(most, p[1])
			}
		}
	}
	if most == 0 {
		return ""
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most)+0.001)
	const left, bottom, right = 70, curveHeight - 24, 640
	x := func(p float64) float64 {
		return left + math.Min(-math.Log10(math.Max(1-p/100, 1e-5)), 5)/5*(right-left)
	}
	y := func(v float64) float64 {
		return bottom - (math.Log10(math.Max(v, 1))-low)/(high-low)*(bottom-10)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="latency by percentile">`, plotWidth, max(curveHeight, 16*len(series)+20))
	for d := low; d <= high; d++ {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, left, right, y(math.Pow(10, d)), y(math.Pow(10, d)), left-6, y(math.Pow(10, d))+4, micros(math.Pow(10, d)))
	}
	for _, p := range []float64{0, 90, 99, 99.9, 99.99, 99.999} {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%v%%</text>`, x(p), curveHeight-6, p)
	}
	for i, s := range series {
		var points []string
		for _, p := range middle(s) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(p[0]), y(p[1])))
		}
		fmt.Fprintf(&b, `<polyline class="c%d" points="%s"/><text class="c%d" x="%d" y="%d">%s</text>`, i%8, strings.Join(points, " "), i%8, right+16, 18+16*i, template.HTMLEscapeString(s.Name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// middle is the latency curve of the repetition whose median is in the middle.
func middle(s *bench.Series) [][2]float64 {
	var all []float64
	for _, v := range s.Samples {
		if v.Latency != nil {
			all = append(all, v.Latency.P50)
		}
	}
	_, m, _ := bench.Spread(all)
	var found [][2]float64
	distance := math.Inf(1)
	for _, v := range s.Samples {
		if v.Latency != nil && math.Abs(v.Latency.P50-m) < distance {
			found, distance = v.Latency.Curve, math.Abs(v.Latency.P50-m)
		}
	}
	return found
}
