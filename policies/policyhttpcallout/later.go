package policyhttpcallout

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/policies/callout"
)

// maxQueued bounds the calls that wait to be sent, in bytes of their addresses, headers and bodies.
const maxQueued = 8 << 20

// farewell is how long queued calls may still be sent when the step is no longer run.
const farewell = 5 * time.Second

// later sends calls that nobody waits for. Its goroutines run only while there is something to send; close waits for them.
type later struct {
	client  *callout.Client
	most    int // goroutines
	log     *slog.Logger
	ctx     context.Context // of the calls, which no caller's outlives
	cancel  context.CancelFunc
	working sync.WaitGroup
	failed  atomic.Uint64

	mu sync.Mutex
	// guards the following
	queue   []*callout.Request
	bytes   int
	running int
	closed  bool
}

func newLater(client *callout.Client, most int, log *slog.Logger) *later {
	l := &later{client: client, most: most, log: log}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// weight is what a call costs in the queue.
func weight(r *callout.Request) int {
	const perCall, perField = 128, 48
	n := perCall + len(r.URL) + len(r.Body)
	for _, f := range r.Header {
		n += perField + len(f.Name) + len(f.Value)
	}
	return n
}

var (
	errFull  = errors.New("8 MiB of calls wait already")
	errEnded = errors.New("the step is no longer run")
)

// take queues a call.
func (l *later) take(r *callout.Request) {
	w := weight(r)
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		l.lost("call is given up", errEnded)
		return
	case l.bytes+w > maxQueued:
		l.mu.Unlock()
		l.lost("call is given up", errFull)
		return
	}
	defer l.mu.Unlock()
	l.queue, l.bytes = append(l.queue, r), l.bytes+w
	if l.running < l.most {
		l.running++
		l.working.Go(l.send)
	}
}

// next returns a call to send; nil: there is none, and the goroutine ends.
func (l *later) next() *callout.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		l.running--
		return nil
	}
	r := l.queue[0]
	l.queue[0] = nil
	l.queue, l.bytes = l.queue[1:], l.bytes-weight(r)
	return r
}

func (l *later) send() {
	for r := l.next(); r != nil; r = l.next() {
		if _, err := l.client.Do(l.ctx, r); err != nil {
			l.lost("call failed", err)
		}
	}
}

// lost counts a call that did not succeed. Every power of two is logged: a server that is down must not fill the disk.
func (l *later) lost(what string, err error) {
	if n := l.failed.Add(1); n&(n-1) == 0 {
		l.log.Warn(what+"; nobody waits for its answer", "err", err, "count", n)
	}
}

// close sends what is queued, for as long as farewell, and waits for what is under way.
func (l *later) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	stop := time.AfterFunc(farewell, l.cancel)
	defer stop.Stop()
	l.working.Wait()
	l.cancel()
}
