package judge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// history reads the shorthand of the tables: events between semicolons, of subscriber s where they have one.
//
//	p K N        produced           + K N [P@O]  stored          - K N         refused
//	sub L [P@O]  subscribed         res [P@O..]  resumed         dis           disconnected
//	d K N [P@O]  delivered          a K N | a P@O  acked         c P@O         checkpointed
//	gap [P [F T]]  gap
func history(t testing.TB, text string) []judge.Event {
	t.Helper()
	var out []judge.Event
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		e := judge.Event{Kind: map[string]judge.Kind{"p": judge.Produced, "+": judge.Stored, "-": judge.Refused, "sub": judge.Subscribed,
			"res": judge.Resumed, "dis": judge.Disconnected, "d": judge.Delivered, "a": judge.Acked, "c": judge.Checkpointed, "gap": judge.Gap}[words[0]]}
		if e.Kind >= judge.Subscribed {
			e.Subscriber = "s"
		}
		rest := words[1:]
		switch {
		case e.Kind == judge.Subscribed:
			e.Level, rest = rest[0], rest[1:]
		case e.Kind == judge.Gap:
			if len(rest) > 0 {
				e.Partition = rest[0]
			}
			if len(rest) > 1 {
				scan(t, rest[1]+" "+rest[2], "%d %d", &e.From, &e.To)
			}
			rest = nil
		case len(rest) > 1 && !strings.Contains(rest[0], "@"):
			e.Key = rest[0]
			scan(t, rest[1], "%d", &e.Seq)
			rest = rest[2:]
		}
		for _, place := range rest {
			p, offset, _ := strings.Cut(place, "@")
			var o int64
			scan(t, offset, "%d", &o)
			if e.Kind == judge.Produced || e.Kind == judge.Stored || e.Kind == judge.Delivered {
				e.Partition, e.Offset = p, o
			} else {
				if e.Cursor == nil {
					e.Cursor = judge.Cursor{}
				}
				e.Cursor[p] = o
			}
		}
		out = append(out, e)
	}
	return out
}

