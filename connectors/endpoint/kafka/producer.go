package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// producer publishes. It has one franz-go client, made at the first publish: idempotent, acks=all, paced by pacer.
type producer struct {
	e     *Endpoint
	codec string    // of codecs
	pool  sync.Pool // *record

	client atomic.Pointer[kgo.Client] // nil before the first publish

	mu     sync.RWMutex // guards the following; publishers hold it for reading while they hand a record over
	closed bool

	purging sync.Map // topics being purged after they were recreated
	pace    pacer
	sent    writes
}

// writes is when a produce request last went out, in part or whole. A record that was handed over later than that cannot
// have been stored.
type writes struct{ last atomic.Int64 } // Unix nanoseconds

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (w *writes) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, bytes int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) && bytes > 0 {
		w.last.Store(time.Now().UnixNano())
	}
}

// since tells whether a record handed over at the given time may have gone out.
func (w *writes) since(handed int64) bool { return w.last.Load() >= handed }

func (p *producer) init(e *Endpoint, codec string) {
	p.e, p.codec = e, codec
	p.pool.New = func() any {
		r := &record{p: p}
		r.promise = r.done
		return r
	}
}

// connect makes the client. It does not dial: franz-go does when it has something to send.
func (p *producer) connect() (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cl := p.client.Load(); cl != nil || p.closed {
		return cl, nil
	}
	cl, err := kgo.NewClient(append(p.e.clientOptions("producer"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(longestLinger),
		kgo.ProducerBatchCompression(codecs[p.codec](), kgo.NoCompression()),
		kgo.MaxBufferedRecords(1<<31-1), // the gate bounds bytes, ours and franz-go's
		kgo.RecordDeliveryTimeout(p.e.limits.ProduceTimeout),
		kgo.ProduceRequestTimeout(p.e.limits.ProduceTimeout),
		// A request that a dying broker may have read would keep its records, and all that queue behind them, until the
		// broker is back, however long that takes: nobody would learn anything, and what clients have long given up would
		// be stored then. So they are given up, as unknown, and the epoch of the producer id is raised.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.WithHooks(&p.sent),
		kgo.UnknownTopicRetries(unknownTopicRetries),
		kgo.AllowAutoTopicCreation(), // whether a topic is made is the broker's decision, as with the Java client
	)...)
	if err != nil {
		return nil, err
	}
	p.client.Store(cl)
	return cl, nil
}

// unknownTopicRetries is how often a missing topic is asked for before its records are given up, metadataMinAge apart:
// long enough for a broker to create it, short enough for a client to wait.
const unknownTopicRetries = 6

// publish implements connectors.Publisher.
func (p *producer) publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if !p.e.set.produce {
		m.Done(&message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid + ": the producer is disabled"})
		return
	}
	topics := p.topics(x, m)
	switch len(topics) {
	case 0:
		m.Done(&message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid + ": there is no topic to publish to (producer.topics)"})
	case 1:
		p.send(ctx, x, m, topics[0], m)
	default:
		all := &fanOut{m: m}
		all.left.Store(int32(len(topics)))
		for _, topic := range topics {
			p.send(ctx, x, m, topic, all)
		}
	}
}

// outcome is who learns of one record's fate: the message itself, or the fanOut that joins several.
type outcome interface{ Done(err error) }

// send produces one record. Under none the record's bytes are copied and the message is done once they are buffered;
// under the other levels they are the message's own, and the broker's answer makes it done.
func (p *producer) send(ctx context.Context, x *exchange.Exchange, m *message.Message, topic string, out outcome) {
	size := int64(recordSize(m))
	wait := x.QoS != qos.None
	if !p.e.gate.try(size) {
		var err error
		if wait {
			err = p.e.gate.wait(ctx, size)
		}
		if !wait || err != nil {
			p.e.stats.publishFailed.Add(1)
			out.Done(&message.Failure{Status: statusRetry, Key: message.KeyBufferFull, Err: err,
				Message: "not stored: too much is waiting for the broker"})
			return
		}
	}
	r := p.pool.Get().(*record)
	r.size, r.out = size, out
	r.fill(x, m, topic, !wait)
	if f := p.produce(r); f != nil {
		r.recycle()
		p.e.stats.publishFailed.Add(1)
		out.Done(f)
		return
	}
	if !wait {
		out.Done(nil)
	}
}

