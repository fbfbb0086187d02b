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
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// conn is one client's connection.
type conn struct {
	entrypoint *Entrypoint
	exchange   *exchange.Exchange
	backend    connectors.Backend
	sub        connectors.Subscription // nil: the client does not subscribe
	member     *httpfront.Member
	net        *httpfront.Conn

	wake  httpfront.Waker // of the writer: something to send, or the end
	acked httpfront.Waker // of the reader: less in flight
	pump  httpfront.Pump  // of the writer

	lastRead atomic.Int64 // Unix nanoseconds of the last sign of life
	busy     atomic.Bool  // the reader does not read, because it publishes

	mu sync.Mutex
	// guards the following
	control  []byte   // pings and pongs to be sent
	end      *closing // how the connection ends, decided once; nil: not yet
	leaving  *closing // the API stops: nothing more is published, and this is the end once nothing is in flight
	inFlight int      // bytes published and not acknowledged
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
	r := newReader(c.net, c.entrypoint.maxFrame)
	c.read(publishing, alive, r)
	<-written
	r.release()
	c.linger()

	stopWake()
	if c.sub != nil {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.entrypoint.times.handshake)
		c.sub.Close(closeCtx)
		cancel()
	}
	_ = c.net.Close()
	end := c.decided()
	c.entrypoint.ended(c.exchange, end.code, end.err)
	c.exchange.End()
	c.member.Leave()
}

// read takes the client's frames until the connection ends.
func (c *conn) read(publishing, alive context.Context, r *reader) {
	for {
		op, payload, err := r.next()
		if err != nil {
			var bad *closing
			if !errors.As(err, &bad) {
				bad = &closing{code: codeAbnormal}
				c.net.Cut() // the client left; the writer need not try
			}
			c.decide(*bad)
			return
		}
		c.lastRead.Store(time.Now().UnixNano())
		switch op {
		case opPing:
			c.pong(payload)
		case opClose:
			c.settle(alive)
			c.decide(parseClose(payload))
			return
		case opText, opBinary:
			if c.entrypoint.config.Publisher.Enabled {
				c.busy.Store(true)
				c.publish(publishing, alive, op, payload)
				c.lastRead.Store(time.Now().UnixNano())
				c.busy.Store(false)
			}
		}
	}
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

// AppendMessage implements httpfront.Framer.
func (c *conn) AppendMessage(dst []byte, m *message.Message) []byte { return appendMessage(dst, m) }

// AppendEnd implements httpfront.Framer. The close frame is the writer's, once everything is acknowledged.
func (c *conn) AppendEnd(dst []byte, f *message.Failure, reason message.Reason, _ []byte) []byte {
	if f != nil {
		c.decide(closing{code: codeServerError, reason: reasonError, err: f})
		return dst
	}
	c.leave(reason)
	return dst
}
