package kafka

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/message"
)

// still is a reader without a cluster, whose ring a test fills.
func still(t testing.TB, partitions int, limits connectors.Limits) *reader {
	e := endpoint(t, `{"bootstrapServers":"127.0.0.1:1","topics":["orders"]}`, limits)
	var places []place
	for p := range partitions {
		places = append(places, place{"orders", int32(p)})
	}
	f, _ := e.feeds.of(e.set.reading)
	r := &reader{f: f, kick: make(chan struct{}, 1), subs: map[*subscription]struct{}{}}
	lay := newLayout(f.topics, places)
	r.lay.Store(lay)
	r.ring.init(e, &f.reading, lay, make(vector, partitions))
	return r
}

// subscriber makes a subscription at the live end of a still reader.
func (r *reader) subscriber(resumes bool) *subscription {
	s := &subscription{r: r, wake: func() {}, slot: noSlot, resumes: resumes}
	r.enter(s)
	s.atLiveEnd()
	return s
}

// fill puts n records into the ring, over all partitions, as one fetch.
func (r *reader) fill(records []kgo.Record, n int) {
	for range n {
		i := r.ring.count % uint64(len(records))
		rec := &records[i]
		r.ring.add(int32(i), rec)
		rec.Offset++
	}
	r.ring.publish()
	r.ring.src.fire()
}

func recordsOf(partitions, size int) []kgo.Record {
	out := make([]kgo.Record, partitions)
	for i := range out {
		out[i] = kgo.Record{Topic: "orders", Partition: int32(i), Value: make([]byte, size)}
	}
	return out
}

func TestPoll_AllocatesNothing(t *testing.T) {
	r := still(t, 6, connectors.Limits{})
	records := recordsOf(6, 100)
	s := r.subscriber(true)
	r.fill(records, 5000)
	got := 0
	if n := testing.AllocsPerRun(1000, func() {
		view, _ := s.Poll(4)
		got += len(view)
	}); n != 0 {
		t.Errorf("%v allocations per Poll", n)
	}
	if got < 3900 {
		t.Errorf("got %d messages", got)
	}
	for view, _ := s.Poll(1000); len(view) > 0; view, _ = s.Poll(1000) {
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Poll(10) }); n != 0 {
		t.Errorf("%v allocations per empty Poll", n)
	}
}

func TestAppendCursor_AllocatesNothing(t *testing.T) {
	r := still(t, 6, connectors.Limits{})
	s := r.subscriber(true)
	r.fill(recordsOf(6, 10), 50)
	s.Poll(40)
	dst := s.AppendCursor(nil)
	if n := testing.AllocsPerRun(1000, func() { dst = s.AppendCursor(dst[:0]) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations per cursor", n)
	}
	if _, err := cursor.Parse(string(dst)); err != nil {
		t.Error(err)
	}
}

// TestRing_FewAllocationsPerMessage: the ring's own memory comes by the batch: messages, marks, ids.
func TestRing_FewAllocationsPerMessage(t *testing.T) {
	r := still(t, 6, connectors.Limits{})
	r.ring.withIDs()
	records := recordsOf(6, 100)
	if n := testing.AllocsPerRun(100, func() { r.fill(records, 1000) }); n > 1000*0.06 {
		t.Errorf("%v allocations per 1000 messages", n)
	}
}

func TestIDs_DoNotOutweighContentOnManyPartitions(t *testing.T) {
	const partitions = 500
	r := still(t, partitions, connectors.Limits{})
	s := r.subscriber(true)
	r.ring.withIDs()
	r.fill(recordsOf(partitions, 50), 2000)
	ids, content := 0, 0
	var last message.Message
	for view, _ := s.Poll(1000); len(view) > 0; view, _ = s.Poll(1000) {
		for _, m := range view {
			ids += len(m.ID)
			content += len(m.Content)
			last = m
		}
	}
	if ids > content*3/2 || ids == 0 {
		t.Errorf("%d bytes of ids for %d of content", ids, content)
	}
	if string(last.ID) != string(s.AppendCursor(nil)) {
		t.Error("the last message has no id, or not the place's")
	}
}

// TestPublish_AllocatesLittle: what franz-go needs for a record and its request, and nothing of ours.
func TestPublish_AllocatesLittle(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	b.mustPublish("warm")
	x := auto()
	x.SetAttribute("kafka.recordKey", []byte("key"))
	r := &record{p: &b.e.producer}
	m := message.Get()
	m.SetContent(make([]byte, 100))
	m.Headers = append(m.Headers, message.Header{Name: "h", Value: []byte("v")})
	for name, span := range map[string]trace.SpanContext{"without a trace": {},
		"of a trace": trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})} {
		x.Span = span
		if n := testing.AllocsPerRun(1000, func() {
			b.e.producer.topics(x, m)
			r.fill(x, m, "orders", true)
		}); n != 0 {
			t.Errorf("%v allocations to describe a record %s", n, name)
		}
	}
	m.Release()
}

// BenchmarkRing_FanOut gives every message of a full-speed topic to n subscribers; one operation is one delivery.
func BenchmarkRing_FanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 5000} {
		for _, burst := range []int{1, 100} {
			b.Run(fmt.Sprintf("subscribers=%d/burst=%d", n, burst), func(b *testing.B) {
				r := still(b, 6, connectors.Limits{})
				r.ring.withIDs()
				records := recordsOf(6, 1024)
				var woken atomic.Int64
				subs := make([]*subscription, n)
				for i := range subs {
					subs[i] = r.subscriber(true)
					subs[i].wake = func() { woken.Add(1) }
				}
				got := 0
				b.ReportAllocs()
				b.ResetTimer()
				for got < b.N {
					for _, s := range subs {
						for {
							view, err := s.Poll(1000)
							if err != nil {
								b.Fatal(err)
							}
							if got += len(view); len(view) == 0 {
								break
							}
						}
					}
					r.fill(records, burst)
				}
			})
		}
	}
}
