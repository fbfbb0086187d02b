package websocket

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// maxInFlight is how much of one client may be unacknowledged, in bytes; then nothing more is read from it. One message of any
// size always goes. It is ours.
const maxInFlight = 1 << 20

// receipt is what a published message reports to.
type receipt struct {
	conn *conn
	size int
	ref  []byte // of the publish (sluice.v1)
}

var receipts = sync.Pool{New: func() any { return new(receipt) }}

// publishFrame hands one frame of a client without sub-protocol on, in the order of the frames.
func (c *conn) publishFrame(publishing, alive context.Context, op opcode, payload []byte) {
	size := len(payload) + perMessage
	if !c.entrypoint.config.Publisher.Enabled || !c.reserve(alive, size) {
		return
	}
	m := message.Get()
	m.SetContent(payload)
	if op == opBinary && utf8.Valid(payload) {
		m.Headers = append(m.Headers, message.Header{Name: contentType, Value: octetStreamBytes})
	}
	r := receipts.Get().(*receipt)
	r.conn, r.size = c, size
	m.SetAck(r)
	c.backend.Publish(publishing, c.exchange, m)
}

// perMessage is what a message in flight costs besides its content, in bytes, roughly.
const perMessage = 256

var octetStreamBytes = []byte(octetStream)

// Acked implements message.Ack. Without sub-protocol a publish that failed ends the connection: what came after it may be
// stored, it is not.
func (r *receipt) Acked(m *message.Message, err error) {
	c := r.conn
	if c.framer.v1 {
		c.answer(r, m, err)
	} else {
		c.settled(r, err)
	}
	m.Release()
	r.conn = nil
	receipts.Put(r)
}

// settled takes the outcome of a publish that is not answered.
func (c *conn) settled(r *receipt, err error) {
	if err != nil {
		c.decide(closing{code: codeServerError, reason: reasonError, err: err})
	}
	c.mu.Lock()
	c.inFlight -= r.size
	c.endIfSettled()
	over := c.end != nil
	c.mu.Unlock()
	c.acked.Wake()
	if over {
		c.wake.Wake()
	}
}

// answer has the outcome of a publish sent. What was reserved for it is free once the writer took the answer, so that a client
// that publishes and does not read is waited for.
func (c *conn) answer(r *receipt, m *message.Message, err error) {
	c.mu.Lock()
	if err == nil {
		c.answers = appendPublished(c.answers, r.ref, m)
	} else {
		c.answers = appendRefused(c.answers, r.ref, httpfront.AsFailure(err))
	}
	c.answered += r.size
	c.mu.Unlock()
	c.wake.Wake()
}

// reserve waits until size more may be in flight and counts it; false: nothing more may be published.
func (c *conn) reserve(alive context.Context, size int) bool {
	for {
		c.mu.Lock()
		over := c.leaving != nil || c.end != nil
		free := !over && (c.inFlight == 0 || c.inFlight+size <= maxInFlight)
		if free {
			c.inFlight += size
		}
		c.mu.Unlock()
		if over || free {
			return free
		}
		if c.acked.Wait(alive, nil) == httpfront.Stopped {
			return false
		}
	}
}

// settle waits until everything published is acknowledged, so that the answer to the client's close frame tells the
// truth about it. What is not acknowledged in time counts as failed.
func (c *conn) settle(alive context.Context) {
	timer := time.NewTimer(c.entrypoint.times.settle)
	defer timer.Stop()
	for {
		c.mu.Lock()
		settled := c.inFlight == 0 || c.end != nil
		c.mu.Unlock()
		if settled {
			return
		}
		switch c.acked.Wait(alive, timer) {
		case httpfront.Stopped:
			return
		case httpfront.TimedOut:
			c.decide(unsettled)
			return
		}
	}
}

var unsettled = closing{code: codeServerError, reason: reasonError, err: errUnsettled}

var errUnsettled = errors.New("published messages were not acknowledged before the connection closed")
