package eventloop

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
)

// blocking drives one connection from a goroutine of its own, which reads while it waits: a wake ends the read by its
// deadline.
//
// The order that makes a wake impossible to lose: the goroutine sets waiting, then the deadline, then looks at queued; who
// wakes sets queued, then looks at waiting, then moves the deadline.
type blocking struct {
	conn    *httpfront.Conn
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
	return &blocking{conn: httpfront.NewConn(nc, o.WriteTimeout), in: make([]byte, size)}
}

// push implements driver.
func (b *blocking) push(c *Conn) {
	if c.cut.Load() {
		b.conn.Cut()
	} else if b.waiting.Load() {
		_ = b.conn.SetReadDeadline(longAgo) // fails only on a closed connection, whose wait has ended
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
	for {
		c.queued.Store(false)
		o.reset(time.Now())
		state := c.h.Next(&o)
		for i := range o.pieces {
			if _, err := b.conn.Write(o.bytes(i)); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = ErrSlow
				}
				return err
			}
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
}

// wait reads until there is something to do.
func (b *blocking) wait(c *Conn, due time.Time) error {
	b.waiting.Store(true)
	defer b.waiting.Store(false)
	if err := b.conn.SetReadDeadline(due); err != nil {
		return err
	}
	if c.queued.Load() {
		return nil
	}
	n, err := b.conn.Read(b.in)
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
