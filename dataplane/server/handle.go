package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// What a client that sent too much may go on sending before its connection is cut, so that it reads why: in all, for how
// long, and with what pause. Closing with bytes unread would reset the connection under the answer. Ours.
const (
	lingerBytes = 16 << 20
	lingerTime  = 2 * time.Second
	lingerPause = 100 * time.Millisecond
)

// Handle serves one request. It is fasthttp's handler; benchmarks call it without a connection.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) {
	x := exchange.Get()
	x.HTTP = ctx
	x.OnReuse(s.reuse)
	identify(ctx, x)
	x.Span = remote(&ctx.Request.Header)
	var t tracing
	if s.cfg.Tracer != nil {
		t = s.trace(ctx, x)
	}
	uri := ctx.URI()
	outcome := s.router.Serve(x, uri.Host(), uri.PathOriginal())
	switch outcome {
	case flow.NoEntrypoint:
		s.counters.Unrouted.Add(1)
		answer(ctx, fasthttp.StatusNotFound, s.notFound)
	case flow.Draining:
		fail(ctx, fasthttp.StatusServiceUnavailable, message.StoppingText)
		ctx.SetConnectionClose()
	case flow.Panicked:
		s.counters.Panics.Add(1)
		introduce(ctx, x)
	}
	if s.stopping.Load() && !x.Detached() {
		ctx.SetConnectionClose()
	}
	if t.span != nil {
		t.end(ctx, x)
	}
	if outcome != flow.Panicked { // else somebody may still hold it
		x.Release()
	}
}

// answer writes a plain text.
func answer(ctx *fasthttp.RequestCtx, status int, text []byte) {
	ctx.SetStatusCode(status)
	ctx.Response.Header.SetContentType("text/plain")
	ctx.Response.SetBody(text)
}

// fail renders a failure that no API renders, as its clients expect it (spec 2.9, 5.7).
func fail(ctx *fasthttp.RequestCtx, status int, text string) {
	ctx.SetStatusCode(status)
	if !acceptsJSON(ctx.Request.Header.Peek(fasthttp.HeaderAccept)) {
		answer(ctx, status, []byte(text))
		return
	}
	ctx.Response.Header.SetContentType("application/json")
	body := append(ctx.Response.Body()[:0], `{"message":"`...) // text is one of ours: nothing in it needs escaping
	body = append(body, text...)
	body = append(body, `","http_status_code":`...)
	body = fasthttp.AppendUint(body, status)
	ctx.Response.SetBody(append(body, '}'))
}

// acceptsJSON tells whether application/json or */* stands alone in the list (spec 5.7).
func acceptsJSON(accept []byte) bool {
	for part := range bytes.SplitSeq(accept, []byte{','}) {
		if p := string(bytes.TrimSpace(part)); p == "application/json" || p == "*/*" {
			return true
		}
	}
	return false
}

// unreadable answers a request that could not be read.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return // the client has gone
	}
	s.counters.Refused.Add(1)
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	status := fasthttp.StatusBadRequest
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status = fasthttp.StatusRequestEntityTooLarge
		linger(ctx)
	case errors.As(err, &small):
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &network) && network.Timeout():
		status = fasthttp.StatusRequestTimeout
	}
	fail(ctx, status, fasthttp.StatusMessage(status))
}

// linger reads on, until the client pauses, and forgets what it reads.
func linger(ctx *fasthttp.RequestCtx) {
	conn, end := ctx.Conn(), time.Now().Add(lingerTime)
	var scratch [16 << 10]byte
	for read := 0; read < lingerBytes && time.Now().Before(end); {
		if conn.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return
		}
		n, err := conn.Read(scratch[:])
		if err != nil {
			return // it waits for the answer, or has gone
		}
		read += n
	}
}

// expect refuses a body that would be too large before it is sent.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	if ctx.Request.Header.ContentLength() > s.cfg.MaxBody {
		s.counters.Refused.Add(1)
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}
