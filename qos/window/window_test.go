package window_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/qos/window"
)

// TestWindow_AgainstModel tracks and acks at random and holds position and ranges against a map of what is acked; then
// another window takes over from what was saved.
func TestWindow_AgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		w := window.New(start, nil, 12*64)
		var tracked []int64
		done := map[int64]bool{}
		next, low := start, 0 // low: index of the lowest that is not acked
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "track") || len(tracked) == 0 {
				next += rapid.Int64Range(0, 3).Draw(t, "hole")
				deliver, err := w.Track(next)
				if full := len(tracked)-low >= 64; full != errors.Is(err, window.ErrFull) || deliver == full {
					t.Fatalf("track %d: %t %v, %d are held", next, deliver, err, len(tracked)-low)
				}
				if err == nil {
					tracked = append(tracked, next)
					next++
				}
			} else if o := rapid.SampledFrom(tracked).Draw(t, "ack"); rapid.IntRange(0, 9).Draw(t, "through") == 0 {
				w.AckThrough(o)
				for _, x := range tracked {
					done[x] = done[x] || x <= o
				}
			} else {
				w.Ack(o)
				done[o] = true
			}
			want := start
			for low = 0; low < len(tracked) && done[tracked[low]]; low++ {
				want = tracked[low] + 1
			}
			if w.Position() != want || w.Len() != len(tracked)-low {
				t.Fatalf("position %d with %d held, want %d with %d", w.Position(), w.Len(), want, len(tracked)-low)
			}
		}
		ranges, err := window.DecodeRanges(string(w.AppendRanges(nil)), w.Position())
		if err != nil {
			t.Fatal(err)
		}
		heir := window.New(w.Position(), ranges, 12*64)
		if again := string(heir.AppendRanges(nil)); again != string(w.AppendRanges(nil)) {
			t.Fatalf("an owner that does nothing saves %q", again)
		}
		for _, o := range tracked[low:] {
			if deliver, err := heir.Track(o); err != nil || deliver == done[o] {
				t.Fatalf("the next owner delivers %d: %t %v; acked: %t", o, deliver, err, done[o])
			}
		}
	})
}

func TestWindow_RefusesBackwards(t *testing.T) {
	t.Parallel()
	w := window.New(5, nil, 0)
	for _, c := range []struct {
		offset int64
		want   error
	}{{4, window.ErrOrder}, {7, nil}, {7, window.ErrOrder}, {8, window.ErrFull}} {
		if _, err := w.Track(c.offset); !errors.Is(err, c.want) {
			t.Errorf("track %d: %v, want %v", c.offset, err, c.want)
		}
	}
	if w.Ack(6) || !w.Ack(7) || w.Position() != 8 {
		t.Errorf("position %d", w.Position())
	}
}

func TestWindow_CountsWhatIsNotAcked(t *testing.T) {
	t.Parallel()
	w := window.New(0, []window.Range{{From: 2, To: 3}}, 1<<10)
	for o := range int64(5) {
		if _, err := w.TrackSized(o, uint32(10+o)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		ack      func(int64) bool
		offset   int64
		messages int
		bytes    int64
	}{{w.Ack, 9, 4, 48}, {w.Ack, 3, 3, 35}, {w.Ack, 3, 3, 35}, {w.AckThrough, 1, 1, 14}, {w.AckThrough, 4, 0, 0}} {
		step.ack(step.offset)
		if n, bytes := w.Unacked(); n != step.messages || bytes != step.bytes {
			t.Fatalf("after %d: %d messages of %d bytes, want %d of %d", step.offset, n, bytes, step.messages, step.bytes)
		}
	}
}

func TestWindow_NoAllocations(t *testing.T) {
	w, next := window.New(0, nil, 1<<12), int64(0)
	text := make([]byte, 0, window.MaxText)
	step := func() {
		for range 16 {
			_, _ = w.Track(next)
			next++
		}
		for o := next - 1; o >= next-16; o -= 2 {
			w.Ack(o)
		}
		text = w.AppendRanges(text[:0])
		w.AckThrough(next)
	}
	step()
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendRanges_StaysWithinItsLimit(t *testing.T) {
	t.Parallel()
	w := window.New(1<<40, nil, 1<<20)
	for o := int64(1 << 40); o < 1<<40+20_000; o++ {
		if _, err := w.Track(o); err != nil {
			t.Fatal(err)
		}
		if o&1 != 0 {
			w.Ack(o)
		}
	}
	text := w.AppendRanges(nil)
	ranges, err := window.DecodeRanges(string(text), w.Position())
	if err != nil || len(text) > window.MaxText || len(ranges) < 1000 {
		t.Fatalf("%d bytes, %d ranges, %v", len(text), len(ranges), err)
	}
	for i, r := range ranges {
		if want := int64(1<<40 + 2*i + 1); r != (window.Range{From: want, To: want + 1}) {
			t.Fatalf("range %d is %v", i, r)
		}
	}
	if _, err := window.DecodeRanges(string(text), w.Position()+1); !errors.Is(err, window.ErrForeign) {
		t.Errorf("text of another position: %v", err)
	}
}

// FuzzDecodeRanges holds that ranges are sorted, apart and above the position, whatever the text.
func FuzzDecodeRanges(f *testing.F) {
	f.Add("1AAEB", int64(0))
	f.Add("", int64(3))
	f.Fuzz(func(t *testing.T, text string, position int64) {
		ranges, err := window.DecodeRanges(text, position)
		if err != nil && !errors.Is(err, window.ErrForeign) {
			t.Fatal(err)
		}
		for end := position; len(ranges) > 0; ranges = ranges[1:] {
			if r := ranges[0]; r.From <= end || r.To <= r.From {
				t.Fatalf("range %v behind %d", r, end)
			}
			end = ranges[0].To
		}
	})
}
