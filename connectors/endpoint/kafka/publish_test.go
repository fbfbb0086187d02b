package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// records reads n records of topic as they are in the cluster.
func (b *bed) records(topic string, n int) []*kgo.Record {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%d of %d records in %s", len(out), n, topic)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func (b *bed) send(x *exchange.Exchange, m *message.Message) error {
	a := newAcks()
	m.SetAck(a)
	b.e.Publish(b.t.Context(), x, m)
	if errs := a.wait(b.t, 1); errs != nil {
		return errs[0]
	}
	return nil
}

func TestPublish_KeyPrecedence(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	type attrs = map[string]any
	cases := []struct {
		name    string
		message attrs
		context attrs
		id      string
		want    string
	}{
		{"none", nil, nil, "", ""},
		{"id", nil, nil, "id", "id"},
		{"context before id", nil, attrs{"kafka.recordKey": "c"}, "id", "c"},
		{"message before context", attrs{"gravitee.attribute.kafka.recordKey": "m"}, attrs{"kafka.recordKey": "c"}, "id", "m"},
		{"without prefix", attrs{"kafka.recordKey": 7}, nil, "", "7"},
		{"avro before all", attrs{"gravitee.attribute.kafka.avroKey": []byte{1}, "kafka.recordKey": "m"}, nil, "", "\x01"},
	}
	for _, tc := range cases {
		x, m := auto(), message.Get()
		for k, v := range tc.context {
			x.SetAttribute(k, v)
		}
		m.Attributes = tc.message
		if tc.id != "" {
			m.ID = []byte(tc.id)
		}
		if err := b.send(x, m); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range b.records("orders", len(cases)) {
		if string(r.Key) != cases[i].want || r.Value != nil {
			t.Errorf("%s: key %q", cases[i].name, r.Key)
		}
	}
}

func TestPublish_TopicsByAttribute(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders", "a", "b", "c"), oneTopic, connectors.Limits{})
	for _, v := range []any{"a, b", `["a","b"]`, []string{"a", "b", "a"}, []any{"b", "a"}} {
		m := message.Get()
		m.Attributes = map[string]any{"gravitee.attribute.kafka.topics": v}
		if err := b.send(auto(), m); err != nil {
			t.Fatal(err)
		}
	}
	m := message.Get()
	m.Attributes = map[string]any{"gravitee.attributes.endpoint.kafka.producer.topics": "c", "kafka.topics": "a"}
	x := auto()
	x.SetAttribute("gravitee.attribute.kafka.topics", "b")
	if err := b.send(x, m); err != nil {
		t.Fatal(err)
	}
	b.records("a", 4)
	b.records("c", 1)
	if n := len(b.records("b", 4)); n != 4 {
		t.Fatalf("%d records in b", n)
	}
}

func TestPublish_SeveralTopicsOneOutcome(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	m := message.Get()
	m.Attributes = map[string]any{"kafka.topics": "orders,absent"}
	f := failureOf(t, b.send(auto(), m))
	if f.Key != message.KeyConfigurationInvalid || !strings.Contains(f.Message, "absent") {
		t.Fatalf("%+v", f)
	}
	b.records("orders", 1)
}

func TestPublish_HeadersAndTrace(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	for _, level := range []qos.Level{qos.None, qos.Auto} {
		x := &exchange.Exchange{QoS: level, Span: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})}
		m := message.Get()
		m.Headers = []message.Header{{Name: "Traceparent", Value: []byte("old")}, {Name: "h", Value: []byte("v")}}
		m.SetContent([]byte("body"))
		if err := b.send(x, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range b.records("orders", 2) {
		want := "00-01000000000000000000000000000000-0200000000000000-01"
		if len(r.Headers) != 2 || r.Headers[0].Key != "h" || string(r.Headers[0].Value) != "v" ||
			r.Headers[1].Key != "traceparent" || string(r.Headers[1].Value) != want || string(r.Value) != "body" {
			t.Fatalf("%+v", r)
		}
	}
}

func TestPublish_Failures(t *testing.T) {
	c := cluster(t, 1, "orders")
	for _, tc := range []struct {
		name, cfg string
		size      int
		status    int
		key, text string
	}{
		{"no topic", `{"bootstrapServers":"$B"}`, 1, 500, message.KeyConfigurationInvalid, "no topic"},
		{"disabled", `{"bootstrapServers":"$B","topics":["orders"],"producer":{"enabled":false}}`, 1, 500, message.KeyConfigurationInvalid, "disabled"},
		{"missing topic", `{"bootstrapServers":"$B","topics":["absent"]}`, 1, 500, message.KeyConfigurationInvalid, "absent"},
		{"too large", `{"bootstrapServers":"$B","topics":["orders"]}`, 2 << 20, 413, message.KeyPublishFailed, "orders"},
		{"no broker", `{"bootstrapServers":"127.0.0.1:1","topics":["orders"]}`, 1, 503, message.KeyConnectionFailed, "not stored"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c, tc.cfg, connectors.Limits{ProduceTimeout: 3 * time.Second})
			m := message.Get()
			m.SetContent(make([]byte, tc.size))
			begun := time.Now()
			f := failureOf(t, b.send(auto(), m))
			if f.Status != tc.status || f.Key != tc.key || !strings.Contains(f.Message, tc.text) || f.Unknown {
				t.Fatalf("%d %v", f.Status, f)
			}
			if took := time.Since(begun); took > 6*time.Second {
				t.Fatalf("took %v", took)
			}
		})
	}
}