// produce hands r to the client. The read lock keeps close from flushing between the check and the hand-over.
func (p *producer) produce(r *record) *message.Failure {
	if p.client.Load() == nil {
		if _, err := p.connect(); err != nil {
			return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: textInvalid, Err: err}
		}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed, Err: supervise.ErrEnded}
	}
	cl := p.client.Load()
	//lint:ignore SA1012 nil is franz-go's "never cancelled"
	cl.Produce(nil, &r.Record, r.promise)
	p.pace.handed(cl)
	return nil
}

// failed looks after what a failure asks of the client: franz-go keeps failing a topic that was deleted and made again
// until it is told to forget the old one.
func (p *producer) failed(topic string, err error) {
	if !errors.Is(err, kerr.UnknownTopicID) {
		return
	}
	if _, busy := p.purging.LoadOrStore(topic, true); busy {
		return
	}
	purge := func(context.Context) {
		defer p.purging.Delete(topic)
		p.client.Load().PurgeTopicsFromProducing(topic)
	}
	// A promise must not block, and Run may be ending, which purges everything anyway.
	if !p.e.tasks.TryStart(purge) {
		p.purging.Delete(topic)
	}
}

// close flushes what was accepted, as long as ctx allows, and closes the client: what is left then fails as unknown.
func (p *producer) close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	cl := p.client.Load()
	if cl == nil {
		return
	}
	if err := cl.Flush(ctx); err != nil {
		p.e.log.Warn("flush ended early", "err", err, "records", cl.BufferedProduceRecords())
	}
	cl.Close()
}

// producers are those beside an endpoint's own: one per codec that attributes ask for.
type producers struct {
	mu      sync.Mutex // guards the following
	byCodec map[string]*producer
	ended   bool
}

// producerFor returns the producer of the codec that an attribute asks for: the message's, the exchange's, else the configured one.
func (e *Endpoint) producerFor(x *exchange.Exchange, m *message.Message) (*producer, *message.Failure) {
	v, ok := m.Attributes[attributeCompression]
	if !ok {
		v, ok = x.Attribute(attributeCompression)
	}
	if !ok || v == nil {
		return &e.producer, nil
	}
	codec := strings.ToLower(fmt.Sprint(v))
	if _, ok := codecs[codec]; !ok {
		return nil, badAttribute(attributeCompression, v, "is not one of none, gzip, snappy, lz4, zstd")
	}
	if codec == e.producer.codec {
		return &e.producer, nil
	}
	o := &e.others
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.byCodec[codec]
	if p == nil {
		p = &producer{closed: o.ended}
		p.init(e, codec)
		if o.byCodec == nil {
			o.byCodec = map[string]*producer{}
		}
		o.byCodec[codec] = p
	}
	return p, nil
}

// closeProducers closes all producers, side by side.
func (e *Endpoint) closeProducers(ctx context.Context) {
	all := []*producer{&e.producer}
	e.others.mu.Lock()
	e.others.ended = true
	for _, p := range e.others.byCodec {
		all = append(all, p)
	}
	e.others.mu.Unlock()
	var closing sync.WaitGroup
	for _, p := range all {
		closing.Go(func() { p.close(ctx) })
	}
	closing.Wait()
}

// fanOut joins the outcomes of one message's records: done once after all, with the first error.
type fanOut struct {
	m    *message.Message
	left atomic.Int32
	mu   sync.Mutex // guards the following
	err  error
}

// Done takes the outcome of one record.
func (f *fanOut) Done(err error) {
	if err != nil {
		f.mu.Lock()
		if f.err == nil {
			f.err = err
		}
		f.mu.Unlock()
	}
	if f.left.Add(-1) == 0 {
		f.m.Done(f.err)
	}
}
