package mqttclient

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/qos/message"
)

// TestBacklog_Order pushes, takes and gives back at random: what comes out is in order, and views stay as they were.
func TestBacklog_Order(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b backlog
		var pushed, taken int64
		var views [][]message.Message
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				b.push(&message.Message{Offset: pushed})
				pushed++
			case 3:
				view := b.take(rapid.IntRange(1, 20).Draw(t, "most"))
				if len(view) == 0 && taken != pushed {
					t.Fatalf("nothing, but %d are there", pushed-taken)
				}
				for i := range view {
					if view[i].Offset != taken {
						t.Fatalf("got %d, want %d", view[i].Offset, taken)
					}
					taken++
				}
				views = append(views, view)
			case 4:
				if n := len(views); n > 0 {
					b.giveBack(views[n-1])
					taken -= int64(len(views[n-1]))
					views = views[:n-1]
				}
			}
			if int64(b.n) != pushed-taken {
				t.Fatalf("%d are counted, %d are there", b.n, pushed-taken)
			}
		}
		at := int64(0)
		for _, view := range views {
			for i := range view {
				if view[i].Offset != at {
					t.Fatalf("a view has changed: %d, want %d", view[i].Offset, at)
				}
				at++
			}
		}
	})
}

// TestWindow_SettledInAnyOrder settles at random: the window knows exactly what is not settled, and keeps no more than it must.
func TestWindow_SettledInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w window
		open := map[int64]bool{}
		next := int64(0)
		for range rapid.IntRange(1, 600).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				if seq := w.push(slot{size: int(next)}); seq != next {
					t.Fatalf("number %d, want %d", seq, next)
				}
				open[next] = true
				next++
				continue
			}
			if next == 0 {
				continue
			}
			seq := rapid.Int64Range(max(0, next-50), next-1).Draw(t, "seq")
			sl := w.at(seq)
			if (sl != nil) != open[seq] || sl != nil && sl.size != int(seq) {
				t.Fatalf("%d: %+v", seq, sl)
			}
			if sl != nil {
				sl.done = true
				delete(open, seq)
				w.advance()
			}
		}
		first := next
		for seq := range open {
			first = min(first, seq)
		}
		if int64(w.len()) != next-first {
			t.Fatalf("%d slots for %d", w.len(), next-first)
		}
	})
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/b", false}, {"a/b", "a", false}, {"+", "a", true}, {"+", "a/b", false},
		{"a/+/c", "a/b/c", true}, {"a/+", "a", false}, {"a/+", "a/", true}, {"#", "a/b/c", true}, {"a/#", "a", true},
		{"a/#", "a/b/c", true}, {"a/#", "b", false}, {"#", "$SYS/x", false}, {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true},
		{"/a", "/a", true}, {"+/a", "/a", true}, {"$share/g/a/+", "a/b", true}, {"$share/g/a/+", "b", false},
	} {
		if got := covers(c.filter, c.topic); got != c.want {
			t.Errorf("%s covers %s: %t", c.filter, c.topic, got)
		}
	}
}

func TestUnalias(t *testing.T) {
	t.Parallel()
	l := &link{}
	number := func(n uint16) *uint16 { return &n }
	for i, c := range []struct {
		topic string
		alias *uint16
		want  string // empty: refused
	}{
		{"a", nil, "a"}, {"", number(3), ""}, {"a", number(3), "a"}, {"", number(3), "a"}, {"b", number(3), "b"}, {"", number(3), "b"},
		{"", number(2), ""}, {"c", number(0), ""}, {"c", number(aliasMaximum), "c"}, {"c", number(aliasMaximum + 1), ""},
	} {
		p := received(c.topic, 0)
		p.Properties.TopicAlias = c.alias
		if err := l.unalias(p); (err != nil) != (c.want == "") || err == nil && p.Topic != c.want {
			t.Errorf("packet %d: %q, %v", i, p.Topic, err)
		}
	}
}
