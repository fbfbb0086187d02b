package websocket

import (
	"errors"
	"time"
)

var (
	errSilent   = errors.New("the client gave no sign of life")
	errUnproved = errors.New("the client did not answer a ping that asks for proof of what it was sent")
)

// look does what is due when nothing is to be sent, and tells when to look again. An error: the client is to be cut off.
func (c *conn) look(now time.Time) (next time.Duration, err error) {
	if next, leaving := c.lookAtEnd(now); leaving {
		return next, nil
	}
	t := c.entrypoint.times
	if c.busy.Load() { // it is we who do not read
		c.asked = time.Time{}
		c.window.touch(now)
		return min(t.pingEvery, t.proof), nil
	}
	if !c.framer.v1 {
		if due, any := c.window.due(t.proof); any { // its ping asks for a sign of life, too
			if !due.After(now) {
				return 0, errUnproved
			}
			return due.Sub(now), nil
		}
	}
	return c.probe(now)
}

// probe tells how long the client may stay silent from now on, asking it for a sign of life where it has been silent for
// long.
func (c *conn) probe(now time.Time) (next time.Duration, err error) {
	t := c.entrypoint.times
	last := time.Unix(0, c.lastRead.Load())
	if !c.asked.IsZero() && !last.After(c.asked) {
		rest := t.pongWait + c.window.carriage() - now.Sub(c.asked)
		if rest <= 0 {
			return 0, errSilent
		}
		return rest, nil
	}
	c.asked = time.Time{}
	if silent := now.Sub(last); silent < t.pingEvery {
		return t.pingEvery - silent, nil
	}
	c.asked = now
	c.mu.Lock()
	c.control = appendControl(c.control, opPing, "", "")
	c.mu.Unlock()
	c.wake.Wake()
	return t.pongWait, nil
}

// lookAtEnd bounds what a connection that ends waits for; false: it does not end, or has all the time to.
func (c *conn) lookAtEnd(now time.Time) (next time.Duration, leaving bool) {
	t := c.entrypoint.times
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving == nil || c.end != nil || c.patient && c.inFlight == 0 {
		return 0, c.end != nil
	}
	if c.left.IsZero() {
		c.left = now
	}
	next = t.settle - now.Sub(c.left)
	if c.awaiting && !c.patient {
		farewell := t.farewell - now.Sub(c.left)
		if farewell <= 0 {
			c.awaiting = false
			c.endIfSettled()
		} else {
			next = min(next, farewell)
		}
	}
	if next <= 0 && c.inFlight > 0 && c.end == nil {
		c.end = &unsettled
	}
	if c.end != nil {
		c.wake.Wake()
		c.acked.Wake()
	}
	return max(next, 0), true
}
