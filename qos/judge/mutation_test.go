package judge_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// correct draws a history in which everything is right: some partitions, several messages of one key in each, and a
// subscriber that gets them in turn, disconnects now and then, and saves as its level asks.
func correct(t *rapid.T, level qos.Level) []judge.Event {
	const s = "s"
	perPartition := rapid.IntRange(3, 12).Draw(t, "messages")
	partitions := rapid.IntRange(1, 3).Draw(t, "partitions")
	var out []judge.Event
	for p := range partitions {
		for i := range perPartition {
			m := judge.Event{Kind: judge.Produced, Key: fmt.Sprint("k", p), Seq: int64(i)}
			out = append(out, m)
			m.Kind, m.Partition, m.Offset = judge.Stored, fmt.Sprint("P", p), int64(i)*2 // a log has holes
			out = append(out, m)
		}
	}
	out = append(out, judge.Event{Kind: judge.Subscribed, Subscriber: s, Level: level.String(), Cursor: judge.Cursor{judge.Everywhere: 0}})
	at := judge.Cursor{}
	for i := range perPartition {
		for p := range partitions {
			name := fmt.Sprint("P", p)
			m := judge.Event{Kind: judge.Delivered, Subscriber: s, Key: fmt.Sprint("k", p), Seq: int64(i), Partition: name, Offset: int64(i) * 2}
			ack := judge.Event{Kind: judge.Acked, Subscriber: s, Key: m.Key, Seq: m.Seq}
			save := judge.Event{Kind: judge.Checkpointed, Subscriber: s, Cursor: judge.Cursor{name: m.Offset + 1}}
			if level == qos.AtMostOnce {
				out = append(out, save, m)
			} else {
				out = append(out, m, ack, save)
			}
			at[name] = m.Offset + 1
		}
		if rapid.IntRange(0, 3).Draw(t, "disconnect") == 0 {
			back := judge.Cursor{judge.Everywhere: 0}
			for p, offset := range at {
				back[p] = offset
			}
			out = append(out, judge.Event{Kind: judge.Disconnected, Subscriber: s}, judge.Event{Kind: judge.Resumed, Subscriber: s, Cursor: back})
		}
	}
	return out
}

// pick draws the place of an event of a kind, of a message that is neither the first nor the last of its key.
func pick(t *rapid.T, events []judge.Event, kind judge.Kind) int {
	last := map[string]int64{}
	for _, e := range events {
		last[e.Key] = max(last[e.Key], e.Seq)
	}
	var places []int
	for i, e := range events {
		if e.Kind == kind && e.Seq > 0 && e.Seq < last[e.Key] {
			places = append(places, i)
		}
	}
	return rapid.SampledFrom(places).Draw(t, "place")
}

// find is the place of the delivery of a message.
func find(events []judge.Event, key string, seq int64) int {
	return slices.IndexFunc(events, func(e judge.Event) bool { return e.Kind == judge.Delivered && e.Key == key && e.Seq == seq })
}

// connections removes all that ends a connection, so that a mutation meets one connection only.
func connections(events []judge.Event) []judge.Event {
	return slices.DeleteFunc(events, func(e judge.Event) bool { return e.Kind == judge.Disconnected || e.Kind == judge.Resumed })
}

// saving removes acks and checkpoints, so that a mutation breaks one promise only.
func saving(events []judge.Event) []judge.Event {
	return slices.DeleteFunc(events, func(e judge.Event) bool { return e.Kind == judge.Acked || e.Kind == judge.Checkpointed })
}

