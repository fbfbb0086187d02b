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
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// conn is one client's connection. The event loop calls Next, Written, Input and Ended, one at a time, and what is not
// guarded is theirs. Publishing can block, so it has a goroutine while there is something to publish (publish.go).
type conn struct {
	entrypoint *Entrypoint
	exchange   *exchange.Exchange
	backend    connectors.Backend
	ctx        context.Context // the API's: a connection outlives the call that made it
	member     *httpfront.Member
	line       eventloop.Conn
	nc         net.Conn
	head       []byte // of the answer to the handshake, until it is sent
	framer     framer // its protocol may be read by all
	feed       feed   // without a subscription: the client does not subscribe
	window     window
	parser     parser

	phase      phase
	subscribed bool      // there may be more messages
	deaf       bool      // the client has said its last word: what still comes is passed over
	halved     bool      // the client has ended its half of the connection
	passed     int       // bytes that were passed over
	until      time.Time // when the phase ends
	lastRead   time.Time // the last sign of life
	asked      time.Time // when the client was asked for a sign of life; zero: it gave one
	left       time.Time // when the connection began to end; zero: not yet
	control    []byte    // pongs to be sent

	full       atomic.Bool // no input is taken until less is in flight; changed under mu
	abandoned  atomic.Bool // what waits to be published no longer is; changed under mu
	publishers sync.WaitGroup

	mu sync.Mutex
	// guards the following
	answers  []byte             // to publishes (sluice.v1)
	answered int                // bytes of inFlight that the answers stand for
	end      *closing           // how the connection ends, decided once; nil: not yet
	parting  *closing           // the client said its last word, and this is the end once nothing is in flight
	leaving  *closing           // nothing more is published, and this is the end once nothing is in flight nor to be proved
	awaiting bool               // leaving waits for proof of what was sent
	patient  bool               // for as long as it takes
	inFlight int                // bytes to be published, published and not acknowledged, or not yet answered
	queue    []*message.Message // to be published, in order
	active   bool               // a goroutine publishes
	publish  context.Context    // of all publishing; nil: there was none
	giveUp   context.CancelFunc // ends it
}

// phase is where a connection stands in its life.
type phase uint8

const (
	isOpen    phase = iota
	isClosing       // our close frame is sent, the client's is awaited
	isEnding        // our half is ended, the client's end is awaited
)

func newConn(ctx context.Context, e *Entrypoint, x *exchange.Exchange, b connectors.Backend) *conn {
	return &conn{ctx: ctx, entrypoint: e, exchange: x, backend: b}
}

// subscribe says what the client gets. Its protocol is known by now.
func (c *conn) subscribe(sub connectors.Subscription) {
	c.window.counted = c.exchange.QoS == qos.AtLeastOnce
	c.window.each = c.framer.v1
	if c.window.counted && !c.framer.v1 {
		c.window.number = firstProof()
	}
	c.feed = newFeed(sub, &c.framer, &c.window, c.exchange.QoS)
	c.subscribed = true
}

// maxWaiting bounds the answers to pings that wait to be written, in bytes. Beyond, only the newest is answered, which RFC
// 6455 section 5.5.3 allows.
const maxWaiting = 4 << 10

// kept bounds the memory for such answers that an idle connection keeps, in bytes.
const kept = 512

// serve is the hijack handler: it hands the connection to the event loop.
func (c *conn) serve(nc net.Conn) {
	var early []byte
	c.nc, early = httpfront.TakeOver(nc)
	c.parser = parser{maxMessage: c.entrypoint.maxFrame, inflate: c.framer.deflate != nil}
	c.lastRead = time.Now()
	c.member.Attach(&c.line)
	c.entrypoint.loop.Add(&c.line, c.nc, c, eventloop.Options{WriteTimeout: c.entrypoint.times.write, Input: true, Early: early})
}

// Ended implements eventloop.Handler. What is left may wait for the broker, so it gets a goroutine, which the member
// stands for.
func (c *conn) Ended(err error) {
	if err != nil {
		c.decide(closing{code: codeAbnormal, err: err})
	}
	go c.finish(errors.Is(err, io.EOF))
}

// finish ends what belongs to the connection. patient: what the client sent before it left is still published.
func (c *conn) finish(patient bool) {
	c.parser.release()
	c.endPublishing(patient)
	lost := c.unsubscribe()
	_ = c.nc.Close()
	end := c.decided()
	c.entrypoint.ended(c.exchange, end.code, lost, end.err)
	c.exchange.End()
	c.member.Leave()
}

// unsubscribe closes the subscription, with all that the client proved to the end, and returns how many messages are lost.
func (c *conn) unsubscribe() (lost int) {
	if c.feed.sub == nil {
		return 0
	}
	c.feed.prove()
	if c.exchange.QoS == qos.AtMostOnce { // under the other levels what was not written comes again, or is nobody's
		lost = c.feed.unsent()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.entrypoint.times.handshake)
	defer cancel()
	c.feed.sub.Close(ctx)
	return lost
}

// maxLinger bounds what a client may send after its last word, in bytes.
const maxLinger = 1 << 20

var errTalks = errors.New("the client went on sending after the end")

// Input implements eventloop.Handler.
func (c *conn) Input(p []byte) (int, error) {
	if len(p) == 0 {
		c.halved = true
		if !c.deaf {
			return 0, io.EOF // the client left, and need not be told anything
		}
		c.line.Wake()
		return 0, nil
	}
	c.lastRead = time.Now() // any byte is a sign of life, also in the middle of a frame that takes long
	taken := 0
	for taken < len(p) && !c.deaf {
		if c.full.Load() {
			return taken, nil
		}
		n, op, payload, bad := c.parser.next(p[taken:])
		taken += n
		if bad == nil {
			bad = c.take(op, payload)
		}
		c.parser.done()
		if bad != nil {
			c.part(*bad)
		}
	}
	if c.deaf {
		if c.passed += len(p) - taken; c.passed > maxLinger {
			return 0, errTalks
		}
	}
	return len(p), nil
}

// take does what a frame asks for. What it returns is the client's last word: a close frame, or a breach of the protocol.
func (c *conn) take(op opcode, payload []byte) *closing {
	switch op {
	case opClose:
		end := parseClose(payload)
		return &end
	case opPing:
		c.pong(payload)
	case opPong:
		c.hearProof(payload)
	case opText, opBinary:
		if !c.framer.v1 {
			c.publishFrame(op, payload)
			return nil
		}
		if op == opBinary {
			return &closing{code: codeUnsupported, reason: "sluice.v1 has no binary frames", fault: true}
		}
		return c.hear(payload)
	}
	return nil
}

// pong has a ping answered.
func (c *conn) pong(payload []byte) {
	if len(c.control) > maxWaiting {
		c.control = c.control[:0]
	}
	c.control = appendControl(c.control, opPong, "", payload)
	c.line.Wake()
}

// part takes the client's last word. It is answered once everything published is acknowledged, so that the answer tells the
// truth about it.
func (c *conn) part(end closing) {
	c.deaf = true
	c.mu.Lock()
	c.parting = &end
	c.endIfSettled()
	c.mu.Unlock()
	c.line.Wake()
}

// decide says how the connection ends; the first decision stands.
func (c *conn) decide(end closing) {
	c.mu.Lock()
	if c.end == nil {
		c.end = &end
	}
	c.mu.Unlock()
	c.line.Wake()
}

func (c *conn) decided() closing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		return closing{code: codeAbnormal}
	}
	return *c.end
}

var _ eventloop.Handler = (*conn)(nil)
