package httpfront

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a hijacked connection that one goroutine writes to. Writes have deadlines, since fasthttp's no longer apply.
// Reading and Close go through fasthttp's wrapper, which gives what was buffered first and knows who closes.
type Conn struct {
	net.Conn
	raw      net.Conn      // for writes and deadlines: the wrapper is reused after the handler, this may be late
	timeout  time.Duration // how long the client may take no byte
	deadline time.Time     // the write deadline that is set
	cut      atomic.Bool
}

// deadlineSlack is how much earlier than promised a client may be cut, at most: setting a deadline for each of many small
// writes would cost more than the writes.
const deadlineSlack = time.Second

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// errCut is what writing to a connection gives once it was cut.
var errCut = errors.New("connection was cut")

// NewConn wraps what fasthttp gives to a hijack handler. A client that takes no byte for timeout is cut off.
func NewConn(c net.Conn, timeout time.Duration) *Conn {
	conn := &Conn{Conn: c, raw: c, timeout: timeout}
	if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		conn.raw = u.UnsafeConn()
	}
	return conn
}

// Cut ends the present read and write and all later ones. Any goroutine may call it before the handler returns. It does
// not close, which is for the handler's end: fasthttp must not see a connection closed twice.
func (c *Conn) Cut() {
	c.cut.Store(true)
	_ = c.raw.SetDeadline(longAgo)
}

// SetReadDeadline bounds reads, except where the connection was cut.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.raw.SetReadDeadline(t)
	if c.cut.Load() { // Cut sets its deadline after the flag: either this sees the flag or that deadline comes later
		return errCut
	}
	return err
}

// CloseWrite ends our half of the connection; false where that cannot be done.
func (c *Conn) CloseWrite() bool {
	half, ok := c.raw.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// Write sends all of p. It goes on as long as the client takes some of it within the timeout.
func (c *Conn) Write(p []byte) (int, error) {
	sent := 0
	for {
		if now := time.Now(); c.deadline.Sub(now) < c.timeout-min(deadlineSlack, c.timeout/2) {
			c.deadline = now.Add(c.timeout)
			if err := c.raw.SetWriteDeadline(c.deadline); err != nil {
				return sent, err
			}
		}
		if c.cut.Load() {
			return sent, errCut
		}
		n, err := c.raw.Write(p[sent:])
		sent += n
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
	}
}

// Parked is a connection that its goroutine reads from only to learn that the client left, while it waits for something to
// send: a wake ends the read by its deadline. So a stream needs one goroutine, no timer and no reader.
//
// The order that makes a wake impossible to lose: the waiter sets parked, then the deadline, then looks at woken; the
// waker sets woken, then looks at parked, then moves the deadline. The zero value is ready; Wake may come before Attach.
type Parked struct {
	woken, parked atomic.Bool

	mu sync.Mutex
	// guards the following
	conn *Conn // nil before Attach and after Release

	scratch [64]byte
	ignored int
}

// maxIgnored bounds what a client may send, in bytes, on a connection that only sends.
const maxIgnored = 64 << 10

// Attach says which connection is waited on.
func (p *Parked) Attach(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
}

// Release forgets the connection: later wakes do nothing. Called by the waiting goroutine.
func (p *Parked) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = nil
}

// Wake ends the present or the next Wait. Any goroutine may call it; it does not block.
func (p *Parked) Wake() {
	if p.woken.Swap(true) || !p.parked.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.raw.SetReadDeadline(longAgo)
	}
}

// Wait blocks until Wake, until the time given or until the client leaves.
func (p *Parked) Wait(until time.Time) Event {
	p.parked.Store(true)
	defer p.parked.Store(false)
	conn := p.conn // only this goroutine changes it
	if conn.SetReadDeadline(until) != nil {
		return Gone
	}
	for {
		if p.woken.Swap(false) {
			return Woken
		}
		n, err := conn.Read(p.scratch[:])
		p.ignored += n
		switch {
		case err == nil && p.ignored <= maxIgnored:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return Gone
		case p.woken.Swap(false):
			return Woken
		case !time.Now().Before(until):
			return TimedOut
		default:
			return Woken // a wake that another Wait was ended by already
		}
	}
}
