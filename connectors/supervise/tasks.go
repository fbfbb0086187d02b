// Package supervise is what endpoints have in common beside their protocols: goroutines that somebody waits for, counters
// that a meter reads, and a log that does not repeat itself.
package supervise

import (
	"context"
	"errors"
	"sync"
)

// ErrEnded is the cause of failures after an endpoint's Run has ended.
var ErrEnded = errors.New("endpoint has ended")

// Tasks are the goroutines of one endpoint: subscribers and publishers ask for them, and the endpoint's Run owns them all.
type Tasks struct {
	work    chan func(context.Context)
	ended   chan struct{} // closed when no more work is taken
	endOnce sync.Once
}

// NewTasks returns tasks of which none runs.
func NewTasks() *Tasks {
	return &Tasks{work: make(chan func(context.Context)), ended: make(chan struct{})}
}

// Run starts what is asked for until ctx ends. Then it takes nothing more, calls finish while the tasks still run, ends
// their context, which finish gets too, and waits for them.
func (t *Tasks) Run(ctx context.Context, finish func(ctx context.Context)) {
	var running sync.WaitGroup
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for ctx.Err() == nil {
		select {
		case fn := <-t.work:
			running.Go(func() { fn(work) })
		case <-ctx.Done():
		}
	}
	t.endOnce.Do(func() { close(t.ended) })
	finish(work)
	stop()
	running.Wait()
}

// Start has Run start fn, which must return when its context ends. It waits until Run has begun, at most until ctx ends.
func (t *Tasks) Start(ctx context.Context, fn func(context.Context)) error {
	select {
	case <-t.ended:
		return ErrEnded
	default:
	}
	select {
	case t.work <- fn:
		return nil
	case <-t.ended:
		return ErrEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryStart is Start without waiting: false where Run does not take it at once.
func (t *Tasks) TryStart(fn func(context.Context)) bool {
	select {
	case t.work <- fn:
		return true
	default:
		return false
	}
}
