package websocket

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// write does every write of the connection until its end is decided or a write fails. ctx is the API's, alive the
// connection's.
func (c *conn) write(ctx, alive context.Context, head []byte) {
	if _, err := c.net.Write(head); err != nil {
		c.abandon(err)
		return
	}
	timer := time.NewTimer(c.entrypoint.times.pingEvery)
	defer timer.Stop()
	subscribed := c.feed.sub != nil
	for {
		state, over, err := c.send(ctx, subscribed)
		if err != nil {
			c.abandon(err)
			return
		}
		if over {
			c.awaitClose()
			return
		}
		switch state {
		case feedMore:
			continue
		case feedEnded, feedLeft, feedFailed:
			subscribed = false
			continue
		}
		next, err := c.look(time.Now())
		if err != nil {
			c.abandon(err)
			return
		}
		timer.Reset(next)
		c.wake.Wait(alive, timer)
	}
}

// send writes what waits: answers, then messages, then the close frame. over: that was written.
func (c *conn) send(ctx context.Context, subscribed bool) (state feedState, over bool, err error) {
	b := httpfront.GetBuffer()
	defer httpfront.PutBuffer(b)
	if c.feed.sub != nil {
		c.feed.prove()
	}
	var end *closing
	*b, end = c.takeControl(*b)
	switch {
	case end != nil && !end.fault:
	case subscribed: // also once more before a client is told of its fault: what it said before may have been answered
		*b, state = c.sendMessages(ctx, *b)
	case ctx.Err() != nil:
		c.leave(c.goodbye(httpfront.StopReason(ctx), nil), false)
	}
	if end != nil && end.code != codeAbnormal {
		if end.fault || end.code == codeServerError {
			*b = c.framer.appendError(*b, end.faultKey(), end.detail(), c.feed.cursor())
		}
		*b = appendClose(*b, end.code, end.reason)
	}
	if len(*b) == 0 {
		return state, end != nil, nil
	}
	if _, err := c.net.Write(*b); err != nil {
		return state, false, err
	}
	c.feed.written()
	return state, end != nil, nil
}

// sendMessages appends messages, what asks the client for proof of them, and what follows from the stream's end.
func (c *conn) sendMessages(ctx context.Context, dst []byte) ([]byte, feedState) {
	dst, state, reason := c.feed.fill(ctx, dst)
	if number, any := c.window.seal(); any {
		dst = appendProof(dst, number)
	}
	switch state {
	case feedLeft:
		cursor := c.feed.cursor()
		dst = c.framer.appendGoAway(dst, reason, cursor)
		c.leave(c.goodbye(reason, cursor), false)
	case feedFailed:
		f := c.feed.failure
		c.decide(closing{code: codeServerError, reason: reasonError, key: f.Key, text: httpfront.FailureText(f), err: f})
	case feedEnded:
		if !c.entrypoint.config.Publisher.Enabled {
			c.leave(closing{code: codeNormal, reason: reasonBye}, true)
		}
	}
	return dst, state
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

// takeControl moves the waiting control frames and answers to dst and returns the decision how the connection ends, if there
// is one by now.
func (c *conn) takeControl(dst []byte) ([]byte, *closing) {
	c.mu.Lock()
	dst = append(dst, c.control...)
	c.control = c.control[:0]
	freed := c.answered > 0
	if dst = append(dst, c.answers...); cap(c.answers) > maxWaiting {
		c.answers = nil
	}
	c.answers = c.answers[:0]
	c.inFlight -= c.answered
	c.answered = 0
	if c.awaiting && c.window.empty() {
		c.awaiting = false
	}
	c.endIfSettled()
	end := c.end
	c.mu.Unlock()
	if freed {
		c.acked.Wake()
	}
	return dst, end
}

// leave begins the end of the connection: nothing more is published, and the close frame waits for the acknowledgements of
// what was, and for the client's proof of what it was sent; patient: as long as it takes. The writer calls it.
func (c *conn) leave(end closing, patient bool) {
	c.mu.Lock()
	if c.leaving == nil {
		c.leaving = &end
		c.awaiting, c.patient = !c.window.empty(), patient
	} else if !patient {
		c.patient = false
	}
	c.endIfSettled()
	c.mu.Unlock()
	c.acked.Wake()
}

// endIfSettled makes what the connection leaves with its end, once nothing is waited for. Called with mu held.
func (c *conn) endIfSettled() {
	if c.leaving != nil && c.end == nil && c.inFlight == 0 && !c.awaiting {
		c.end = c.leaving
	}
}

// abandon ends a connection that takes nothing more.
func (c *conn) abandon(err error) {
	c.decide(closing{code: codeAbnormal, err: err})
	c.net.Cut()
}

// awaitClose gives the client some time to answer our close frame; the reader waits for it.
func (c *conn) awaitClose() {
	_ = c.net.SetReadDeadline(time.Now().Add(c.entrypoint.times.handshake))
}
