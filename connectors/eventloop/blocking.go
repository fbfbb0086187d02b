package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// blocking drives one connection from two goroutines: one writes, the other reads. They take turns in calling the handler.
type blocking struct {
	c     *Conn
	nc    net.Conn
	woken chan struct{} // for the writer; has room for one
	heard chan struct{} // for the reader: Resume, or the end; has room for one
	timer *time.Timer   // of the writer; nil until it is needed

	failed atomic.Bool // there is an err

	mu sync.Mutex // held while the handler is called; guards the following
	// err is why the reader ended; nil: it goes on, or the peer has ended its half and that is no end of the connection.
	err   error
	ended bool // nothing more is to be read
}

// maxIgnored bounds what a peer may send, in bytes, on a connection without input.
const maxIgnored = 64 << 10

// Sizes of what the reader of one connection reads into.
const blockingInput, blockingIgnored = 4 << 10, 64

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

var errTalks = errors.New("the client sends on a connection that only receives")

func newBlocking(c *Conn) *blocking {
	return &blocking{c: c, nc: c.nc, woken: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
}

// push implements driver.
func (b *blocking) push(c *Conn) {
	if c.cut.Load() {
		_ = b.nc.SetDeadline(longAgo) // refused only by a closed connection, whose goroutines have ended
	}
	signal(b.woken)
	if c.resumed.Load() {
		signal(b.heard)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (b *blocking) run() {
	read := make(chan struct{})
	go func() { // ended by the end of the connection; waited for below
		defer close(read)
		b.read()
	}()
	err := b.drive()
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	_ = b.nc.SetReadDeadline(longAgo)
	signal(b.heard)
	<-read
	if b.err != nil {
		err = b.err
	}
	switch {
	case b.c.stopped.Load():
		err = ErrStopped
	case b.c.cut.Load():
		err = ErrCut
	}
	b.c.held = nil
	b.c.h.Ended(err)
}

func (b *blocking) drive() error {
	c := b.c
	var o Output
	for !c.cut.Load() {
		c.queued.Store(false)
		o.Reset(time.Now())
		state, err := b.next(&o)
		if err != nil {
			return err
		}
		for i := range o.pieces {
			if err := b.write(o.bytes(i)); err != nil {
				return err
			}
		}
		if o.size > 0 {
			b.mu.Lock()
			c.h.Written()
			b.mu.Unlock()
		}
		switch state {
		case Close:
			return nil
		case Idle:
			b.wait(o.due)
		}
	}
	return ErrCut
}

// next calls the handler, unless the reader has found the end of the connection.
func (b *blocking) next(o *Output) (State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return Close, b.err
	}
	return b.c.h.Next(o), nil
}

// write sends all of p. It goes on as long as the client takes some of it within the timeout.
func (b *blocking) write(p []byte) error {
	for len(p) > 0 {
		if b.c.timeout > 0 {
			if err := b.nc.SetWriteDeadline(time.Now().Add(b.c.timeout)); err != nil {
				return err
			}
		}
		if b.c.cut.Load() || b.failed.Load() { // set before their deadlines: either this sees them or those come later
			return ErrCut
		}
		n, err := b.nc.Write(p)
		p = p[n:]
		switch {
		case err == nil, n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ErrSlow
		default:
			return err
		}
	}
	return nil
}

// wait blocks until a wake or the due time; zero: for a wake.
func (b *blocking) wait(due time.Time) {
	if due.IsZero() {
		<-b.woken // Cut and the loop's end wake, too
		return
	}
	if b.timer == nil {
		b.timer = time.NewTimer(time.Until(due))
	} else {
		b.timer.Reset(time.Until(due))
	}
	defer b.timer.Stop()
	select {
	case <-b.woken:
	case <-b.timer.C:
	}
}

// read gives the handler what the peer sends.
func (b *blocking) read() {
	size := blockingIgnored
	if b.c.hears {
		size = blockingInput
	}
	buf := make([]byte, size)
	for b.give() {
		n, err := b.nc.Read(buf)
		b.c.held = buf[:n]
		if err != nil {
			if b.give() {
				b.over(err)
			}
			return
		}
	}
}

// give hands over what is held, waiting while the handler takes none; false: nothing more is to be read.
func (b *blocking) give() bool {
	for {
		b.mu.Lock()
		b.take()
		done, left := b.ended || b.err != nil, len(b.c.held)
		b.mu.Unlock()
		if done {
			return false
		}
		if left == 0 {
			return true
		}
		for !b.c.resumed.Swap(false) {
			<-b.heard
			b.mu.Lock()
			done = b.ended
			b.mu.Unlock()
			if done {
				return false
			}
		}
	}
}

// take has the handler take what is held. Called with mu held.
func (b *blocking) take() {
	c := b.c
	if len(c.held) == 0 || b.ended {
		return
	}
	n, err := len(c.held), error(nil)
	if c.hears {
		n, err = c.h.Input(c.held)
	} else if c.ignored += n; c.ignored > maxIgnored {
		err = errTalks
	}
	if c.held = c.held[n:]; err != nil {
		b.fail(err)
	}
}

// over tells of the end that reading found.
func (b *blocking) over(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if errors.Is(err, io.EOF) && b.c.hears {
		_, err = b.c.h.Input(nil)
	}
	if err != nil {
		b.fail(err)
	}
}

// fail ends the connection, also where the writer waits for the client to take something. Called with mu held.
func (b *blocking) fail(err error) {
	b.err = err
	b.failed.Store(true)
	_ = b.nc.SetWriteDeadline(longAgo)
	signal(b.woken)
}
