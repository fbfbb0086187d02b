package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench"
)

// Marks of the generated part of a page.
const (
	sectionBegin = "<!-- measured: written by make docs from bench/results, do not edit -->\n"
	sectionEnd   = "<!-- measured: end -->\n"
)

// errNoSection is returned for a page without the marks.
var errNoSection = errors.New("the marks of the generated section are missing")

// ReplaceSection returns page with its generated part written anew from r.
func ReplaceSection(page []byte, r *bench.Result) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(sectionBegin))
	if !ok {
		return nil, errNoSection
	}
	_, after, ok := bytes.Cut(rest, []byte(sectionEnd))
	if !ok {
		return nil, errNoSection
	}
	return bytes.Join([][]byte{before, []byte(sectionBegin), []byte(Section(r)), []byte(sectionEnd), after}, nil), nil
}

// headlines are the scenarios that a page of all has room for, and their limits; the result and its own page have the rest.
var headlines = regexp.MustCompile(`^(http-post/(kafka|mqtt5)/auto|redeploy/.*|(sse|websocket|http-get)/kafka/auto|live/(sse|websocket)/(kafka|mqtt5)/auto|` +
	`webhook/kafka/at-least-once|fan-out/.*|mqtt/.*|policies/.*|idle/.*|push/.*|create/.*|cold-start/.*|routing/.*|failover/.*)$`)

// shown tells whether a series, or one that is held against it, is a headline.
func shown(r *bench.Result, s *bench.Series) bool {
	if !s.Limit {
		return headlines.MatchString(s.Name)
	}
	return slices.ContainsFunc(r.Series, func(o *bench.Series) bool {
		return headlines.MatchString(o.Name) && slices.Contains(o.Against, s.Name)
	})
}

// Section is the headlines of a result in Markdown: the groups with a table each.
func Section(r *bench.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit %.12s.\nA ratio is of one repetition to its limit, the same work without Sluice, in the same repetition: median (minimum..maximum). Above 1 is faster,\nor, of times, slower. CPU is that of the worker, or of the limit's server, per message.\n", Where(r), cmp.Or(r.Machine.Commit, "unknown"))
	b.WriteString("\n| figure to reach | reached | |\n|---|---|---|\n")
	for _, t := range Targets(r) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", t.Figure, t.Reached, t.Mark())
	}
	group := ""
	for _, s := range r.Series {
		if len(s.Samples) == 0 || !shown(r, s) {
			continue
		}
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n| %s | median | ratio to its limit | p50 | p99 | CPU | CPU to its limit's |\n|---|---|---|---|---|---|---|\n", group)
		}
		_, median, _ := bench.Spread(s.Values())
		p50, p99 := latencies(s)
		title, value := s.Title, Value(s.Unit, median)
		if s.Limit {
			title = "limit: " + title
		} else {
			title, value = "**"+title+"**", "**"+value+"**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", title, value, ratio(s.Ratios), p50, p99, cpu(s), ratio(s.CPURatios))
	}
	if all := Overheads(r); len(all) > 0 {
		b.WriteString("\n| what a level costs against another | levels | rate | CPU per message | p50 |\n|---|---|---|---|---|\n")
		for _, o := range all {
			fmt.Fprintf(&b, "| %s | %s / %s | %s | %s | %s |\n", o.Path, o.Strict, o.Lax, o.Rate, o.CPU, o.P50)
		}
	}
	fmt.Fprintf(&b, "\nCounted %s.\n", Completeness(r))
	return b.String()
}
