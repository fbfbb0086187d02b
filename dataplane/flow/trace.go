package flow

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

// deliveries makes the spans of what one entrypoint's subscribers get, so that the trace of a client that published does not
// end at the broker: client, worker, record, worker, delivery are one trace.
//
// A message gets a span where its headers carry a W3C traceparent with the sampled flag. The span is the child of that
// context, whoever wrote it, and linked to the stream or request that the message goes to, which has a trace of its own.
// It is a point in time, the one at which the message is handed to the entrypoint: the levels differ in what they
// learn of what follows, and under none that is nothing. One message gives as many spans as subscribers get it.
//
// Messages without the header, with a malformed one or with one that is not sampled cost a look at their headers, and no
// allocation. Their producers decide how many spans there are; what they sample, the worker's own ratio does not
// take back, and the exporter drops what is more than it can send.
type deliveries struct {
	tracer trace.Tracer
	common []attribute.KeyValue
	kafka  bool
}

// deliveries returns what makes the spans of an entrypoint that subscribes to an endpoint; nil where the worker makes none.
func (b *builder) deliveries(entrypoint, endpoint string) *deliveries {
	if b.cfg.Tracer == nil {
		return nil
	}
	return &deliveries{tracer: b.cfg.Tracer, kafka: endpoint == "kafka", common: []attribute.KeyValue{
		attribute.String("sluice.api", b.api.Info.ID),
		attribute.Int64("sluice.revision", int64(b.api.Info.Revision)),
		attribute.String("sluice.entrypoint", entrypoint),
		attribute.String("messaging.system", endpoint),
		attribute.String("messaging.operation.name", "deliver"),
		attribute.String("messaging.operation.type", "process"),
	}}
}

// record makes the spans of messages that are handed to the stream or request whose span is to.
func (d *deliveries) record(to trace.SpanContext, messages []message.Message) {
	for i := range messages {
		if m := &messages[i]; m.Kind == message.Data && len(m.Headers) > 0 {
			if from := producer(m); from.IsSampled() {
				d.span(from, to, m)
			}
		}
	}
}

// producer returns the trace context in m's headers; invalid where there is none. Of several the last counts: that is the
// one that the last hop added.
func producer(m *message.Message) trace.SpanContext {
	parent, ok := last(m.Headers, tracecontext.Parent)
	if !ok {
		return trace.SpanContext{}
	}
	span, ok := tracecontext.Parse(parent)
	if !ok {
		return trace.SpanContext{}
	}
	if span.IsSampled() {
		if state, ok := last(m.Headers, tracecontext.State); ok {
			span = tracecontext.WithState(span, state)
		}
	}
	return span
}

// last returns the last value of the named header. Record headers are told apart by case, and the standard's are
// written in lower case.
func last(headers []message.Header, name string) ([]byte, bool) {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Name == name {
			return headers[i].Value, true
		}
	}
	return nil, false
}

// span makes one delivery's span, named and described after OpenTelemetry's conventions for messaging.
func (d *deliveries) span(from, to trace.SpanContext, m *message.Message) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(d.common...)}
	name := "deliver"
	if m.Topic != "" {
		name += " " + m.Topic
		options = append(options, trace.WithAttributes(attribute.String("messaging.destination.name", m.Topic)))
	}
	if d.kafka {
		options = append(options, trace.WithAttributes(
			attribute.String("messaging.destination.partition.id", strconv.Itoa(int(m.Partition))),
			attribute.Int64("messaging.kafka.offset", m.Offset)))
	}
	if to.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: to}))
	}
	_, span := d.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), from), name, options...)
	span.End()
}
