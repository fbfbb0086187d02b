package message_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/qos/message"
)

func run(n int) []message.Message {
	out := make([]message.Message, n)
	for i := range out {
		out[i] = message.Message{Offset: int64(i), Content: []byte(strings.Repeat(fmt.Sprint(i), 1+i%7))}
	}
	return out
}

func lined(dst []byte, m *message.Message) []byte { return append(append(dst, m.Content...), '\n') }

// Whoever takes whatever part, in any order and at once, gets the bytes of exactly that part.
func TestView_TakeFromManySides(t *testing.T) {
	t.Parallel()
	const total = 128
	all := run(total)
	var want []byte
	var ends []int
	for i := range all {
		want = lined(want, &all[i])
		ends = append(ends, len(want))
	}
	var b message.Batch
	var grew atomic.Int64
	var made atomic.Int64
	b.Watch(func(n int64) { grew.Add(n) })
	encode := func(dst []byte, m *message.Message) []byte { made.Add(1); return lined(dst, m) }
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for from := g; from < total; from += 3 {
				v := message.View{Batch: &b, Run: all[:total:total], From: from, To: min(from+11, total)}
				start := 0
				if from > 0 {
					start = ends[from-1]
				}
				at := start
				for v.Len() > 0 {
					before := v.From
					p, n, ok := v.Take("lines", 16, encode)
					if !ok || n < 1 || v.From != before+n || !bytes.Equal(p, want[at:ends[v.From-1]]) || n > 1 && len(p) > 16 {
						t.Errorf("from %d: took %d messages, %q, %v", before, n, p, ok)
						return
					}
					at += len(p)
				}
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != total {
		t.Errorf("%d encodings of %d messages", n, total)
	}
	if n := b.Close(); n != grew.Load() || n < int64(len(want)) {
		t.Errorf("accounted %d, told %d, made %d", n, grew.Load(), len(want))
	}
	v := message.View{Batch: &b, Run: all, To: 1}
	if _, _, ok := v.Take("other", 1, encode); ok {
		t.Error("a closed batch took a new form")
	}
	if p, _, ok := v.Take("lines", 1, encode); !ok || string(p) != "0\n" {
		t.Errorf("a closed batch forgot a form: %q %v", p, ok)
	}
}

func TestView_Alone(t *testing.T) {
	t.Parallel()
	v := message.Alone(run(3))
	if _, _, ok := v.Take("lines", 100, lined); ok || v.Len() != 3 || len(v.Messages()) != 3 {
		t.Error("messages of one subscriber were shared")
	}
}

func TestView_TakeAllocatesNothingPerSubscriber(t *testing.T) {
	all := run(64)
	var b message.Batch
	var key any = "lines"
	first := message.View{Batch: &b, Run: all, To: 64}
	first.Take(key, 1<<20, lined)
	if n := testing.AllocsPerRun(100, func() {
		v := message.View{Batch: &b, Run: all, To: 64}
		for v.Len() > 0 {
			v.Take(key, 64, lined)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
