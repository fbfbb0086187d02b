package websocket

import (
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Next implements eventloop.Handler.
func (c *conn) Next(o *eventloop.Output) eventloop.State {
	if c.head != nil {
		o.Commit(append(o.Buffer(), c.head...))
		c.head = nil
	}
	switch c.phase {
	case isClosing:
		return c.awaitClose(o)
	case isEnding:
		return c.linger(o)
	}
	return c.send(o)
}

// Written implements eventloop.Handler.
func (c *conn) Written() { c.feed.written() }

// send adds what waits: answers, then messages, then the close frame.
func (c *conn) send(o *eventloop.Output) eventloop.State {
	if c.feed.sub != nil {
		c.feed.prove()
	}
	end, state := c.takeControl(o), feedIdle
	switch {
	case end != nil && !end.fault:
	case c.subscribed: // also once more before a client is told of its fault: what it said before may have been answered
		state = c.sendMessages(o)
	case c.ctx.Err() != nil:
		c.leave(c.goodbye(httpfront.StopReason(c.ctx), nil), false)
	}
	if end != nil {
		return c.sendClose(o, end)
	}
	switch state {
	case feedMore:
		return eventloop.More
	case feedEnded, feedLeft, feedFailed:
		c.subscribed = false
		return eventloop.More
	}
	return c.look(o)
}

// sendClose adds the close frame and what explains it.
func (c *conn) sendClose(o *eventloop.Output, end *closing) eventloop.State {
	if end.code == codeAbnormal {
		return eventloop.Close
	}
	b := o.Buffer()
	if end.fault || end.code == codeServerError {
		b = c.framer.appendError(b, end.faultKey(), end.detail(), c.feed.cursor())
	}
	o.Commit(appendClose(b, end.code, end.reason))
	c.phase = isClosing
	return eventloop.More
}

// awaitClose gives the client some time to answer our close frame, which is written.
func (c *conn) awaitClose(o *eventloop.Output) eventloop.State {
	if c.deaf {
		return c.endHalf(o)
	}
	if c.until.IsZero() {
		c.until = o.Now().Add(c.entrypoint.times.handshake)
	}
	return wait(o, c.until)
}

// endHalf ends our half of the connection, if that can be done, to wait a little for the client's: closing while its bytes are
// unread would reset the connection, and take our close frame back.
func (c *conn) endHalf(o *eventloop.Output) eventloop.State {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return eventloop.Close
	}
	c.phase, c.until = isEnding, o.Now().Add(c.entrypoint.times.linger)
	return c.linger(o)
}

func (c *conn) linger(o *eventloop.Output) eventloop.State {
	if c.halved {
		return eventloop.Close
	}
	return wait(o, c.until)
}

// wait goes on idly, but for so long.
func wait(o *eventloop.Output, until time.Time) eventloop.State {
	if !o.Now().Before(until) {
		return eventloop.Close
	}
	o.Due(until)
	return eventloop.Idle
}

// sendMessages adds messages, what asks the client for proof of them, and what follows from the stream's end.
func (c *conn) sendMessages(o *eventloop.Output) feedState {
	state, reason := c.feed.fill(c.ctx, o)
	if number, any := c.window.seal(); any {
		o.Commit(appendProof(o.Buffer(), number))
	}
	switch state {
	case feedLeft:
		cursor := c.feed.cursor()
		o.Commit(c.framer.appendGoAway(o.Buffer(), reason, cursor))
		c.leave(c.goodbye(reason, cursor), false)
	case feedFailed:
		f := c.feed.failure
		c.decide(closing{code: codeServerError, reason: reasonError, key: f.Key, text: httpfront.FailureText(f), err: f})
	case feedEnded:
		if !c.entrypoint.config.Publisher.Enabled {
			c.leave(closing{code: codeNormal, reason: reasonBye}, true)
		}
	}
	return state
}

// goodbye is the end of the connection of an API that stops. In sluice.v1 its reason also says where to go on, if that fits.
func (c *conn) goodbye(reason message.Reason, cursor []byte) closing {
	end := closing{code: codeTryAgain, reason: reasonTry}
	if reason == message.ReasonRedeploy {
		end = closing{code: codeRestart, reason: reasonRestart}
	}
	if with := end.reason + fromPrefix + string(cursor); c.framer.v1 && len(cursor) > 0 && len(with) <= maxReason && utf8.Valid(cursor) {
		end.reason = with
	}
	return end
}

// fromPrefix precedes the cursor in the reason of a close frame.
const fromPrefix = "; from="

// takeControl adds the waiting pongs and answers and returns the decision how the connection ends, if there is one by now.
func (c *conn) takeControl(o *eventloop.Output) *closing {
	o.Commit(append(o.Buffer(), c.control...))
	if c.control = c.control[:0]; cap(c.control) > kept {
		c.control = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Commit(append(o.Buffer(), c.answers...))
	if c.answers = c.answers[:0]; cap(c.answers) > kept {
		c.answers = nil
	}
	c.inFlight -= c.answered
	c.answered = 0
	c.resume()
	if c.awaiting && c.window.empty() {
		c.awaiting = false
	}
	c.endIfSettled()
	return c.end
}

// leave begins the end of the connection: nothing more is published, and the close frame waits for the acknowledgements of
// what was, and for the client's proof of what it was sent; patient: as long as it takes.
func (c *conn) leave(end closing, patient bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving == nil {
		c.leaving = &end
		c.awaiting, c.patient = !c.window.empty(), patient
	} else if !patient {
		c.patient = false
	}
	c.endIfSettled()
}

// endIfSettled makes what the connection leaves with its end, once nothing is waited for. Called with mu held.
func (c *conn) endIfSettled() {
	switch {
	case c.end != nil || c.inFlight > 0:
	case c.parting != nil:
		c.end = c.parting
	case c.leaving != nil && !c.awaiting:
		c.end = c.leaving
	}
}
