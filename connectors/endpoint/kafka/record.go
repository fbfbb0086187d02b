package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

// record is a franz-go record with its promise and its memory, used again and again.
type record struct {
	kgo.Record
	p       *producer
	out     outcome // nil once done
	size    int64   // bytes taken from the gate
	handed  int64   // when it was made, in Unix nanoseconds
	copied  bool    // under none: the bytes are ours, and the message is done already
	promise func(*kgo.Record, error)
	buf     []byte
	headers []kgo.RecordHeader
}

// maxKept bounds the memory that an idle record keeps, in bytes.
const maxKept = 64 << 10

// recordSize is what a message costs in the producer's buffer, in bytes: its own and franz-go's bookkeeping.
func recordSize(m *message.Message) int {
	const perRecord = 256 // sizeof(record) and sizeof(promisedRec), rounded up
	return perRecord + m.Size()
}

// fill describes m as a record for topic.
func (r *record) fill(x *exchange.Exchange, m *message.Message, topic string, own bool) {
	key, avro := recordKey(x, m)
	r.headers = r.headers[:0]
	traced := x.Span.IsValid()
	for i := range m.Headers {
		h := &m.Headers[i]
		if traced && tracecontext.IsHeader(h.Name) {
			continue // the exchange's context is this record's, whatever a client's header was spelled like
		}
		r.headers = append(r.headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	if avro {
		r.headers = append(r.headers, kgo.RecordHeader{Key: attributeAvroKey, Value: key})
	}
	r.buf = r.buf[:0]
	if traced {
		r.trace(x.Span)
	}
	value := m.Content
	if r.copied = own; own {
		key, value = r.copyAll(key, value)
	}
	now := time.Now()
	r.handed = now.UnixNano()
	r.Record = kgo.Record{Topic: topic, Key: key, Value: value, Headers: r.headers, Timestamp: now}
}

// trace adds the W3C trace context.
func (r *record) trace(span trace.SpanContext) {
	at := len(r.buf)
	r.buf = tracecontext.Append(r.buf, span)
	r.headers = append(r.headers, kgo.RecordHeader{Key: tracecontext.Parent, Value: r.buf[at:len(r.buf):len(r.buf)]})
	if span.TraceState().Len() > 0 {
		r.headers = append(r.headers, kgo.RecordHeader{Key: tracecontext.State, Value: []byte(span.TraceState().String())})
	}
}

// copyAll moves everything that the record points to into its own memory. Earlier parts of buf stay where they are: a
// grown buffer leaves them in the old block.
func (r *record) copyAll(key, value []byte) ([]byte, []byte) {
	key, value = r.own(key), r.own(value)
	for i := range r.headers {
		r.headers[i].Value = r.own(r.headers[i].Value)
	}
	return key, value
}

func (r *record) own(b []byte) []byte {
	if b == nil {
		return nil
	}
	if cap(r.buf)-len(r.buf) < len(b) {
		r.buf = make([]byte, 0, max(len(b), 2048))
	}
	at := len(r.buf)
	r.buf = append(r.buf, b...)
	return r.buf[at:len(r.buf):len(r.buf)]
}

// done is the promise: franz-go calls it once, from its one promise goroutine.
func (r *record) done(_ *kgo.Record, err error) {
	p, out, copied, topic, handed := r.p, r.out, r.copied, r.Record.Topic, r.handed
	if m, ok := out.(*message.Message); ok && err == nil && !copied { // one topic: the publisher may tell where it lies
		m.Topic, m.Partition, m.Offset = topic, r.Record.Partition, r.Record.Offset
	}
	r.recycle()
	p.pace.answered(p.client.Load())
	if err == nil {
		p.e.stats.published.Add(1)
		if !copied {
			out.Done(nil)
		}
		return
	}
	p.e.stats.publishFailed.Add(1)
	p.failed(topic, err)
	f := classify(topic, err, p.sent.since(handed))
	if copied { // nobody waits for it any more
		p.e.lost.Warn(p.e.log, "message lost under "+qos.None.String(), "topic", topic, "err", f)
		return
	}
	out.Done(f)
}

// recycle gives the record and its share of the gate back.
func (r *record) recycle() {
	p, size := r.p, r.size
	clear(r.headers)
	if cap(r.buf) > maxKept {
		r.buf = nil
	}
	*r = record{p: p, promise: r.promise, buf: r.buf[:0], headers: r.headers[:0]}
	p.pool.Put(r)
	p.e.gate.release(size)
}
