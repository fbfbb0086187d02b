package server

import (
	"context"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/exchange"
)

// w3c reads traceparent and tracestate (https://www.w3.org/TR/trace-context/).
var w3c propagation.TraceContext

// tracing is the span of one request.
type tracing struct{ span trace.Span }

// trace starts the server span of a request, under the client's where it sent one.
func (s *Server) trace(ctx *fasthttp.RequestCtx, x *exchange.Exchange) tracing {
	parent := w3c.Extract(context.Background(), carrier{&ctx.Request.Header})
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

// carrier lets a propagator read request headers.
type carrier struct{ h *fasthttp.RequestHeader }

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return string(c.h.Peek(key)) }

// Set implements propagation.TextMapCarrier; nothing is injected into a request that came in.
func (c carrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string { return nil }
