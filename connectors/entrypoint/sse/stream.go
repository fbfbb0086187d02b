package sse

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of the reconnection time that clients are given, in milliseconds (spec 2.3): random, so that the clients of a
// worker that stops do not come back all at once.
const minRetry, maxRetry = 1000, 30000

// closeTimeout bounds the saving of what was delivered when a stream ends.
const closeTimeout = 5 * time.Second

// lingerTimeout bounds the wait for the last acknowledgements of a client that has left.
const lingerTimeout = 500 * time.Millisecond

// stream is one client's connection. Its methods are called by the event loop's goroutine.
type stream struct {
	entrypoint *Entrypoint
	exchange   *exchange.Exchange
	ctx        context.Context // the API's: a stream lives as long as its connection, which no call spans
	sub        connectors.Subscription
	member     *httpfront.Member
	conn       eventloop.Conn
	nc         net.Conn
	out        httpfront.Stream
	framer     framer
	receipts   *httpfront.Receipts // under at-least-once; else nil

	head    []byte    // status line, headers and the first event, until they are sent
	keeps   bool      // the client may send its next request on this connection
	silent  time.Time // since when nothing was sent
	ignored int       // bytes that the client sent
}

// begin prepares the answer while fctx may still be used.
func (s *stream) begin(sub connectors.Subscription, fctx *fasthttp.RequestCtx) {
	s.sub = sub
	s.out = httpfront.NewStream(sub, &s.framer, s.exchange.QoS)
	h := &fctx.Response.Header
	fctx.SetStatusCode(fasthttp.StatusOK)
	h.SetContentType("text/event-stream;charset=UTF-8")
	h.Set(fasthttp.HeaderCacheControl, "no-cache")
	if s.keeps = s.framer.chunked && !fctx.Request.Header.ConnectionClose(); s.keeps {
		h.Set(fasthttp.HeaderConnection, "keep-alive")
	} else {
		h.SetConnectionClose()
	}
	if s.framer.chunked {
		h.SetContentLength(-1) // Transfer-Encoding: chunked
	}
	first := appendRetry(make([]byte, 0, 32))
	s.head = appendChunk(append([]byte(nil), h.Header()...), append(first, '\n'), s.framer.chunked)
}

// serve is the hijack handler: it hands the connection to the event loop.
func (s *stream) serve(c net.Conn) {
	s.nc = c
	if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		s.nc = u.UnsafeConn() // fasthttp's wrapper keeps the read buffer
	}
	if s.exchange.QoS == qos.AtLeastOnce {
		s.receipts = httpfront.NewReceipts(s.nc)
	}
	s.member.Attach(&s.conn)
	s.entrypoint.loop.Add(&s.conn, s.nc, s, eventloop.Options{WriteTimeout: s.entrypoint.writeTimeout, Input: true})
}

// Next implements eventloop.Handler.
func (s *stream) Next(o *eventloop.Output) eventloop.State {
	if s.receipts != nil && !s.receipts.Next().IsZero() && !o.Now().Before(s.receipts.Next()) {
		s.proven(s.receipts.Proven(o.Now()))
	}
	if s.head != nil {
		o.Commit(append(o.Buffer(), s.head...))
		s.head = nil
	}
	state := s.out.Fill(s.ctx, o)
	if state > httpfront.More {
		if s.framer.chunked {
			o.Commit(append(o.Buffer(), "0\r\n\r\n"...))
		}
		return eventloop.Close
	}
	if o.Len() == 0 && o.Now().Sub(s.silent) >= s.entrypoint.heartbeat {
		o.Commit(appendChunk(o.Buffer(), []byte(":\n\n"), s.framer.chunked))
	}
	if o.Len() > 0 {
		s.silent = o.Now()
	}
	o.Due(s.due(o))
	if state == httpfront.More {
		return eventloop.More
	}
	return eventloop.Idle
}

// due returns when there is something to do although nothing comes: a beat, or, where that is earlier, a look at what the
// client's TCP has.
func (s *stream) due(o *eventloop.Output) time.Time {
	beat := s.silent.Add(s.entrypoint.heartbeat)
	if s.receipts == nil {
		return beat
	}
	look := s.receipts.Next()
	if s.out.Framed() {
		look = s.receipts.After(o.Now())
	}
	if look.IsZero() || look.After(beat) {
		return beat
	}
	return look
}

// Written implements eventloop.Handler.
func (s *stream) Written() {
	if m := s.out.Written(); m != nil {
		s.proven(s.receipts.Mark(m, time.Now()))
	}
}

// proven tells the subscription what the client has; nil: nothing more than before.
func (s *stream) proven(m *message.Message) {
	if m != nil {
		s.sub.DeliveredThrough(m)
	}
}

// maxIgnored bounds what a client may send, in bytes, on a connection that only receives.
const maxIgnored = 64 << 10

var errTalks = errors.New("the client sends on a connection that only receives")

// Input implements eventloop.Handler.
func (s *stream) Input(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, io.EOF // who sends nothing more has left, as clients of streams are
	}
	if s.ignored += len(p); s.ignored > maxIgnored {
		return 0, errTalks
	}
	return len(p), nil
}

// Ended implements eventloop.Handler. What is left may wait for the broker, so it gets a goroutine, which the member
// stands for.
func (s *stream) Ended(err error) {
	go s.finish(err)
}

// finish ends what belongs to the stream. Without an error the response was written to its end, so that the connection, as its
// head promised, serves the client's next request, unless that came too early and was passed over.
func (s *stream) finish(err error) {
	whole := err == nil
	if s.receipts != nil {
		s.lookLast(whole || errors.Is(err, io.EOF))
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
	s.sub.Close(closing)
	cancel()
	if !whole || !s.keeps || s.ignored > 0 || s.nc.SetDeadline(time.Time{}) != nil || !s.exchange.Reuse(s.nc) {
		_ = s.nc.Close()
	}
	s.exchange.End()
	s.member.Leave()
}

// lookLast counts what was acknowledged before the end; what was not comes again. A client that left in order may still be
// reading what is on its way to it, which it then need not get again.
func (s *stream) lookLast(read bool) {
	enough := time.After(lingerTimeout)
	again := time.NewTicker(lingerTimeout / 50)
	defer again.Stop()
	for {
		m, more := s.receipts.Last(read)
		s.proven(m)
		if !more {
			return
		}
		select {
		case <-again.C:
		case <-enough:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// appendRetry appends a random reconnection time.
func appendRetry(dst []byte) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, minRetry+rand.Int64N(maxRetry-minRetry), 10)
	return append(dst, '\n')
}
