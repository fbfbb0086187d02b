package eventloop

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Loop serves connections. It belongs to a worker; all its entrypoints share it.
type Loop struct {
	pollers []*poller
	next    atomic.Uint32

	mu      sync.Mutex         // guards the following
	conns   map[*Conn]struct{} // those with a goroutine
	stopped bool
	wg      sync.WaitGroup
}

// New makes a loop with so many goroutines that poll, which Run starts. It holds two file descriptors for each.
func New(pollers int) (*Loop, error) {
	l := &Loop{conns: map[*Conn]struct{}{}}
	for range min(pollers, maxPollers) {
		p, err := newPoller()
		if err != nil {
			l.close()
			return nil, fmt.Errorf("make an event loop: %w", err)
		}
		l.pollers = append(l.pollers, p)
	}
	return l, nil
}

// Run serves until ctx ends, then ends what is left with ErrStopped and waits for its goroutines.
func (l *Loop) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		for _, p := range l.pollers {
			p.stop()
		}
	})
	defer stop()
	for _, p := range l.pollers {
		wg.Go(p.run)
	}
	<-ctx.Done()
	wg.Wait()
	l.mu.Lock()
	l.stopped = true
	for c := range l.conns {
		c.stopped.Store(true)
		c.Cut()
	}
	l.mu.Unlock()
	l.wg.Wait()
	l.close()
	return nil
}

func (l *Loop) close() {
	for _, p := range l.pollers {
		p.close()
	}
}

// Add takes a connection into service: h gets its first Next soon. nc belongs to h, for Ended to close; it must not be
// written to or read by anyone else. Once the loop has ended, Ended is called at once.
func (l *Loop) Add(c *Conn, nc net.Conn, h Handler, o Options) {
	c.h, c.nc, c.timeout, c.hears = h, nc, o.WriteTimeout, o.Input
	if o.Input {
		c.held, c.input = o.Early, len(o.Early) > 0
	}
	if n := len(l.pollers); n > 0 {
		if fd, ok := descriptor(nc); ok {
			c.fd = fd
			l.pollers[l.next.Add(1)%uint32(n)].add(c)
			return
		}
	}
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		h.Ended(ErrStopped)
		return
	}
	l.conns[c] = struct{}{}
	l.wg.Add(1)
	l.mu.Unlock()
	b := newBlocking(c)
	c.driver.Store(&driverBox{b})
	go func() { // ended by its connection; Run waits for it
		defer l.wg.Done()
		b.run()
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
	}()
}
