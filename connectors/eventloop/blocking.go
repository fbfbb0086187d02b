package eventloop

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// blocking drives one connection from a goroutine of its own, which reads while it waits: a wake ends the read by its
// deadline.
//
// The order that makes a wake impossible to lose: the goroutine sets waiting, then the deadline, then looks at queued; who
// wakes sets queued, then looks at waiting, then moves the deadline.
type blocking struct {
	nc      net.Conn
	timeout time.Duration
	waiting atomic.Bool
	in      []byte
	ignored int
}

// maxIgnored bounds what a peer may send, in bytes, on a connection without input.
const maxIgnored = 64 << 10

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

var errTalks = errors.New("the client sends on a connection that only receives")

func newBlocking(nc net.Conn, o Options) *blocking {
	size := 64
	if o.Input {
		size = 4 << 10
	}
	return &blocking{nc: nc, timeout: o.WriteTimeout, in: make([]byte, size)}
}

// push implements driver.
func (b *blocking) push(c *Conn) {
	switch { // a deadline is refused only by a closed connection, whose goroutine has ended
	case c.cut.Load():
		_ = b.nc.SetDeadline(longAgo)
	case b.waiting.Load():
		_ = b.nc.SetReadDeadline(longAgo)
	}
}

func (b *blocking) run(c *Conn) {
	err := b.drive(c)
	switch {
	case c.stopped.Load():
		err = ErrStopped
	case c.cut.Load():
		err = ErrCut
	}
	c.h.Ended(err)
}

func (b *blocking) drive(c *Conn) error {
	var o Output
	for !c.cut.Load() {
		c.queued.Store(false)
		o.reset(time.Now())
		state := c.h.Next(&o)
		for i := range o.pieces {
			if err := b.write(c, o.bytes(i)); err != nil {
				return err
			}
		}
		if o.size > 0 {
			c.h.Written()
		}
		switch state {
		case Close:
			return nil
		case Idle:
			if err := b.wait(c, o.due); err != nil {
				return err
			}
		}
	}
	return ErrCut
}

// write sends all of p. It goes on as long as the client takes some of it within the timeout.
func (b *blocking) write(c *Conn, p []byte) error {
	for len(p) > 0 {
		if b.timeout > 0 {
			if err := b.nc.SetWriteDeadline(time.Now().Add(b.timeout)); err != nil {
				return err
			}
		}
		if c.cut.Load() { // Cut sets its deadline after the flag: either this sees the flag or that deadline comes later
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

// wait reads until there is something to do.
func (b *blocking) wait(c *Conn, due time.Time) error {
	b.waiting.Store(true)
	defer b.waiting.Store(false)
	if err := b.nc.SetReadDeadline(due); err != nil {
		return err
	}
	if c.queued.Load() || c.cut.Load() {
		return nil
	}
	n, err := b.nc.Read(b.in)
	switch {
	case n > 0 && c.opts.Input:
		if bad := c.h.Input(b.in[:n]); bad != nil {
			return bad
		}
	case n > 0:
		if b.ignored += n; b.ignored > maxIgnored {
			return errTalks
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
