package client

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/proto/management"
)

// styles are how the results of a trial look.
var styles = map[string]output.Style{
	management.TrialPassed: output.Good, management.TrialChanged: output.Good, management.TrialFailed: output.Bad, management.TrialBuried: output.Bad,
}

// writeTrial writes a report for people: a paragraph per message, with a line per step and what differs.
func writeTrial(w io.Writer, r *management.TrialReport) error {
	b := &paragraph{colour: output.Colour(w)}
	if len(r.Before) > 0 || r.Ended != "" && len(r.Messages) == 0 {
		b.line("request phase")
		b.steps(r.Before)
	}
	counts := map[string]int{}
	for i := range r.Messages {
		m := &r.Messages[i]
		counts[m.Result]++
		b.message(i+1, m)
	}
	if r.Ended != "" {
		b.line("%s", r.Ended)
	}
	if len(r.Messages) == 0 && r.Ended == "" {
		b.line("no messages")
	}
	var sums []string
	for _, result := range slices.Sorted(maps.Keys(counts)) {
		sums = append(sums, fmt.Sprintf("%d %s", counts[result], result))
	}
	if len(sums) > 0 {
		b.line("%s: %s", output.Count(len(r.Messages), "message"), strings.Join(sums, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type paragraph struct {
	strings.Builder
	colour bool
}

func (b *paragraph) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

func (b *paragraph) message(number int, m *management.TrialResult) {
	at := ""
	if m.In.Topic != "" {
		at = fmt.Sprintf(" %s, partition %d, offset %d", m.In.Topic, m.In.Partition, m.In.Offset)
	}
	b.line("message %d%s: %s%s%s", number, at, output.Paint(styles[m.Result], m.Result, b.colour), reasonOf(m.Reason), costOf(m))
	b.steps(m.Steps)
	if m.Out != nil {
		b.differences(&m.In, m.Out)
	}
	b.line("")
}

func (b *paragraph) steps(steps []management.TrialStep) {
	g := output.Grid{Indent: "  ", Gap: "  "}
	for _, s := range steps {
		name := s.Policy
		if s.Name != "" {
			name += " (" + s.Name + ")"
		}
		g.Rows = append(g.Rows, []output.Cell{output.Text(name), {Text: s.Result, Style: styles[s.Result]}, {Text: s.Reason}})
		for _, note := range s.Notes {
			g.Rows = append(g.Rows, []output.Cell{{}, {Text: "not done", Style: output.Odd}, {Text: note}})
		}
	}
	_ = g.Write(b, b.colour) // a Builder takes everything
}

// differences shows what differs, line by line.
func (b *paragraph) differences(in, out *management.TrialMessage) {
	b.change("key", textOf(in.Key), textOf(out.Key))
	for _, name := range slices.Sorted(maps.Keys(merged(in.Headers, out.Headers))) {
		b.change("header "+name, strings.Join(in.Headers[name], ", "), strings.Join(out.Headers[name], ", "))
	}
	b.change("content", contentOf(in), contentOf(out))
}

func (b *paragraph) change(what, before, after string) {
	if before == after {
		return
	}
	if before != "" {
		b.line("  %s %s: %s", output.Paint(output.Bad, "-", b.colour), what, before)
	}
	if after != "" {
		b.line("  %s %s: %s", output.Paint(output.Good, "+", b.colour), what, after)
	}
}

func merged(a, b map[string][]string) map[string][]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string][]string{}
	}
	maps.Copy(out, b)
	return out
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func contentOf(m *management.TrialMessage) string {
	if m.Content == nil && m.ContentBase64 != nil {
		return "base64 " + base64.StdEncoding.EncodeToString(m.ContentBase64)
	}
	return textOf(m.Content)
}

func reasonOf(reason string) string {
	if reason == "" {
		return ""
	}
	return ", " + reason
}

func costOf(m *management.TrialResult) string {
	if m.NS == nil || m.Allocs == nil {
		return ""
	}
	return fmt.Sprintf(" (%v, %s)", time.Duration(*m.NS), output.Count(*m.Allocs, "allocation"))
}