func scan(t testing.TB, text, format string, to ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, to...); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func judgement(t testing.TB, events []judge.Event) *judge.Verdict {
	t.Helper()
	j := judge.New()
	for i := range events {
		if err := j.Add(&events[i]); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	return j.Verdict()
}

// rules lists all that was broken.
func rules(v *judge.Verdict) string {
	var out []string
	for _, b := range v.Broken {
		out = append(out, b.Rule.String())
	}
	for _, r := range v.Subscribers {
		for _, b := range r.Broken {
			out = append(out, b.Rule.String())
		}
	}
	return strings.Join(out, ", ")
}

// log is four messages of two keys in partition A, and one in B.
const log = "p x 0; p x 1; p y 0; p x 2; p z 0; + x 0 A@0; + x 1 A@1; + y 0 A@2; + x 2 A@3; + z 0 B@0;"

func TestJudge_Rules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, history, want string }{
		{"loss", log + "sub at-least-once *@0; d x 0; d x 1; d y 0; d x 2", "loss"},
		{"loss of what was never seen anywhere", "p k 0; + k 0; sub at-least-once *@0", "loss"},
		{"loss, announced", log + "sub at-least-once *@0; d x 0; gap A 1 3; d x 2; d z 0", "loss"},
		{"no loss", log + "sub at-least-once *@0; d x 0; d x 1; d y 0; d x 2; d z 0", ""},
		{"no loss: not stored", "p k 0; - k 0; p k 1; sub at-least-once *@0", ""},
		{"no loss: before the start", log + "sub at-least-once A@3; d x 2", ""},
		{"no loss: start unknown, from the first on", log + "sub at-least-once; d y 0; d x 2", ""},
		{"no loss: gone", log + "sub at-least-once *@0; d x 0; d x 1; dis", ""},
		{"loss, then gone", log + "sub at-least-once *@0; d x 0; d y 0; dis", "loss, silent-gap"},
		{"no loss at auto: the tail", log + "sub auto *@0; d x 0", ""},
		{"resumed at a later cursor", log + "sub at-least-once *@0; d x 0; d z 0; dis; res A@3; d x 2", "loss"},
		{"auto may start anew", log + "sub auto; d x 0; dis; res; d x 2", ""},

		{"duplicate", log + "sub at-most-once; d x 0; d x 0", "duplicate"},
		{"duplicate after resuming", log + "sub at-most-once; d x 0; dis; res A@0; d x 0", "duplicate"},
		{"no duplicate", log + "sub at-most-once; d x 0; d x 1; dis; res A@2; d y 0", ""},
		{"duplicates are allowed", log + "sub at-least-once *@0; d x 0; d x 0; d x 1; d x 0; d y 0; d x 2; d z 0; dis; res A@0; d x 0; d x 1", ""},

		{"order of a key", "p x 0; p x 1; sub none; d x 1; d x 0", "order-per-key"},
		{"order of a key across partitions", "p x 0; p x 1; sub none; d x 1 A@0; d x 0 B@0", "order-per-key"},
		{"order of a partition", log + "sub none; d y 0; d x 0", "order-per-partition"},
		{"order of a partition after resuming", log + "sub auto; d x 0; d x 1; d y 0; dis; res A@0; d y 0; d x 0", "order-per-partition"},
		{"order of both", log + "sub none A@0; d x 1; d x 0; d y 0", "order-per-key, order-per-partition"},
		{"order kept: partitions are apart", log + "sub none; d z 0; d x 0; d x 1; d y 0", ""},
		{"order kept: resumed at an earlier place", log + "sub auto; d x 2; dis; res A@0; d x 0; d x 1; d y 0; d x 2", ""},

		{"commit above ack", log + "sub at-least-once A@0 B@1; d x 0; a x 0; d x 1; c A@2; a x 1; d y 0; d x 2", "commit-above-ack"},
		{"commit above ack, never acked", log + "sub at-least-once A@0 B@1; d x 0; d x 1; d y 0; d x 2; a A@1; c A@4", "commit-above-ack"},
		{"commit at ack", log + "sub at-least-once A@0 B@1; d x 0; a x 0; c A@1; d x 1; d y 0; a A@3; c A@3; d x 2", ""},
		{"commit below the start covers nothing", log + "sub at-least-once A@3; c A@3; d x 2; a x 2; c A@4", ""},
		{"commit that goes back", log + "sub at-least-once A@3; d x 2; a x 2; c A@4; c A@3", ""},
		{"commit over a gap", log + "sub auto A@0; gap A 0 3; c A@3; d x 2; c A@4", ""},
		{"commit above delivery", log + "sub auto A@0; c A@1; d x 0", "commit-above-delivery"},
		{"commit at delivery", log + "sub auto A@0; d x 0; c A@1; d x 1", ""},
		{"delivery above commit", log + "sub at-most-once A@0; c A@1; d x 0; d x 1; c A@2", "delivery-above-commit"},
		{"delivery at commit", log + "sub at-most-once A@0; c A@2; d x 0; d x 1", ""},
		{"deliveries without any commit", log + "sub at-most-once A@0; d x 0; d x 1", ""},

		{"silent gap", log + "sub none; d x 0; d y 0", "silent-gap"},
		{"silent gap behind the cursor", log + "sub auto; d x 0; dis; res A@1; d x 2", "silent-gap"},
		{"no silent gap: told", log + "sub none; d x 0; gap A 1 2; d y 0", ""},
		{"too little told", log + "sub none; d x 0; gap A 1 2; d x 2", "silent-gap"},
		{"told without a range", log + "sub none; d x 0; gap A; d x 2", ""},
		{"told without a range, of everything", log + "sub none; d x 0; gap; d x 2", ""},
		{"told of another partition", log + "sub none; d x 0; gap B; d x 2", "silent-gap"},
		{"told once, skipped twice", log + "sub none; d x 0; gap; d x 1; d x 2", "silent-gap"},
		{"no silent gap: it was away", log + "sub none; d x 0; dis; res; d x 2", ""},
		{"no silent gap: it comes later", log + "sub none; d x 0; d y 0; dis; res A@1; d x 1", ""},
		{"no silent gap: no message there", "p x 0; p x 1; + x 0 A@0; + x 1 A@9; sub none; d x 0; d x 1", ""},

		{"invention", "sub none; d k 7", "invention"},
		{"no invention: told later", "sub none; d k 7; p k 7", ""},
		{"false refusal: in the log", "p k 0; - k 0; + k 0 A@0", "false-refusal"},
		{"false refusal: delivered", "p k 0; - k 0; sub none; d k 0", "false-refusal"},
		{"true refusal", "p k 0; - k 0; p k 1; + k 1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := judgement(t, history(t, c.history))
			if got := rules(v); got != c.want {
				t.Errorf("broken: %q, want %q\n%v", got, c.want, v.Err())
			}
			if (v.Err() == nil) != (c.want == "") {
				t.Errorf("Err is %v", v.Err())
			}
		})
	}
}

