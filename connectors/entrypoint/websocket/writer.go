package websocket

import (
	"context"
	"errors"
	"time"

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
	t := c.entrypoint.times
	timer := time.NewTimer(t.pingEvery)
	defer timer.Stop()
	subscribed, leaving := c.sub != nil, false
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
		case httpfront.More:
			continue
		case httpfront.Ended, httpfront.Left, httpfront.Failed:
			subscribed = false
			if state == httpfront.Ended && !c.entrypoint.config.Publisher.Enabled {
				c.decide(closing{code: codeNormal, reason: reasonBye})
			}
			continue
		}
		if !leaving && c.mustLeave() {
			leaving = true
			timer.Reset(t.settle)
		}
		if c.wake.Wait(alive, timer) != httpfront.TimedOut {
			continue
		}
		if leaving {
			c.decide(unsettled)
			continue
		}
		next, dead := c.probe()
		if dead {
			c.abandon(errSilent)
			return
		}
		timer.Reset(next)
	}
}

var errSilent = errors.New("the client gave no sign of life")

func (c *conn) mustLeave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving != nil
}

// send writes what waits: answers to pings, then messages, then the close frame. over: it was written.
func (c *conn) send(ctx context.Context, subscribed bool) (state httpfront.State, over bool, err error) {
	b := httpfront.GetBuffer()
	defer httpfront.PutBuffer(b)
	var end *closing
	*b, end = c.takeControl(*b)
	switch {
	case end != nil:
	case subscribed:
		*b, state = c.pump.Fill(ctx, *b)
	case ctx.Err() != nil:
		c.leave(httpfront.StopReason(ctx))
	}
	if end != nil && end.code != codeAbnormal {
		*b = appendClose(*b, end.code, end.reason)
	}
	if len(*b) > 0 {
		if _, err := c.net.Write(*b); err != nil {
			return state, false, err
		}
		if subscribed {
			c.pump.Written()
		}
	}
	return state, end != nil, nil
}

// takeControl moves the waiting control frames to dst and returns the decision how the connection ends, if there is one by now.
func (c *conn) takeControl(dst []byte) ([]byte, *closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dst = append(dst, c.control...)
	c.control = c.control[:0]
	return dst, c.end
}

// leave begins the end of the connection of an API that stops: nothing more is published, and the close frame waits for the
// acknowledgements of what was.
func (c *conn) leave(reason message.Reason) {
	end := closing{code: codeTryAgain, reason: reasonTry}
	if reason == message.ReasonRedeploy {
		end = closing{code: codeRestart, reason: reasonRestart}
	}
	c.mu.Lock()
	if c.leaving == nil {
		c.leaving = &end
	}
	settled := c.inFlight == 0
	c.mu.Unlock()
	c.acked.Wake()
	if settled {
		c.decide(end)
	}
}

// probe tells how long the client may stay silent from now on, asking it for a sign of life where it has been silent for long; dead:
// it gave none.
func (c *conn) probe() (next time.Duration, dead bool) {
	t := c.entrypoint.times
	silent := time.Duration(time.Now().UnixNano() - c.lastRead.Load())
	switch {
	case c.busy.Load():
		return t.pingEvery, false // it is we who do not read
	case silent < t.pingEvery:
		return t.pingEvery - silent, false
	case silent >= t.pingEvery+t.pongWait:
		return 0, true
	}
	c.mu.Lock()
	c.control = appendControl(c.control, opPing, "", "")
	c.mu.Unlock()
	c.wake.Wake()
	return t.pongWait, false
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
