package server

import (
	"bytes"
	"context"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

// remote returns the client's trace context, without an allocation except for a tracestate; invalid where it sent none,
// a malformed one or, so that it is clear which is meant, several.
func remote(h *fasthttp.RequestHeader) trace.SpanContext {
	parents := h.PeekAll(tracecontext.Parent)
	if len(parents) != 1 {
		return trace.SpanContext{}
	}
	span, ok := tracecontext.Parse(parents[0])
	if !ok {
		return trace.SpanContext{}
	}
	switch states := h.PeekAll(tracecontext.State); len(states) {
	case 0:
		return span
	case 1:
		return tracecontext.WithState(span, states[0])
	default: // one list over several lines
		return tracecontext.WithState(span, bytes.Join(states, []byte{','}))
	}
}

// tracing is the span of one request.
type tracing struct{ span trace.Span }

// trace starts the server span of a request, under the client's where it sent one, and puts it in the place of that one.
func (s *Server) trace(ctx *fasthttp.RequestCtx, x *exchange.Exchange) tracing {
	parent := trace.ContextWithRemoteSpanContext(context.Background(), x.Span)
	_, span := s.cfg.Tracer.Start(parent, string(ctx.Method()), trace.WithSpanKind(trace.SpanKindServer))
	x.Span = span.SpanContext()
	return tracing{span}
}

// end ends the span. The span of a stream covers its opening: what follows has no end that anybody waits for.
func (t tracing) end(ctx *fasthttp.RequestCtx, x *exchange.Exchange) {
	defer t.span.End()
	if !t.span.IsRecording() {
		return
	}
	status := ctx.Response.StatusCode()
	t.span.SetAttributes(
		attribute.String("http.request.method", string(ctx.Method())),
		attribute.String("url.path", string(ctx.Path())),
		attribute.Int("http.response.status_code", status),
		attribute.String("sluice.request_id", x.RequestID),
	)
	if x.API != nil {
		t.span.SetName(string(ctx.Method()) + " " + x.ContextPath)
		t.span.SetAttributes(attribute.String("http.route", x.ContextPath), attribute.String("sluice.api", x.API.ID),
			attribute.Int64("sluice.revision", int64(x.API.Revision)), attribute.String("sluice.entrypoint", x.Entrypoint))
	}
	if status >= fasthttp.StatusInternalServerError {
		t.span.SetStatus(codes.Error, "")
	}
}
