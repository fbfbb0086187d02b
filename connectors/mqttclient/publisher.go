package mqttclient

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// publisher sends messages over one connection, in the order in which they came (sender.go). What a broken connection
// leaves unanswered is sent again over the next one, until ProduceTimeout: auto allows that a message arrives twice.
type publisher struct {
	e     *Endpoint
	room  *semaphore.Weighted // bytes of messages not yet acknowledged
	limit int64
	pool  sync.Pool     // *pending
	wake  chan struct{} // there may be something to send

	startMu sync.Mutex
	started atomic.Bool

	mu      sync.Mutex // guards the following
	queue   fifo       // not on the connection
	flight  fifo       // on the connection, in the order of sending
	slots   map[uint16]*pending
	lastID  uint16
	link    *link // nil: none
	lastErr error // why there is none
	closing bool
	empty   chan struct{} // closed once closing and nothing is left; nil: nobody waits
}

func (p *publisher) init(e *Endpoint) {
	p.e = e
	p.limit = int64(e.limits.ProducerBuffer)
	p.room = semaphore.NewWeighted(p.limit)
	p.pool.New = func() any { return new(pending) }
	p.wake = make(chan struct{}, 1)
	p.slots = map[uint16]*pending{}
}

// perPending is what a message costs beside its own bytes, rounded up.
const perPending = 256

// publish implements connectors.Publisher.
func (p *publisher) publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if f := p.accept(ctx, x, m); f != nil {
		p.e.stats.publishFailed.Add(1)
		m.Done(f)
	}
}

// accept takes m, or says why not. Under none m is done once its bytes are copied.
func (p *publisher) accept(ctx context.Context, x *exchange.Exchange, m *message.Message) *message.Failure {
	if !p.e.set.produce {
		return misconfigured("the producer is disabled")
	}
	topic, o := p.address(x, m)
	if topic == "" {
		return misconfigured("there is no topic to publish to (producer.topic)")
	}
	if problem := topicProblem(topic); problem != "" {
		return misconfigured(fmt.Sprintf("%q %s", topic, problem))
	}
	if o.responseTopic != "" {
		if problem := topicProblem(o.responseTopic); problem != "" {
			return misconfigured(fmt.Sprintf("response topic %q %s", o.responseTopic, problem))
		}
	}
	size := min(int64(m.Size()+perPending), p.limit)
	if !p.room.TryAcquire(size) {
		var err error
		if x.QoS != qos.None {
			err = p.room.Acquire(ctx, size)
		}
		if x.QoS == qos.None || err != nil {
			return &message.Failure{Status: statusRetry, Key: message.KeyBufferFull, Err: err,
				Message: "not stored: too much is waiting for the broker"}
		}
	}
	p.e.stats.buffered.Add(size)
	return p.encode(ctx, x, m, o, size)
}

func (p *publisher) encode(ctx context.Context, x *exchange.Exchange, m *message.Message, o outgoing, size int64) *message.Failure {
	n := p.pool.Get().(*pending)
	var err error
	n.body, n.props, err = o.appendBody(n.body[:0], p.e.version)
	n.topic, n.qos, n.retain, n.size = o.topic, o.qos, o.retain, size
	n.deadline = time.Now().Add(p.e.limits.ProduceTimeout)
	if x.QoS != qos.None {
		n.m = m
	}
	if err == nil {
		err = p.start(ctx)
	}
	if err == nil && !p.enqueue(n) {
		err = supervise.ErrEnded
	}
	if err != nil {
		p.free(n)
		return classify(o.topic, err, false)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	if x.QoS == qos.None {
		m.Done(nil)
	}
	return nil
}

func (p *publisher) enqueue(n *pending) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.queue.push(n)
	return true
}

// start has the sender started by the first who publishes.
func (p *publisher) start(ctx context.Context) error {
	if p.started.Load() {
		return nil
	}
	p.startMu.Lock()
	defer p.startMu.Unlock()
	if p.started.Load() {
		return nil
	}
	if err := p.e.tasks.Start(ctx, p.run); err != nil {
		return err
	}
	p.started.Store(true)
	return nil
}

// free gives n and its share of the buffer back. Nobody may hold n in a list.
func (p *publisher) free(n *pending) {
	p.e.stats.buffered.Add(-n.size)
	p.room.Release(n.size)
	n.reset()
	p.pool.Put(n)
}

// end takes n out of its list and appends what became of it. The caller holds mu, and calls tell without it.
func (p *publisher) end(n *pending, err error, out []outcome) []outcome {
	if n.in != nil {
		n.in.remove(n)
	}
	if n.id != 0 && p.slots[n.id] == n {
		delete(p.slots, n.id)
	}
	out = append(out, outcome{m: n.m, topic: n.topic, err: err, written: n.written})
	p.free(n)
	if p.empty != nil && p.queue.empty() && p.flight.empty() {
		close(p.empty)
		p.empty = nil
	}
	return out
}

// tell tells publishers what became of their messages.
func (p *publisher) tell(out []outcome) {
	for i, o := range out {
		out[i] = outcome{}
		if o.err == nil {
			p.e.stats.published.Add(1)
			if o.m != nil {
				o.m.Done(nil)
			}
			continue
		}
		p.e.stats.publishFailed.Add(1)
		f := classify(o.topic, o.err, o.written)
		if o.m == nil { // nobody waits for it any more
			p.e.lost.Warn(p.e.log, "message lost under "+qos.None.String(), "topic", o.topic, "err", f)
			continue
		}
		o.m.Done(f)
	}
}

// drain takes no more messages and waits, as long as ctx allows, until those that were taken are answered.
func (p *publisher) drain(ctx context.Context) {
	p.mu.Lock()
	p.closing = true
	var empty chan struct{}
	if !p.queue.empty() || !p.flight.empty() {
		empty = make(chan struct{})
		p.empty = empty
	}
	p.mu.Unlock()
	if empty == nil {
		return
	}
	select {
	case <-empty:
	case <-ctx.Done():
		p.e.log.Warn("messages are left unsent", "endpoint", p.e.addr)
	}
}
