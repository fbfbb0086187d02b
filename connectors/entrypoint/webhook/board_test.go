package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestDelivery_OrderPerKeyAndNothingLost: whatever the receiver does, at-least-once delivers everything, each key in order, no two
// messages of one key at a time, never more calls than allowed, and acknowledges after the receiver's yes alone; auto never
// confirms beyond what is delivered.
func TestDelivery_OrderPerKeyAndNothingLost(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.SampledFrom([]qos.Level{qos.AtLeastOnce, qos.Auto}).Draw(t, "level")
		concurrency := rapid.IntRange(1, 8).Draw(t, "concurrency")
		failing := rapid.IntRange(0, 60).Draw(t, "percent failing")
		batch := rapid.Bool().Draw(t, "batch")
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "-"}), 1, 60).Draw(t, "keys")
		seed := rapid.Uint64().Draw(t, "seed")
		var wrong []string // told outside of the bubble, which has a goroutine of its own
		synctest.Test(outer, func(t *testing.T) {
			wrong = deliverAtRandom(t, level, concurrency, failing, batch, keys, seed)
		})
		for _, w := range wrong {
			t.Error(w)
		}
	})
}

func deliverAtRandom(t *testing.T, level qos.Level, concurrency, failing int, batch bool, keys []string, seed uint64) (wrong []string) {
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	var got []int
	flying, busy := 0, map[string]bool{}
	settings := fmt.Sprintf(`"concurrency":%d,%s`, concurrency, retryOften)
	if batch {
		settings += `,"batch":{"maxMessages":4,"maxDelayMs":50,"format":"ndjson"}`
	}
	bd := newBed(t, level, `{"callbackUrl":"http://receiver",`+settings+`}`)
	bd.patience = 24 * time.Hour
	bd.call = func(_ context.Context, request, _ []byte, _ bool, r *reply) error {
		_, body, _ := strings.Cut(string(request), "\r\n\r\n")
		var offsets []int
		for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
			at := strings.LastIndex(line, `"n":`) + len(`"n":`)
			n, err := strconv.Atoi(strings.TrimRight(line[at:], "}"))
			if err != nil {
				problem("no message: %q", line)
			}
			offsets = append(offsets, n)
		}
		mu.Lock()
		if flying++; flying > concurrency {
			problem("%d calls at a time, want %d at most", flying, concurrency)
		}
		for _, n := range offsets {
			if k := keys[n]; k != "-" && busy[k] {
				problem("two calls for %s at a time", k)
			}
		}
		for _, n := range offsets {
			busy[keys[n]] = true
		}
		wait, fails := time.Duration(random.IntN(50))*time.Millisecond, random.IntN(100) < failing
		mu.Unlock()
		time.Sleep(wait)
		mu.Lock()
		defer mu.Unlock()
		flying--
		for _, n := range offsets {
			delete(busy, keys[n])
		}
		if fails {
			return errors.New("connection refused")
		}
		got = append(got, offsets...)
		r.status = 200
		for _, n := range bd.sub.Acknowledged() {
			if !contains(got, int(n)) {
				problem("%d acknowledged before it was delivered", n)
			}
		}
		return nil
	}
	if err := bd.all(data(keys...)...); err != nil {
		problem("ended with %v", err)
	}
	last, seen := map[string]int{}, map[int]bool{}
	for _, n := range got {
		if k := keys[n]; k != "-" || concurrency == 1 {
			if concurrency == 1 {
				k = "all"
			}
			if n < last[k] {
				problem("%d came after %d: %v", n, last[k], got)
			}
			last[k] = n
		}
		seen[n] = true
	}
	if len(seen) != len(keys) || len(got) != len(keys) {
		problem("%d calls delivered %d of %d messages", len(got), len(seen), len(keys))
	}
	if level == qos.AtLeastOnce && len(bd.sub.Acknowledged()) != len(keys) {
		problem("%d of %d acknowledged", len(bd.sub.Acknowledged()), len(keys))
	}
	if at := bd.sub.Delivered(); level == qos.Auto && at != int64(len(keys)-1) {
		problem("delivered through %d of %d", at, len(keys))
	}
	return wrong
}

func contains(all []int, n int) bool {
	for _, x := range all {
		if x == n {
			return true
		}
	}
	return false
}

// TestMarks_NeverAhead compares with the plain way to say it.
func TestMarks_NeverAhead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := marks{on: true}
		var msgs []*message.Message
		done, told := map[int]bool{}, -1
		for range rapid.IntRange(1, 1000).Draw(t, "steps") {
			if len(msgs) == len(done) || rapid.Bool().Draw(t, "track") {
				m := &message.Message{Offset: int64(len(msgs))}
				if n := k.track(m); n != uint64(len(msgs)) {
					t.Fatalf("number %d of message %d", n, len(msgs))
				}
				msgs = append(msgs, m)
				continue
			}
			n := rapid.IntRange(0, len(msgs)-1).Draw(t, "done")
			for done[n] {
				n = (n + 1) % len(msgs)
			}
			done[n] = true
			k.done(uint64(n))
			want := told
			for done[want+1] {
				want++
			}
			m := k.take()
			if (m == nil) != (want == told) || m != nil && m.Offset != int64(want) {
				t.Fatalf("took %v, want through %d after %d", m, want, told)
			}
			told = want
			if k.room() != maxMarks-(len(msgs)-1-told) {
				t.Fatalf("room %d with %d of %d done", k.room(), told+1, len(msgs))
			}
		}
	})
}
