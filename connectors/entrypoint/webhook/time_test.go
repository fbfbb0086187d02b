package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
)

// script is a receiver in a bubble: it answers by offset and attempt, without a network.
type script struct {
	mu     sync.Mutex // also held while answer runs
	answer func(offset string, attempt int, r *reply) error
	tries  map[string]int
	log    []string
	at     []time.Duration // since the begin
	begun  time.Time
}

func (s *script) call(_ context.Context, request, _ []byte, _ bool, r *reply) error {
	_, offset, _ := strings.Cut(string(request), "#")
	offset, _, _ = strings.Cut(offset, "\r\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[offset]++
	s.log = append(s.log, offset)
	s.at = append(s.at, time.Since(s.begun).Round(100*time.Millisecond))
	r.status = 200
	return s.answer(offset, s.tries[offset], r)
}

// bubble runs a delivery to one receiver, one call at a time, in a bubble.
func bubble(t *testing.T, level qos.Level, settings string, answer func(offset string, attempt int, r *reply) error, f func(b *bed, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: answer, tries: map[string]int{}, begun: time.Now()}
		if settings != "" {
			settings = "," + settings
		}
		b := newBed(t, level, `{"callbackUrl":"http://receiver"`+settings+`}`)
		b.call, b.patience = s.call, 24*time.Hour
		f(b, s)
	})
}

// away is a receiver that is down until an attempt.
func away(until int) func(string, int, *reply) error {
	return func(_ string, attempt int, r *reply) error {
		if attempt < until {
			return errors.New("connection refused")
		}
		return nil
	}
}

const seconds = time.Second

