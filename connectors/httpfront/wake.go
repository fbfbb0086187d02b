package httpfront

import (
	"context"
	"time"
)

// Waker lets one goroutine wait for any of the things that its owner is told of. Wakes are not counted: one is enough
// to look at everything. The zero value is not usable; see NewWaker.
type Waker struct{ ch chan struct{} }

// NewWaker returns a Waker that nobody waits on yet.
func NewWaker() Waker { return Waker{make(chan struct{}, 1)} }

// Wake ends the present or the next Wait. It never blocks; any goroutine may call it.
func (w Waker) Wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// Wait blocks until Wake, until timer fires or until ctx ends, and tells which. A nil timer never fires.
func (w Waker) Wait(ctx context.Context, timer *time.Timer) Event {
	var expired <-chan time.Time
	if timer != nil {
		expired = timer.C
	}
	select {
	case <-w.ch:
		return Woken
	case <-expired:
		return TimedOut
	case <-ctx.Done():
		return Stopped
	}
}

// Event is what ended a wait.
type Event uint8

// Events.
const (
	Woken    Event = iota // there may be something to do
	TimedOut              // the time is over
	Stopped               // the context ended
	Gone                  // the client left
)