// mutations break a correct history in one way each.
var mutations = []struct {
	name   string
	level  qos.Level
	broken string
	apply  func(*rapid.T, []judge.Event) []judge.Event
}{
	{"lose the last", qos.AtLeastOnce, "loss", func(_ *rapid.T, in []judge.Event) []judge.Event {
		in = saving(connections(in))
		for i := len(in) - 1; ; i-- {
			if in[i].Kind == judge.Delivered {
				return slices.Delete(in, i, i+1)
			}
		}
	}},
	{"skip one", qos.None, "silent-gap", func(t *rapid.T, in []judge.Event) []judge.Event {
		in = connections(in)
		i := pick(t, in, judge.Delivered)
		return slices.Delete(in, i, i+1)
	}},
	{"lose one", qos.AtLeastOnce, "loss, silent-gap", func(t *rapid.T, in []judge.Event) []judge.Event {
		in = saving(connections(in))
		i := pick(t, in, judge.Delivered)
		return slices.Delete(in, i, i+1)
	}},
	{"deliver one again", qos.AtMostOnce, "duplicate", func(t *rapid.T, in []judge.Event) []judge.Event {
		i := pick(t, in, judge.Delivered)
		return slices.Insert(in, i+1, in[i])
	}},
	{"swap two", qos.None, "order-per-key, order-per-partition", func(t *rapid.T, in []judge.Event) []judge.Event {
		in = connections(in)
		i := pick(t, in, judge.Delivered)
		k := find(in, in[i].Key, in[i].Seq+1)
		in[i], in[k] = in[k], in[i]
		return in
	}},
	{"swap two of other keys", qos.None, "order-per-partition", func(t *rapid.T, in []judge.Event) []judge.Event {
		in = connections(in)
		for i := range in { // every message has a key of its own
			if in[i].Key != "" {
				in[i].Key = fmt.Sprint(in[i].Key, "/", in[i].Seq)
			}
		}
		var places []int
		for i, e := range in {
			if e.Kind == judge.Delivered && e.Partition == "P0" {
				places = append(places, i)
			}
		}
		n := rapid.IntRange(0, len(places)-2).Draw(t, "place")
		in[places[n]], in[places[n+1]] = in[places[n+1]], in[places[n]]
		return in
	}},
	{"commit before the ack", qos.AtLeastOnce, "commit-above-ack", func(t *rapid.T, in []judge.Event) []judge.Event {
		i := pick(t, in, judge.Acked)
		in[i], in[i+1] = in[i+1], in[i]
		return in
	}},
	{"commit before the delivery", qos.Auto, "commit-above-delivery", func(t *rapid.T, in []judge.Event) []judge.Event {
		i := pick(t, in, judge.Delivered)
		in[i], in[i+2] = in[i+2], in[i]
		return in
	}},
	{"deliver before the commit", qos.AtMostOnce, "delivery-above-commit", func(t *rapid.T, in []judge.Event) []judge.Event {
		i := pick(t, in, judge.Delivered)
		in[i], in[i-1] = in[i-1], in[i]
		return in
	}},
	{"deliver what is not", qos.AtMostOnce, "invention", func(t *rapid.T, in []judge.Event) []judge.Event {
		return append(in, judge.Event{Kind: judge.Delivered, Subscriber: "s", Key: "nobody's"})
	}},
	{"store what was refused", qos.Auto, "false-refusal", func(t *rapid.T, in []judge.Event) []judge.Event {
		m := in[pick(t, in, judge.Stored)]
		return append(in, judge.Event{Kind: judge.Refused, Key: m.Key, Seq: m.Seq})
	}},
}

// TestJudge_NamesWhatWasBroken takes correct histories, breaks each in one way, and wants exactly that named.
func TestJudge_NamesWhatWasBroken(t *testing.T) {
	t.Parallel()
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				events := correct(rt, m.level)
				if err := judgement(t, events).Err(); err != nil {
					rt.Fatalf("a correct history: %v", err)
				}
				if got := rules(judgement(t, m.apply(rt, events))); got != m.broken {
					rt.Fatalf("broken: %q, want %q", got, m.broken)
				}
			})
		})
	}
}

// BenchmarkJudge judges 50,000 messages over six partitions for three subscribers.
func BenchmarkJudge(b *testing.B) {
	const messages, subscribers = 50_000, 3
	for b.Loop() {
		j := judge.New()
		add := func(e judge.Event) {
			if err := j.Add(&e); err != nil {
				b.Fatal(err)
			}
		}
		names := []string{"a", "b", "c"}[:subscribers]
		for _, s := range names {
			add(judge.Event{Kind: judge.Subscribed, Subscriber: s, Level: "at-least-once", Cursor: judge.Cursor{judge.Everywhere: 0}})
		}
		partitions := []string{"0", "1", "2", "3", "4", "5"}
		for i := range messages {
			p := partitions[i%len(partitions)]
			m := judge.Event{Kind: judge.Stored, Key: p, Seq: int64(i), Partition: p, Offset: int64(i / len(partitions))}
			add(m)
			for _, s := range names {
				m.Kind, m.Subscriber = judge.Delivered, s
				add(m)
			}
		}
		if err := j.Verdict().Err(); err != nil {
			b.Fatal(err)
		}
	}
}