func TestRetry_ByStrategy(t *testing.T) {
	for _, c := range []struct {
		name, retry string
		want        []time.Duration // about; each wait may be a tenth less or more
	}{
		{"exponential", `"retry":{"retryOption":"Retry On Fail","retryStrategy":"EXPONENTIAL","maxAttempts":6,"initialDelaySeconds":10,"maxDelaySeconds":60}`,
			[]time.Duration{10, 20, 40, 60, 60, 60}},
		{"linear", `"retry":{"retryOption":"Retry On Fail","retryStrategy":"LINEAR","maxAttempts":4,"initialDelaySeconds":10,"maxDelaySeconds":25}`,
			[]time.Duration{10, 20, 25, 25}},
		{"defaults", `"retry":{"retryOption":"Retry On Fail"}`, []time.Duration{1, 2, 3}},
		{"no retry", `"retry":{"retryOption":"No Retry","maxAttempts":5}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, qos.AtLeastOnce, c.retry, away(1000), func(b *bed, s *script) {
				f := failure(t, b.all(data("k")...))
				if f.Key != "WEBHOOK_UNREACHABLE" || f.Status != 503 || !f.Retry {
					t.Errorf("ended with %+v", f)
				}
				if len(s.at) != 1+len(c.want) {
					t.Fatalf("%d calls at %v, want %d", len(s.at), s.at, 1+len(c.want))
				}
				for i, want := range c.want {
					if wait := s.at[i+1] - s.at[i]; wait < want*seconds*9/10-100*time.Millisecond || wait > want*seconds*11/10+100*time.Millisecond {
						t.Errorf("wait %d is %v, want about %v", i+1, wait, want*seconds)
					}
				}
				for i, a := range b.told() {
					last := i == len(c.want)
					if a.Number != i+1 || a.Next.IsZero() != last || (a.Outcome == connectors.Retried) == last || a.Err != "connection refused" {
						t.Errorf("told %+v", a)
					}
				}
			})
		})
	}
}

func TestRetry_OneKeyWaitsAlone(t *testing.T) {
	bubble(t, qos.AtLeastOnce, retryOften+`,"concurrency":2`, func(offset string, attempt int, r *reply) error {
		if offset == "0" && attempt < 4 {
			r.status = 500
		}
		return nil
	}, func(b *bed, s *script) {
		if err := b.all(data("bad", "good", "bad", "good", "-")...); err != nil {
			t.Fatal(err)
		}
		if i := slices.Index(s.log, "2"); i < len(s.log)-1 {
			t.Errorf("the second message of the bad key was not the last: %v", s.log)
		}
		for i, offset := range s.log {
			if s.at[i] > 0 && offset != "0" && offset != "2" {
				t.Errorf("%s waited until %v: %v", offset, s.at[i], s.log)
			}
		}
		if rests := b.rested(); len(rests) != 0 {
			t.Errorf("one bad key opened the circuit: %v", rests)
		}
	})
}

func TestRetryAfter_IsHonoured(t *testing.T) {
	for name, value := range map[string]string{"seconds": "90", "date": time.Date(2000, 1, 1, 0, 1, 30, 0, time.UTC).Format(http.TimeFormat)} { // a bubble begins in 2000
		t.Run(name, func(t *testing.T) {
			bubble(t, qos.AtLeastOnce, retryOften, func(offset string, attempt int, r *reply) error {
				if offset == "0" && attempt == 1 {
					r.status, r.after = 503, retryAfter(value, time.Now())
				}
				return nil
			}, func(b *bed, s *script) {
				b.start(data("k")...)
				synctest.Wait()
				b.sub.Push(data("-", "other")[1]) // another key: the receiver asked for a pause, not the message
				b.sub.End(io.EOF)
				if err := b.wait(); err != nil {
					t.Fatal(err)
				}
				if len(s.at) != 3 || s.at[1] < 90*seconds || s.at[2] > 92*seconds {
					t.Errorf("%v called at %v, want a pause of 90 s", s.log, s.at)
				}
				if rests := b.rested(); len(rests) != 2 || !strings.Contains(rests[0], "asks for a pause") || !strings.Contains(rests[0], "2000-01-01T00:01:30Z") || rests[1] != "" {
					t.Errorf("told of rests %q", rests)
				}
			})
		})
	}
}

func TestRetryAfter_Values(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * seconds, " 5 ": 5 * seconds, "-5": 0, "soon": 0, "999999": maxRetryAfter, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 10:00:30 GMT": 30 * seconds, "Sun, 22 Nov 2026 09:00:00 GMT": 0, "Sun, 22 Nov 2099 09:00:00 GMT": maxRetryAfter,
		"Sunday, 22-Nov-26 10:00:30 GMT": 30 * seconds,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// TestBreaker_SparesAReceiverThatIsDown: many keys, an outage of ten minutes.
func TestBreaker_SparesAReceiverThatIsDown(t *testing.T) {
	const outage = 10 * time.Minute
	up := time.Time{}
	bubble(t, qos.AtLeastOnce, retryOften+`,"concurrency":16`, func(string, int, *reply) error {
		if up.IsZero() {
			up = time.Now().Add(outage)
		}
		if time.Now().Before(up) {
			return errors.New("connection refused")
		}
		return nil
	}, func(b *bed, s *script) {
		var keys []string
		for range 500 {
			keys = append(keys, "-")
		}
		if err := b.all(data(keys...)...); err != nil {
			t.Fatal(err)
		}
		during := 0
		for _, at := range s.at {
			if at < outage {
				during++
			}
		}
		if during < breakAfter || during > 60 { // 16 under way, then probes after 1, 2, 4 ... 60 s
			t.Errorf("%d calls while it was down", during)
		}
		if len(b.sub.Acknowledged()) != 500 {
			t.Errorf("%d acknowledged", len(b.sub.Acknowledged()))
		}
		rests := b.rested()
		if len(rests) < 2 || !strings.Contains(rests[0], "connection refused") || rests[len(rests)-1] != "" {
			t.Errorf("told of rests %q", rests)
		}
		if last := s.at[len(s.at)-1]; last > outage+2*time.Minute {
			t.Errorf("the last call came at %v", last)
		}
	})
}

func TestBreaker_StaysClosedAtFewErrors(t *testing.T) {
	n := 0
	bubble(t, qos.AtLeastOnce, retryOften, func(_ string, attempt int, r *reply) error {
		if n++; n%20 == 0 {
			r.status = 500
		}
		return nil
	}, func(b *bed, s *script) {
		var keys []string
		for range 2000 {
			keys = append(keys, "-")
		}
		if err := b.all(data(keys...)...); err != nil {
			t.Fatal(err)
		}
		if rests := b.rested(); len(rests) != 0 {
			t.Errorf("told of rests %q", rests)
		}
	})
}

func TestBreaker_OpensAtHalfFailing(t *testing.T) {
	t.Parallel()
	b, now := newBreaker(8), time.Unix(0, 0)
	for i := range 2 * breakSamples {
		if b.state == open {
			break
		}
		if i%2 == 0 {
			b.failed(true, "500", now)
		} else {
			b.succeeded(true)
		}
	}
	if b.state != open || b.allow(0, now) {
		t.Fatalf("state %d", b.state)
	}
	now = now.Add(2 * seconds)
	if !b.allow(0, now) || b.allow(1, now) {
		t.Error("want one probe")
	}
	b.succeeded(false)
	for calls := 2; calls <= 8; calls++ { // it comes back one call at a time
		if !b.allow(calls-1, now) || calls < 8 && b.allow(calls, now) {
			t.Errorf("%d calls: want at most that", calls)
		}
		b.succeeded(true)
	}
}

// TestInterrupt_Off: with the switches off, a key that fails waits, or is passed over, and the rest goes on (spec 2.5-a).
func TestInterrupt_Off(t *testing.T) {
	const off = `{"interruptConsumptionOnServerError":false,"interruptConsumptionOnException":false}`
	t.Run("at-least-once", func(t *testing.T) {
		bubble(t, qos.AtLeastOnce, "", func(offset string, attempt int, r *reply) error {
			if offset == "0" && attempt < 20 {
				r.status = 500
			}
			return nil
		}, func(b *bed, s *script) {
			b.config = off
			if err := b.all(data("bad", "good")...); err != nil {
				t.Fatal(err)
			}
			if s.tries["0"] != 20 || len(b.sub.Acknowledged()) != 2 {
				t.Errorf("tried %v, acknowledged %v", s.tries, b.sub.Acknowledged())
			}
		})
	})
	t.Run("auto", func(t *testing.T) {
		bubble(t, qos.Auto, "", func(offset string, attempt int, r *reply) error {
			if offset == "0" {
				return errors.New("connection refused")
			}
			return nil
		}, func(b *bed, s *script) {
			b.config = off
			if err := b.all(data("bad", "good")...); err != nil {
				t.Fatal(err)
			}
			if s.tries["0"] != 1 || b.sub.Delivered() != 1 {
				t.Errorf("tried %v, delivered through %d", s.tries, b.sub.Delivered())
			}
		})
	})
}

// TestBatch_FillsOrWaits: a call goes when it is full, or its first message has waited.
func TestBatch_FillsOrWaits(t *testing.T) {
	bubble(t, qos.AtLeastOnce, `"batch":{"maxMessages":3,"maxDelayMs":5000}`, func(string, int, *reply) error { return nil }, func(b *bed, s *script) {
		b.start(data("a", "b", "c", "d", "e")...)
		time.Sleep(10 * seconds)
		b.sub.Push(data("-", "-", "-", "-", "-", "f")[5])
		synctest.Wait()
		if err := b.stop(); err != nil { // a batch that is not full does not begin when the delivery ends
			t.Fatal(err)
		}
		if got := strings.Join(s.log, " "); got != "0+2 3+1" || s.at[0] != 0 || s.at[1] != 5*seconds {
			t.Errorf("sent %s at %v", got, s.at)
		}
		if acked := b.sub.Acknowledged(); !slices.Equal(acked, []int64{0, 1, 2, 3, 4}) {
			t.Errorf("acknowledged %v", acked)
		}
	})
}

// TestDispatch_HoldsNoMoreThanItsBound: a receiver that hangs stops the reading.
func TestDispatch_HoldsNoMoreThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBed(t, qos.AtLeastOnce, `{"callbackUrl":"http://receiver"}`)
		b.patience = time.Hour
		b.call = func(context.Context, []byte, []byte, bool, *reply) error { <-release; return errCut }
		msgs := data(make([]string, 1000)...)
		for i := range msgs {
			msgs[i].Content = make([]byte, 64<<10)
		}
		b.start(msgs...)
		synctest.Wait()
		held := (len(msgs) - b.sub.Waiting()) * (64 << 10)
		if held > maxHeldBytes+maxPoll*(64<<10) || held < maxHeldBytes/2 {
			t.Errorf("holds %d bytes", held)
		}
		close(release)
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRetryAfter_OfOneMessage: with another status than 429 and 503 it concerns the message alone.
func TestRetryAfter_OfOneMessage(t *testing.T) {
	bubble(t, qos.AtLeastOnce, retryOften, func(offset string, attempt int, r *reply) error {
		if offset == "0" && attempt == 1 {
			r.status, r.after = 500, 90*seconds
		}
		return nil
	}, func(b *bed, s *script) {
		if err := b.all(data("slow", "other")...); err != nil {
			t.Fatal(err)
		}
		if len(s.at) != 3 || s.at[1] != 0 || s.at[2] < 90*seconds || len(b.rested()) != 0 {
			t.Errorf("%v called at %v, rests %v", s.log, s.at, b.rested())
		}
	})
}
