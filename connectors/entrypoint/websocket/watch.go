package websocket

import (
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
)

var (
	errSilent   = errors.New("the client gave no sign of life")
	errUnproved = errors.New("the client did not answer a ping that asks for proof of what it was sent")
)

// look does what is due when nothing is to be sent, and says when to look again.
func (c *conn) look(o *eventloop.Output) eventloop.State {
	now := o.Now()
	next, leaving, over := c.lookAtEnd(now)
	if over {
		return eventloop.More
	}
	if !leaving {
		var err error
		if next, err = c.lookAtClient(o); err != nil {
			c.decide(closing{code: codeAbnormal, err: err})
			return eventloop.Close
		}
	}
	o.Due(now.Add(next))
	return eventloop.Idle
}

// lookAtClient tells when to look again whether the client is still there. An error: it is to be cut off.
func (c *conn) lookAtClient(o *eventloop.Output) (next time.Duration, err error) {
	t, now := c.entrypoint.times, o.Now()
	if c.full.Load() { // it is we who do not read
		c.asked, c.lastRead = time.Time{}, now
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
	return c.probe(o)
}

// probe tells how long the client may stay silent from now on, asking it for a sign of life where it has been silent for
// long.
func (c *conn) probe(o *eventloop.Output) (next time.Duration, err error) {
	t, now := c.entrypoint.times, o.Now()
	if !c.asked.IsZero() && !c.lastRead.After(c.asked) {
		rest := t.pongWait + c.window.carriage() - now.Sub(c.asked)
		if rest <= 0 {
			return 0, errSilent
		}
		return rest, nil
	}
	c.asked = time.Time{}
	if silent := now.Sub(c.lastRead); silent < t.pingEvery {
		return t.pingEvery - silent, nil
	}
	c.asked = now
	o.Commit(appendControl(o.Buffer(), opPing, "", ""))
	return t.pongWait, nil
}

// lookAtEnd bounds what a connection that ends waits for. leaving is false where it does not end, or has all the time to;
// over: its end is decided.
func (c *conn) lookAtEnd(now time.Time) (next time.Duration, leaving, over bool) {
	t := c.entrypoint.times
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return 0, true, true
	}
	if c.parting == nil && (c.leaving == nil || c.patient && c.inFlight == 0) {
		return 0, false, false
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
		c.abandon()
	}
	return max(next, 0), true, c.end != nil
}