func TestJudge_Counts(t *testing.T) {
	t.Parallel()
	v := judgement(t, history(t, log+"p u 0; p r 0; - r 0; sub at-least-once *@0; d x 1; d x 0; d x 0; gap A 2 3; d x 2; gap"))
	want := &judge.Verdict{Produced: 7, Stored: 5, Refused: 1, Unknown: 1, Subscribers: []judge.Report{{
		Subscriber: "s", Level: qos.AtLeastOnce, Delivered: 3, Lost: 2, Duplicated: 1, Reordered: 1, Gaps: 2, Broken: []judge.Breach{
			{Rule: judge.Loss, Count: 2, Example: `key "y" seq 0 at A@2`},
			{Rule: judge.OrderPerKey, Count: 1, Example: `key "x" seq 0 at A@0`},
			{Rule: judge.OrderPerPartition, Count: 1, Example: `key "x" seq 0 at A@0`},
		}}}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	const text = `s (at-least-once): loss of 2, the first: key "y" seq 0 at A@2`
	if !strings.HasPrefix(v.Err().Error(), text) {
		t.Errorf("%v\nwant first: %s", v.Err(), text)
	}
}

func TestJudge_RulesOfItsOwn(t *testing.T) {
	t.Parallel()
	events := history(t, log+"sub auto *@0; d y 0; d x 0; d x 0")
	for i := range events {
		if events[i].Kind == judge.Subscribed {
			events[i].Rules = judge.Duplicate | judge.Loss
		}
	}
	if got := rules(judgement(t, events)); got != "loss, duplicate" {
		t.Errorf("broken: %s", got)
	}
}

func TestJudge_VerdictMayBeAskedAgain(t *testing.T) {
	t.Parallel()
	j := judge.New()
	add := func(text string) {
		for _, e := range history(t, text) {
			if err := j.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(log + "sub at-least-once *@0; d x 0; d x 0; d y 0; d x 2; d z 0")
	for range 2 {
		if got := rules(j.Verdict()); got != "loss, silent-gap" {
			t.Errorf("broken: %s", got)
		}
	}
	add("dis; res A@1; d x 1; d y 0; d x 2")
	if err := j.Verdict().Err(); err != nil {
		t.Error(err)
	}
}

func TestJudge_NoHistory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		events []judge.Event
	}{
		{"no kind", []judge.Event{{}}},
		{"kind beyond", []judge.Event{{Kind: 99}}},
		{"nobody's delivery", []judge.Event{{Kind: judge.Delivered, Key: "k"}}},
		{"somebody's production", []judge.Event{{Kind: judge.Produced, Key: "k", Subscriber: "s"}}},
		{"stranger", []judge.Event{{Kind: judge.Delivered, Subscriber: "s"}}},
		{"twice", history(t, "sub auto; sub auto")},
		{"no level", history(t, "sub best")},
		{"delivered while away", history(t, "sub auto; dis; d k 0")},
		{"below zero", []judge.Event{{Kind: judge.Stored, Partition: "A", Offset: -1}}},
		{"gap backwards", append(history(t, "sub auto"), judge.Event{Kind: judge.Gap, Subscriber: "s", Partition: "A", From: 3, To: 2})},
		{"gap nowhere", append(history(t, "sub auto"), judge.Event{Kind: judge.Gap, Subscriber: "s", From: 1, To: 2})},
		{"empty checkpoint", append(history(t, "sub auto"), judge.Event{Kind: judge.Checkpointed, Subscriber: "s"})},
		{"checkpoint everywhere", history(t, "sub auto; c *@3")},
	} {
		j := judge.New()
		var err error
		for i := range c.events {
			err = j.Add(&c.events[i])
		}
		if !errors.Is(err, judge.ErrEvent) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
