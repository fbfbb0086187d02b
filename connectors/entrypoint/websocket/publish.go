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

// maxInFlight is how much of one client may be unacknowledged, in bytes; then nothing more is read from it until half of it is
// acknowledged. What was read at once always goes. It is ours.
const maxInFlight = 1 << 20

// receipt is what a published message reports to.
type receipt struct {
	conn *conn
	size int
	ref  []byte // of the publish (sluice.v1)
}

var receipts = sync.Pool{New: func() any { return new(receipt) }}

// publishFrame hands one frame of a client without sub-protocol on, in the order of the frames.
func (c *conn) publishFrame(op opcode, payload []byte) {
	if !c.entrypoint.config.Publisher.Enabled || !c.publishes() {
		return
	}
	m := message.Get()
	m.SetContent(payload)
	if op == opBinary && utf8.Valid(payload) {
		m.Headers = append(m.Headers, message.Header{Name: contentType, Value: octetStreamBytes})
	}
	c.enqueue(m, len(payload)+perMessage, nil)
}

// perMessage is what a message in flight costs besides its content, in bytes, roughly.
const perMessage = 256

var octetStreamBytes = []byte(octetStream)

// publishes tells whether what the client sends now is published.
func (c *conn) publishes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving == nil && c.end == nil && c.ctx.Err() == nil
}

// enqueue has m published behind those before it. Publishing waits while the endpoint's buffer is full, so it has a goroutine
// of its own while there is something to publish.
func (c *conn) enqueue(m *message.Message, size int, ref []byte) {
	r := receipts.Get().(*receipt)
	r.conn, r.size, r.ref = c, size, append(r.ref[:0], ref...)
	m.SetAck(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight += size
	c.full.Store(c.inFlight >= maxInFlight)
	c.queue = append(c.queue, m)
	if c.active {
		return
	}
	if c.publish == nil { // not the API's context: what was read before a stop is published, within times.settle
		c.publish, c.giveUp = context.WithCancel(context.WithoutCancel(c.ctx))
	}
	c.active = true
	ctx := c.publish
	c.publishers.Go(func() { c.publishAll(ctx) }) // ends with the queue; endPublishing waits for it
}

// publishAll publishes until nothing is left to be.
func (c *conn) publishAll(ctx context.Context) {
	var batch []*message.Message
	for {
		clear(batch)
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		if len(batch) == 0 {
			c.queue, c.active = nil, false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		for _, m := range batch {
			if c.abandoned.Load() {
				c.drop(m)
				continue
			}
			c.backend.Publish(ctx, c.exchange, m)
		}
	}
}

// drop forgets a message that is not published any more.
func (c *conn) drop(m *message.Message) {
	r := m.Ack().(*receipt)
	c.mu.Lock()
	c.inFlight -= r.size
	c.mu.Unlock()
	r.release(m)
}

// abandon ends publishing: what waits is dropped. Called with mu held.
func (c *conn) abandon() {
	c.abandoned.Store(true)
	if c.giveUp != nil {
		c.giveUp()
	}
}

// endPublishing waits until nothing more is being published. patient: what waits is published, as long as may be waited for
// the broker.
func (c *conn) endPublishing(patient bool) {
	stop := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.abandon()
	}
	if patient {
		defer time.AfterFunc(c.entrypoint.times.settle, stop).Stop()
		defer stop() // frees the context
	} else {
		stop()
	}
	c.publishers.Wait()
}

// Acked implements message.Ack. Without sub-protocol a publish that failed ends the connection: what came after it may be
// stored, it is not.
func (r *receipt) Acked(m *message.Message, err error) {
	c := r.conn
	if c.framer.v1 {
		c.answer(r, m, err)
	} else {
		c.settled(r, err)
	}
	r.release(m)
}

func (r *receipt) release(m *message.Message) {
	m.Release()
	r.conn = nil
	receipts.Put(r)
}

// settled takes the outcome of a publish that is not answered.
func (c *conn) settled(r *receipt, err error) {
	c.mu.Lock()
	if err != nil && c.end == nil {
		c.end = &closing{code: codeServerError, reason: reasonError, err: err}
		c.abandon()
	}
	c.inFlight -= r.size
	c.resume()
	c.endIfSettled()
	over := c.end != nil
	c.mu.Unlock()
	if over {
		c.line.Wake()
	}
}

// answer has the outcome of a publish sent. What was reserved for it is free once the answer is being written, so that a client
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
	c.line.Wake()
}

// resume has input taken again once there is room for it. Called with mu held.
func (c *conn) resume() {
	if c.full.Load() && c.inFlight <= maxInFlight/2 {
		c.full.Store(false)
		c.line.Resume()
	}
}

var unsettled = closing{code: codeServerError, reason: reasonError, err: errUnsettled}

var errUnsettled = errors.New("published messages were not acknowledged before the connection closed")
