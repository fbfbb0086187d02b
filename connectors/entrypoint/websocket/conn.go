package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// conn is one client's connection.
type conn struct {
	entrypoint *Entrypoint
	exchange   *exchange.Exchange
	backend    connectors.Backend
	member     *httpfront.Member
	net        *httpfront.Conn
	framer     framer // of the writer, as is feed; its protocol may be read by all
	feed       feed   // without a subscription: the client does not subscribe
	window     window

	wake  httpfront.Waker // of the writer: something to send, or the end
	acked httpfront.Waker // of the reader: less in flight
	asked time.Time       // of the writer: when the client was asked for a sign of life; zero: it gave one
	left  time.Time       // of the writer: when the connection began to end; zero: not yet

	lastRead atomic.Int64 // Unix nanoseconds of the last sign of life
	busy     atomic.Bool  // the reader does not read, because it publishes

	mu sync.Mutex
	// guards the following; taken before window's
	control  []byte   // pings and pongs to be sent
	answers  []byte   // to publishes (sluice.v1)
	answered int      // bytes of inFlight that the answers stand for
	end      *closing // how the connection ends, decided once; nil: not yet
	leaving  *closing // nothing more is published, and this is the end once nothing is in flight nor to be proved
	awaiting bool     // leaving waits for proof of what was sent
	patient  bool     // for as long as it takes
	inFlight int      // bytes published and not acknowledged, or not yet answered
}

func newConn(e *Entrypoint, x *exchange.Exchange, b connectors.Backend) *conn {
	return &conn{entrypoint: e, exchange: x, backend: b, wake: httpfront.NewWaker(), acked: httpfront.NewWaker()}
}

// subscribe says what the client gets. Its protocol is known by now.
func (c *conn) subscribe(sub connectors.Subscription) {
	c.window.counted = c.exchange.QoS == qos.AtLeastOnce
	c.window.each = c.framer.v1
	if c.window.counted && !c.framer.v1 {
		c.window.number = firstProof()
	}
	c.feed = feed{sub: sub, framer: &c.framer, window: &c.window, level: c.exchange.QoS}
}

// maxWaiting bounds the answers to pings that wait to be written, in bytes. Beyond, only the newest is answered, which RFC
// 6455 section 5.5.3 allows.
const maxWaiting = 4 << 10

// serve is the hijack handler; ctx is the API's. It reads until the client leaves or the connection is closed.
func (c *conn) serve(ctx context.Context, nc net.Conn, head []byte) {
	c.net = httpfront.NewConn(nc, c.entrypoint.times.write)
	c.member.Attach(c.net)
	c.lastRead.Store(time.Now().UnixNano())
	stopWake := context.AfterFunc(ctx, c.wake.Wake)

	publishing, stopPublishing := context.WithCancel(ctx)
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan struct{})
	go func() { // ended by the decision how the connection ends, or by a failed write; waited for below
		defer close(written)
		defer stopPublishing()
		defer die()
		c.write(ctx, alive, head)
	}()
	r := newReader(heard{c}, c.entrypoint.maxFrame, c.framer.deflate != nil)
	c.read(publishing, alive, r)
	<-written
	r.release()
	c.linger()

	stopWake()
	lost := c.unsubscribe(ctx)
	_ = c.net.Close()
	end := c.decided()
	c.entrypoint.ended(c.exchange, end.code, lost, end.err)
	c.exchange.End()
	c.member.Leave()
}

// unsubscribe closes the subscription, with all that the client proved to the end, and returns how many messages are lost.
func (c *conn) unsubscribe(ctx context.Context) (lost int) {
	if c.feed.sub == nil {
		return 0
	}
	c.feed.prove()
	if c.exchange.QoS == qos.AtMostOnce { // under the other levels what was not written comes again, or is nobody's
		lost = c.feed.unsent()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.entrypoint.times.handshake)
	defer cancel()
	c.feed.sub.Close(ctx)
	return lost
}

// heard is the connection's reading side: any byte is a sign of life, also in the middle of a frame that takes long.
type heard struct{ *conn }

// Read implements io.Reader.
func (h heard) Read(p []byte) (int, error) {
	n, err := h.net.Read(p)
	if n > 0 {
		h.lastRead.Store(time.Now().UnixNano())
	}
	return n, err
}

// read takes the client's frames until the connection ends.
func (c *conn) read(publishing, alive context.Context, r *reader) {
	var heard request // of a client that speaks sluice.v1
	for {
		op, payload, err := r.next()
		if err == nil {
			err = c.take(publishing, alive, &heard, op, payload)
		}
		var bad *closing
		switch {
		case err == nil && op == opClose:
			c.settle(alive)
			c.decide(parseClose(payload))
			return
		case err == nil:
		case errors.As(err, &bad):
			c.decide(*bad)
			return
		default:
			c.net.Cut() // the client left; the writer need not try
			c.decide(closing{code: codeAbnormal})
			return
		}
	}
}

// take does what a frame asks for. An error is a *closing.
func (c *conn) take(publishing, alive context.Context, q *request, op opcode, payload []byte) error {
	switch op {
	case opPing:
		c.pong(payload)
	case opPong:
		c.hearProof(payload)
	case opText, opBinary:
		c.busy.Store(true)
		defer func() {
			c.lastRead.Store(time.Now().UnixNano())
			c.busy.Store(false)
		}()
		if !c.framer.v1 {
			c.publishFrame(publishing, alive, op, payload)
			return nil
		}
		if op == opBinary {
			return &closing{code: codeUnsupported, reason: "sluice.v1 has no binary frames", fault: true}
		}
		if bad := c.hear(publishing, alive, q, payload); bad != nil {
			return bad
		}
	}
	return nil
}

// pong has a ping answered.
func (c *conn) pong(payload []byte) {
	c.mu.Lock()
	if len(c.control) > maxWaiting {
		c.control = c.control[:0]
	}
	c.control = appendControl(c.control, opPong, "", payload)
	c.mu.Unlock()
	c.wake.Wake()
}

// decide says how the connection ends; the first decision stands.
func (c *conn) decide(end closing) {
	c.mu.Lock()
	if c.end == nil {
		c.end = &end
	}
	c.mu.Unlock()
	c.wake.Wake()
	c.acked.Wake()
}

func (c *conn) decided() closing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		return closing{code: codeAbnormal}
	}
	return *c.end
}

// linger ends our half of the connection and waits a little for the client's half: closing while its bytes are
// unread would reset the connection, and take our close frame back.
func (c *conn) linger() {
	if !c.net.CloseWrite() || c.net.SetReadDeadline(time.Now().Add(c.entrypoint.times.linger)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c.net, maxLinger))
}

// maxLinger bounds what a client may send after the end, in bytes.
const maxLinger = 1 << 20
