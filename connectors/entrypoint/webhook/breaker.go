package webhook

import (
	"fmt"
	"math/bits"
	"time"
)

// Parameters of the circuit breaker.
const (
	breakAfter   = 10 // failures in a row
	breakSamples = 64 // attempts that the error rate is taken of; half of them failed: open
	firstRest    = time.Second
	longestRest  = time.Minute
)

// breaker keeps a receiver that is down from being hammered. Its states:
//
//   - closed: calls go through. Failures in a row, or too many among the last calls, open it.
//   - open: none goes through until its rest is over.
//   - half-open: one call goes through, the probe. Where it succeeds the breaker closes and lets calls through again few at a
//     time, one more with each success; where it fails, the next rest is twice as long.
//
// A message counts when it is tried first: one that fails again and again is its own trouble, not its receiver's. A receiver that
// asks for a pause (Retry-After) gets it, by an open breaker without a penalty. It reads no clock and is not safe for concurrent use.
type breaker struct {
	state  breakerState
	row    int
	sample uint64 // the last attempts, 1: failed
	seen   int    // how many of them there are
	rest   time.Duration
	until  time.Time // while open
	most   int       // calls that may be under way; less than the subscription's while it recovers
	full   int       // calls that the subscription may have under way
	why    string
}

type breakerState uint8

const (
	closed breakerState = iota
	open
	halfOpen
)

func newBreaker(concurrency int) breaker { return breaker{most: concurrency, full: concurrency} }

// allow tells whether one more call may begin beside those under way. The probe of a rest that is over may.
func (b *breaker) allow(flying int, now time.Time) bool {
	if b.state == open {
		if now.Before(b.until) {
			return false
		}
		b.state, b.most = halfOpen, 1
	}
	return flying < b.most
}

// succeeded notes an answer that shows the receiver to be up.
func (b *breaker) succeeded(first bool) {
	if first {
		b.note(0)
	}
	b.row = 0
	switch {
	case b.state == halfOpen:
		b.state, b.rest, b.seen, b.sample = closed, 0, 0, 0
		b.most = min(2, b.full)
	case b.state == closed && b.most < b.full:
		b.most++
	}
}

// failed notes a call that shows the receiver to be down.
func (b *breaker) failed(first bool, why string, now time.Time) {
	switch {
	case b.state == halfOpen:
		b.trip(now, why)
	case b.state == closed && first:
		b.note(1)
		b.row++
		if b.row >= breakAfter || b.seen == breakSamples && bits.OnesCount64(b.sample) >= breakSamples/2 {
			b.trip(now, why)
		}
	}
}

func (b *breaker) note(bit uint64) {
	b.sample = b.sample<<1 | bit
	b.seen = min(b.seen+1, breakSamples)
}

func (b *breaker) trip(now time.Time, why string) {
	b.rest = min(max(2*b.rest, firstRest), longestRest)
	b.state, b.until, b.why = open, now.Add(jitter(b.rest)), why
	b.row, b.seen, b.sample = 0, 0, 0
}

// pause opens the breaker because the receiver asks for it.
func (b *breaker) pause(until time.Time, why string) {
	if b.state == open && !until.After(b.until) {
		return
	}
	b.state, b.until, b.why = open, until, why
}

// resting is what people are told while calls rest; empty: they do not.
func (b *breaker) resting() string {
	if b.state == closed {
		return ""
	}
	return fmt.Sprintf("the circuit is open: %s; the receiver is tried again at %s", b.why, b.until.UTC().Format(time.RFC3339))
}
