package eventloop

import (
	"net"
	"sync/atomic"
	"time"
)

// Conn is one connection's place in a Loop. The zero value is ready for wakes; Loop.Add takes it into service. It must not
// be copied.
type Conn struct {
	driver  atomic.Pointer[driverBox] // nil before Add
	queued  atomic.Bool               // a call of Next is due already
	cut     atomic.Bool
	resumed atomic.Bool // paused input is to go on
	stopped atomic.Bool // cut because the loop ends

	// The rest belongs to the driver.
	h       Handler
	nc      net.Conn
	timeout time.Duration // Options.WriteTimeout
	hears   bool          // Options.Input

	fd         int
	id, gen    int32
	rest       []byte    // taken from the handler and not yet by the connection
	progressed time.Time // when the connection last took something, while rest is not empty
	full       bool      // the connection takes nothing now
	entered    bool
	closing    bool
	ended      bool
	input      bool   // there may be something to read
	over       bool   // there is an end to be read
	half       bool   // the peer has ended its half, and the handler knows
	paused     bool   // the handler takes no input until Resume
	held       []byte // input that it has not taken
	ignored    int

	due                    time.Time
	slotTick               int64
	inWheel                bool
	nextInSlot, prevInSlot *Conn
}

// driver calls the handlers of its connections.
type driver interface{ push(c *Conn) }

type driverBox struct{ driver }

// Wake has Next called soon. Any goroutine may call it, with locks held, before Add and after the end; it does not block.
func (c *Conn) Wake() {
	if c.queued.Swap(true) {
		return
	}
	if d := c.driver.Load(); d != nil {
		d.push(c)
	}
}

// Cut ends the connection at once, with ErrCut. Any goroutine may call it.
func (c *Conn) Cut() {
	c.cut.Store(true)
	if d := c.driver.Load(); d != nil {
		c.queued.Store(true)
		d.push(c)
	}
}

// Resume has input go on that the handler did not take all of. Any goroutine may call it, with locks held; it does not block.
func (c *Conn) Resume() {
	if c.resumed.Swap(true) {
		return
	}
	if d := c.driver.Load(); d != nil {
		d.push(c)
	}
}