// stalled makes a cluster answer no produce request until release.
func stalled(t *testing.T, c *kfake.Cluster) (release func()) {
	hold := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	done := false
	release = func() {
		if !done {
			done = true
			close(hold)
		}
	}
	t.Cleanup(release)
	return release
}

func TestPublish_FullBuffer(t *testing.T) {
	c := cluster(t, 1, "orders")
	b := newBed(t, c, oneTopic, connectors.Limits{ProducerBuffer: 4 << 10})
	release := stalled(t, c)
	first := b.publish(auto(), strings.Repeat("x", 3<<10))
	f := failureOf(t, b.publish(none(), strings.Repeat("y", 2<<10)).wait(t, 1)[0])
	if f.Status != 503 || f.Key != message.KeyBufferFull || f.Unknown {
		t.Fatalf("under none: %+v", f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	late := newAcks()
	m := message.Get()
	m.SetContent(make([]byte, 2<<10))
	m.SetAck(late)
	b.e.Publish(ctx, auto(), m) // waits for room, until ctx ends
	if f := failureOf(t, late.wait(t, 1)[0]); f.Key != message.KeyBufferFull {
		t.Fatalf("under auto: %+v", f)
	}
	waiting := make(chan *acks)
	go func() { waiting <- b.publish(auto(), strings.Repeat("z", 2<<10)) }()
	release()
	if errs := (<-waiting).wait(t, 1); errs != nil {
		t.Fatal(errs)
	}
	if errs := first.wait(t, 1); errs != nil {
		t.Fatal(errs)
	}
}

func TestPublish_NoneIsDoneWhenBuffered(t *testing.T) {
	c := cluster(t, 1, "orders")
	b := newBed(t, c, oneTopic, connectors.Limits{})
	release := stalled(t, c)
	if errs := b.publish(none(), "a", "b").wait(t, 2); errs != nil {
		t.Fatal(errs)
	}
	release()
	b.stop() // flushes what was accepted
	if got := b.records("orders", 2); string(got[0].Value) != "a" {
		t.Fatalf("got %s", got[0].Value)
	}
	if f := failureOf(t, b.send(auto(), message.Get())); f.Key != message.KeyConnectionClosed {
		t.Fatalf("after the end: %+v", f)
	}
}

func TestPublish_DrainEndsInTime(t *testing.T) {
	c := cluster(t, 1, "orders")
	b := newBed(t, c, oneTopic, connectors.Limits{Drain: 100 * time.Millisecond})
	b.mustPublish("warm")
	release := stalled(t, c)
	defer release()
	a := b.publish(auto(), "stuck")
	b.stop()
	f := failureOf(t, a.wait(t, 1)[0])
	if f.Status != 504 || f.Key != message.KeyOutcomeUnknown || !f.Unknown {
		t.Fatalf("%+v", f)
	}
}

func TestHeaders_SameMemory(t *testing.T) {
	var theirs kgo.RecordHeader
	var ours message.Header
	if unsafe.Sizeof(theirs) != unsafe.Sizeof(ours) || unsafe.Offsetof(theirs.Key) != unsafe.Offsetof(ours.Name) ||
		unsafe.Offsetof(theirs.Value) != unsafe.Offsetof(ours.Value) {
		t.Fatal("kgo.RecordHeader and message.Header differ in memory")
	}
	got := headers([]kgo.RecordHeader{{Key: "k", Value: []byte("v")}})
	if got[0].Name != "k" || string(got[0].Value) != "v" || headers(nil) != nil {
		t.Fatalf("%+v", got)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   any
		want string
	}{
		{"a", "a"}, {" a , b ", "a|b"}, {`["a", 1]`, "a|1"}, {"[a", "[a"}, {[]string{"x"}, "x"}, {[]any{1, "y"}, "1|y"}, {5, "5"}, {nil, ""},
	} {
		if got := strings.Join(list(tc.in), "|"); got != tc.want {
			t.Errorf("%v: %s", tc.in, got)
		}
	}
}

func TestGate_ServesWaitersInOrderAndForgetsTheImpatient(t *testing.T) {
	t.Parallel()
	g := gate{limit: 10}
	if !g.try(25) || g.try(1) {
		t.Fatal("one record larger than all must pass, and only it")
	}
	got := make(chan int)
	enter := func(i int, ctx context.Context) {
		before := g.queued.Load()
		go func() {
			if g.wait(ctx, 6) == nil {
				got <- i
			}
		}()
		for g.queued.Load() == before { // until it waits
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	enter(0, ctx)
	enter(1, t.Context())
	enter(2, t.Context())
	cancel()
	for g.queued.Load() != 2 {
	}
	g.release(25)
	if i := <-got; i != 1 {
		t.Fatalf("%d came first", i)
	}
	g.release(6)
	if i := <-got; i != 2 {
		t.Fatalf("%d came second", i)
	}
	if g.release(6); g.used.Load() != 0 {
		t.Fatalf("%d used", g.used.Load())
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	timeout := fmt.Errorf("%w, last err: %w", kgo.ErrRecordTimeout, kerr.NotLeaderForPartition)
	for _, tc := range []struct {
		name    string
		err     error
		sent    bool
		status  int
		unknown bool
	}{
		{"closed before it was sent", kgo.ErrClientClosed, false, 503, false},
		{"closed in flight", kgo.ErrClientClosed, true, 504, true},
		{"timed out before it was sent", timeout, false, 503, false},
		{"timed out in flight", timeout, true, 504, true},
		{"on the leader only", kerr.NotEnoughReplicasAfterAppend, true, 504, true},
		{"too few replicas at the last try", kerr.NotEnoughReplicas, true, 504, true},
		{"no such topic", kerr.UnknownTopicOrPartition, true, 500, false},
		{"not allowed", kerr.TopicAuthorizationFailed, true, 500, false},
		{"too large", kerr.MessageTooLarge, true, 413, false},
		{"refused by the topic's rules", kerr.InvalidRecord, true, 500, false},
		{"connection refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, 503, false},
		{"never seen before", errors.New("?"), true, 504, true},
	} {
		if f := classify("t", tc.err, tc.sent); f.Status != tc.status || f.Unknown != tc.unknown {
			t.Errorf("%s: %d, unknown %t", tc.name, f.Status, f.Unknown)
		}
	}
}
