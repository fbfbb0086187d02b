package kafka

import (
	"context"
	"sync"
	"sync/atomic"
)

// gate bounds the bytes of records not yet acknowledged. It decides at once, in the caller, whether a record is taken,
// which franz-go's own bound does only through the record's promise. Whoever waits is served in order.
type gate struct {
	limit int64
	used  atomic.Int64

	mu      sync.Mutex // guards the following
	waiting []*waiter
	queued  atomic.Int32 // len(waiting), for release to skip the lock
}

type waiter struct {
	n     int64
	ready chan struct{}
}

// try takes n bytes where they are free and nobody waits. A record larger than the whole gate passes through an empty one.
func (g *gate) try(n int64) bool { return g.queued.Load() == 0 && g.take(n) }

func (g *gate) take(n int64) bool {
	if used := g.used.Add(n); used <= g.limit || used == n {
		return true
	}
	g.used.Add(-n)
	return false
}

// wait takes n bytes as soon as it is their turn, or returns ctx's error.
func (g *gate) wait(ctx context.Context, n int64) error {
	g.mu.Lock()
	if len(g.waiting) == 0 && g.take(n) {
		g.mu.Unlock()
		return nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	g.waiting = append(g.waiting, w)
	g.queued.Store(int32(len(g.waiting)))
	g.admit() // bytes freed since take failed found nobody waiting
	g.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.waiting {
		if g.waiting[i] == w {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			g.admit() // the next may be smaller
			return context.Cause(ctx)
		}
	}
	return nil // its turn came first
}

// admit lets in those whose turn it is. The caller holds mu.
func (g *gate) admit() {
	n := 0
	for n < len(g.waiting) && g.take(g.waiting[n].n) {
		close(g.waiting[n].ready)
		n++
	}
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	g.queued.Store(int32(len(g.waiting)))
}

// release gives n bytes back.
func (g *gate) release(n int64) {
	g.used.Add(-n)
	if g.queued.Load() == 0 {
		return
	}
	g.mu.Lock()
	g.admit()
	g.mu.Unlock()
}
