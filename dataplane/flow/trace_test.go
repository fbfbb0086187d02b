package flow_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

const (
	traceID   = "0af7651916cd43dd8448eb211c80319c"
	spanID    = "b7ad6b7169203331"
	sampled   = "00-" + traceID + "-" + spanID + "-01"
	unsampled = "00-" + traceID + "-" + spanID + "-00"
)

// carrying is a message with these headers, name and value in turn.
func carrying(offset int64, headers ...string) message.Message {
	m := message.Message{Topic: "orders", Partition: 4, Offset: offset}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, message.Header{Name: headers[i], Value: []byte(headers[i+1])})
	}
	return m
}

// subscribe returns a subscription of an API whose endpoint, registered as one of Kafka, has these messages each time it
// is asked. The stream's own span is stream.
func subscribe(t *testing.T, tracer trace.Tracer, stream trace.SpanContext, messages ...message.Message) connectors.Subscription {
	t.Helper()
	var sub connectors.Subscription
	sse := &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		var err error
		if sub, err = b.Subscribe(ctx, x, connectors.SubscribeOptions{}); err != nil {
			t.Error(err)
		}
	}}
	cfg := planetest.Config(nil, sse, &planetest.Endpoint{
		SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
			return &planetest.Subscription{PollFunc: func(int) ([]message.Message, error) { return messages, nil }}, nil
		}})
	cfg.Tracer = tracer
	cfg.Endpoints["kafka"] = cfg.Endpoints["mock"]
	def := planetest.API("/a/", "sse")
	def.EndpointGroups[0].Type, def.EndpointGroups[0].Endpoints[0].Type = "kafka", "kafka"
	api, err := flow.New(cfg, flow.Deployment{ID: "a", Revision: 7, API: def})
	if err != nil {
		t.Fatal(err)
	}
	x := planetest.Exchange()
	x.Span = stream
	if got := api.Serve(x); got != flow.Served {
		t.Fatalf("outcome %v", got)
	}
	t.Cleanup(func() { sub.Close(context.Background()) })
	return sub
}

func recording() (*tracetest.SpanRecorder, trace.Tracer) {
	r := tracetest.NewSpanRecorder()
	return r, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)).Tracer("t")
}

// TestSubscription_SpanPerSampledMessage: which messages get a span, and whose child it is.
func TestSubscription_SpanPerSampledMessage(t *testing.T) {
	t.Parallel()
	const other = "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01"
	gap := carrying(8, "traceparent", sampled)
	gap.Kind = message.Gap
	for _, c := range []struct {
		name    string
		message message.Message
		parent  string // empty: no span
	}{
		{"sampled", carrying(1, "a", "b", "traceparent", sampled), spanID},
		{"last of several", carrying(1, "traceparent", sampled, "traceparent", other), "00000000000000aa"},
		{"not sampled", carrying(1, "traceparent", unsampled), ""},
		{"last of several is not sampled", carrying(1, "traceparent", sampled, "traceparent", unsampled), ""},
		{"malformed", carrying(1, "traceparent", sampled+"x"), ""},
		{"no value", carrying(1, "traceparent", ""), ""},
		{"other headers", carrying(1, "a", sampled), ""},
		{"no headers", carrying(1), ""},
		{"no data", gap, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			recorder, tracer := recording()
			if got, err := subscribe(t, tracer, trace.SpanContext{}, c.message).Poll(10); len(got) != 1 || err != nil {
				t.Fatalf("%d messages, %v", len(got), err)
			}
			parent := ""
			for _, s := range recorder.Ended() {
				parent += s.Parent().SpanID().String()
			}
			if parent != c.parent {
				t.Errorf("parents of spans %q, want %q", parent, c.parent)
			}
		})
	}
}

func TestSubscription_SpanDescribesTheDelivery(t *testing.T) {
	t.Parallel()
	recorder, tracer := recording()
	stream := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	sub := subscribe(t, tracer, stream, carrying(41, "traceparent", sampled, "tracestate", "vendor=1"), carrying(42, "traceparent", sampled))
	if _, err := sub.Poll(10); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 2 || len(recorder.Started()) != 2 {
		t.Fatalf("%d spans, want 2", len(spans))
	}
	s := spans[0]
	if s.Name() != "deliver orders" || s.SpanKind() != trace.SpanKindConsumer || s.SpanContext().TraceID().String() != traceID ||
		!s.Parent().IsRemote() || s.SpanContext().TraceState().String() != "vendor=1" {
		t.Errorf("%s %v in %v under %v", s.Name(), s.SpanKind(), s.SpanContext(), s.Parent())
	}
	if links := s.Links(); len(links) != 1 || !links[0].SpanContext.Equal(stream) {
		t.Errorf("links %v", links)
	}
	got := map[string]string{}
	for _, a := range s.Attributes() {
		got[string(a.Key)] = fmt.Sprint(a.Value.AsInterface())
	}
	want := map[string]string{"sluice.api": "a", "sluice.revision": "7", "sluice.entrypoint": "sse", "messaging.system": "kafka",
		"messaging.operation.name": "deliver", "messaging.operation.type": "process", "messaging.destination.name": "orders",
		"messaging.destination.partition.id": "4", "messaging.kafka.offset": "41"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// TestPoll_AllocatesNothingWithoutSpans: messages cost nothing where spans are off, and those that get none cost nothing
// where they are on.
func TestPoll_AllocatesNothingWithoutSpans(t *testing.T) {
	recorder, tracer := recording()
	for _, c := range []struct {
		name    string
		tracer  trace.Tracer
		message message.Message
	}{
		{"off", nil, carrying(1, "traceparent", sampled)},
		{"not sampled", tracer, carrying(1, "a", "b", "traceparent", unsampled, "tracestate", "vendor=1")},
		{"malformed", tracer, carrying(1, "traceparent", sampled+"x")},
		{"no context", tracer, carrying(1, "a", "b")},
	} {
		sub := subscribe(t, c.tracer, trace.SpanContext{}, c.message)
		if n := testing.AllocsPerRun(1000, func() { _, _ = sub.Poll(10) }); n != 0 {
			t.Errorf("%s: %v allocations per Poll", c.name, n)
		}
	}
	if n := len(recorder.Started()); n > 0 {
		t.Errorf("%d spans", n)
	}
}
