//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// The context of a client, as the standard's own example has it.
const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
	clientState  = "vendor=1,other=2"
)

// TestTrace_FromClientThroughKafkaToDelivery: what a client posts, the record that it becomes and its delivery to a stream
// are one trace.
func TestTrace_FromClientThroughKafkaToDelivery(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kafka, c := sharedKafka(t), startCollector(t)
	dev := startDev(t, "--no-samples", "--otlp-endpoint", "http://"+c.addr)
	topic := kafka.Topic(t, 1)
	id := deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("http-post", "AUTO", nil), entrypoint("sse", "AUTO", nil)))

	stream := openSSE(ctx, t, dev.Gateway+"/"+topic)
	accepted(ctx, t, dev.Gateway+"/"+topic, "not sampled", "traceparent", strings.TrimSuffix(clientParent, "01")+"00")
	accepted(ctx, t, dev.Gateway+"/"+topic, "hello", "traceparent", clientParent, "tracestate", clientState)
	for _, want := range []string{"not sampled", "hello"} {
		if e, err := stream.nextMessage(); err != nil || e.data != want {
			t.Fatalf("stream gave %+v, %v; want %q", e, err, want)
		}
	}

	record := readAll(t, kafka, topic, 2)[1]
	parent := header(record, "traceparent")
	parts := strings.Split(parent, "-")
	if len(parts) != 4 || parts[1] != clientTrace || parts[2] == clientSpan || parts[3] != "01" || header(record, "tracestate") != clientState {
		t.Fatalf("the record has %q %q; want a span of ours in trace %s", parent, header(record, "tracestate"), clientTrace)
	}

	server := c.await(ctx, t, func(s *spans.Span) bool { return s.Kind == spans.Span_SPAN_KIND_SERVER && traceOf(s) == clientTrace })
	if hex.EncodeToString(server.ParentSpanId) != clientSpan || hex.EncodeToString(server.SpanId) != parts[2] {
		t.Errorf("the server's span is %x under %x; want %s under %s", server.SpanId, server.ParentSpanId, parts[2], clientSpan)
	}
	opening := c.await(ctx, t, func(s *spans.Span) bool { return s.Name == "GET /"+topic+"/" })
	delivery := c.await(ctx, t, func(s *spans.Span) bool { return s.Kind == spans.Span_SPAN_KIND_CONSUMER })
	if delivery.Name != "deliver "+topic || traceOf(delivery) != clientTrace || hex.EncodeToString(delivery.ParentSpanId) != parts[2] ||
		delivery.TraceState != clientState {
		t.Errorf("the delivery's span is %q in %s under %x; want trace %s, parent %s", delivery.Name, traceOf(delivery),
			delivery.ParentSpanId, clientTrace, parts[2])
	}
	if len(delivery.Links) != 1 || string(delivery.Links[0].SpanId) != string(opening.SpanId) {
		t.Errorf("the delivery links to %v; want the stream's span %x", delivery.Links, opening.SpanId)
	}
	for name, want := range map[string]string{"sluice.api": id, "sluice.entrypoint": "sse", "messaging.system": "kafka",
		"messaging.destination.name": topic, "messaging.destination.partition.id": "0", "messaging.kafka.offset": "1"} {
		if got := attribute(delivery, name); got != want {
			t.Errorf("the delivery's %s is %q, want %q", name, got, want)
		}
	}
	if n := c.count(func(s *spans.Span) bool { return s.Kind == spans.Span_SPAN_KIND_CONSUMER }); n != 1 {
		t.Errorf("%d deliveries have a span, want the sampled one", n)
	}
}

// TestTrace_PassesThroughWithoutACollector: a worker that makes no spans of its own hands the client's context on.
func TestTrace_PassesThroughWithoutACollector(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kafka, dev := sharedKafka(t), sharedDev(t)
	for _, copied := range []bool{false, true} { // whether the API copies all request headers into the record besides
		topic := kafka.Topic(t, 1)
		deploy(t, dev, apiOf(t, fmt.Sprint(t.Name(), copied), "/"+topic, kafka.Addr(), topic,
			entrypoint("http-post", "AUTO", object{"requestHeadersToMessage": copied})))
		accepted(ctx, t, dev.Gateway+"/"+topic, "traced", "traceparent", clientParent, "tracestate", clientState)
		accepted(ctx, t, dev.Gateway+"/"+topic, "malformed", "traceparent", clientParent+"-x")
		accepted(ctx, t, dev.Gateway+"/"+topic, "untraced")
		records := readAll(t, kafka, topic, 3)
		for i, want := range []string{clientParent + " " + clientState, " ", " "} {
			r := records[i]
			if got := header(r, "traceparent") + " " + header(r, "tracestate"); got != want {
				t.Errorf("headers copied %v: record %q has %q, want %q", copied, r.Value, got, want)
			}
		}
	}
}

func accepted(ctx context.Context, t *testing.T, url, body string, headers ...string) {
	t.Helper()
	if status, answer, err := post(ctx, url, body, headers...); err != nil || status != http.StatusAccepted {
		t.Fatalf("POST answered %d %q, %v; want 202", status, answer, err)
	}
}

// header returns a record's header by its exact name; where it has several, all of them.
func header(r *kgo.Record, name string) string {
	var all []string
	for _, h := range r.Headers {
		if h.Key == name {
			all = append(all, string(h.Value))
		}
	}
	return strings.Join(all, " and ")
}

// spanCollector takes spans over OTLP/gRPC.
type spanCollector struct {
	collector.UnimplementedTraceServiceServer
	addr string

	mu sync.Mutex
	// guards the following
	got  []*spans.Span
	more chan struct{} // closed when something came
}

// startCollector runs a collector until the test's end.
func startCollector(t *testing.T) *spanCollector {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &spanCollector{addr: ln.Addr().String(), more: make(chan struct{})}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export implements the collector's one method.
func (c *spanCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.got = append(c.got, scope.Spans...)
		}
	}
	close(c.more)
	c.more = make(chan struct{})
	return &collector.ExportTraceServiceResponse{}, nil
}

// await returns the first span that matches, once it has come.
func (c *spanCollector) await(ctx context.Context, t *testing.T, match func(*spans.Span) bool) *spans.Span {
	t.Helper()
	for {
		c.mu.Lock()
		got, more := c.got, c.more
		c.mu.Unlock()
		for _, s := range got {
			if match(s) {
				return s
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("the span did not come; there are %v", got)
		}
	}
}

func (c *spanCollector) count(match func(*spans.Span) bool) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.got {
		if match(s) {
			n++
		}
	}
	return n
}

func traceOf(s *spans.Span) string { return hex.EncodeToString(s.TraceId) }

// attribute returns a text or a number as text; empty where there is none.
func attribute(s *spans.Span, name string) string {
	for _, a := range s.Attributes {
		if a.Key != name {
			continue
		}
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			return v.StringValue
		case *common.AnyValue_IntValue:
			return fmt.Sprint(v.IntValue)
		}
	}
	return ""
}
