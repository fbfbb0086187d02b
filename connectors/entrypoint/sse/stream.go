package sse

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
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

// stream is one client's connection.
type stream struct {
	exchange *exchange.Exchange
	sub      connectors.Subscription
	member   *httpfront.Member
	parked   httpfront.Parked
	pump     httpfront.Pump
	framer   framer
	receipts *httpfront.Receipts // under at-least-once; else nil

	head         []byte // status line and headers, until they are sent
	chunked      bool   // HTTP/1.1
	heartbeat    time.Duration
	writeTimeout time.Duration
}

// begin prepares the answer while fctx may still be used.
func (s *stream) begin(sub connectors.Subscription, fctx *fasthttp.RequestCtx) {
	s.sub = sub
	s.pump = httpfront.NewPump(sub, &s.framer, s.exchange.QoS)
	s.chunked = fctx.Request.Header.IsHTTP11()
	h := &fctx.Response.Header
	fctx.SetStatusCode(fasthttp.StatusOK)
	h.SetContentType("text/event-stream;charset=UTF-8")
	h.Set(fasthttp.HeaderCacheControl, "no-cache")
	if s.chunked && !fctx.Request.Header.ConnectionClose() {
		h.Set(fasthttp.HeaderConnection, "keep-alive")
	} else {
		h.SetConnectionClose()
	}
	if s.chunked {
		h.SetContentLength(-1) // Transfer-Encoding: chunked
	}
	s.head = append([]byte(nil), h.Header()...)
}

// serve is the hijack handler; ctx is the API's. It runs until the client leaves or the subscription ends.
func (s *stream) serve(ctx context.Context, c net.Conn) {
	conn := httpfront.NewConn(c, s.writeTimeout)
	s.member.Attach(conn)
	s.parked.Attach(conn)
	if s.exchange.QoS == qos.AtLeastOnce {
		s.receipts = conn.Receipts()
	}
	stop := context.AfterFunc(ctx, s.parked.Wake)
	s.run(ctx, conn)
	s.report() // what was acknowledged before the end counts; what was not comes again
	stop()
	s.parked.Release()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	s.sub.Close(closing)
	cancel()
	_ = conn.Close()
	s.exchange.End()
	s.member.Leave()
}

func (s *stream) run(ctx context.Context, conn *httpfront.Conn) {
	first := appendRetry(make([]byte, 0, 32))
	s.head = s.appendChunk(s.head, append(first, '\n'))
	if _, err := conn.Write(s.head); err != nil {
		return
	}
	s.head = nil
	silentSince := time.Now()
	for {
		state, sent, err := s.send(ctx, conn)
		if err != nil || state > httpfront.More {
			return
		}
		if sent {
			silentSince = time.Now()
		}
		if state == httpfront.More {
			continue
		}
		beat := silentSince.Add(s.heartbeat)
		switch s.parked.Wait(s.nextLook(beat)) {
		case httpfront.Gone:
			return
		case httpfront.TimedOut:
			s.report()
			if time.Now().Before(beat) {
				continue
			}
			if _, err := conn.Write(s.appendChunk(nil, []byte(":\n\n"))); err != nil {
				return
			}
			silentSince = time.Now()
		}
	}
}

// send writes what waits, up to one write's worth, and the end of the stream where it has come.
func (s *stream) send(ctx context.Context, conn *httpfront.Conn) (httpfront.State, bool, error) {
	b := httpfront.GetBuffer()
	defer httpfront.PutBuffer(b)
	*b = s.openChunk(*b)
	start := len(*b)
	var state httpfront.State
	*b, state = s.pump.Fill(ctx, *b)
	out := (*b)[:0]
	if len(*b) > start {
		*b, out = s.closeChunk(*b)
	}
	if state > httpfront.More && s.chunked {
		from := len(*b) - len(out)
		*b = append(*b, "0\r\n\r\n"...)
		out = (*b)[from:]
	}
	if len(out) == 0 {
		return state, false, nil
	}
	if _, err := conn.Write(out); err != nil {
		return state, false, err
	}
	if m := s.pump.Written(); m != nil {
		s.proven(s.receipts.Mark(m, time.Now()))
	}
	return state, true, nil
}

// nextLook returns when the stream has something to do although nothing comes: a beat is due or, where that is earlier, the
// client's TCP is looked at.
func (s *stream) nextLook(beat time.Time) time.Time {
	if s.receipts == nil {
		return beat
	}
	if look := s.receipts.Next(); !look.IsZero() && look.Before(beat) {
		return look
	}
	return beat
}

// report tells the subscription what is proven by now.
func (s *stream) report() {
	if s.receipts != nil {
		s.proven(s.receipts.Proven(time.Now()))
	}
}

func (s *stream) proven(m *message.Message) {
	if m != nil {
		s.sub.DeliveredThrough(m)
	}
}

// appendRetry appends a random reconnection time.
func appendRetry(dst []byte) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, minRetry+rand.Int64N(maxRetry-minRetry), 10)
	return append(dst, '\n')
}
