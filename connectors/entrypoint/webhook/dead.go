package webhook

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Headers that a dead letter has beside its own: why it is one, and where it came from.
const (
	deadReason       = "sluice-dlq-reason"
	deadStatus       = "sluice-dlq-status" // of the last answer; absent: there was none
	deadSubscription = "sluice-dlq-subscription"
	deadTopic        = "sluice-dlq-topic"
	deadPartition    = "sluice-dlq-partition"
	deadOffset       = "sluice-dlq-offset"
)

// maxReason bounds the reason in a header, in bytes.
const maxReason = 512

// morgue sends dead letters. Its exchange is its own: that of the subscription belongs to whoever polls.
type morgue struct {
	backend connectors.Backend
	id      string     // of the subscription
	mu      sync.Mutex // serialises the use of x
	x       *exchange.Exchange
}

func newMorgue(b connectors.Backend, x *exchange.Exchange, id string) *morgue {
	return &morgue{backend: b, id: id, x: &exchange.Exchange{API: x.API, Entrypoint: x.Entrypoint, QoS: x.QoS, RequestID: x.RequestID,
		TransactionID: x.TransactionID, ClientIdentifier: x.ClientIdentifier, ClientSupplied: x.ClientSupplied,
		ContextPath: x.ContextPath, PathInfo: x.PathInfo, Plan: x.Plan, Application: x.Application, Subscription: x.Subscription,
		RemoteAddr: x.RemoteAddr, Span: x.Span}}
}

// bury sends what a lane has taken, and waits until the endpoint has all of it.
func (g *morgue) bury(ctx context.Context, l *lane, s *result) error {
	w := &burial{done: make(chan struct{})}
	w.left.Store(int32(l.taken))
	g.mu.Lock()
	for it := range l.load {
		m := g.letter(it.m, s)
		m.SetAck(w)
		g.backend.DeadLetter(ctx, g.x, m)
	}
	g.mu.Unlock()
	select {
	case <-w.done:
		if err := w.err.Load(); err != nil {
			return *err
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// letter is a copy of a message with why it could not be delivered.
func (g *morgue) letter(m *message.Message, s *result) *message.Message {
	d := message.Get()
	d.Timestamp = m.Timestamp
	if m.Content != nil {
		d.SetContent(m.Content)
	}
	if m.Key != nil {
		d.Key = d.Copy(m.Key)
	}
	for i := range m.Headers {
		d.Headers = append(d.Headers, message.Header{Name: m.Headers[i].Name, Value: d.Copy(m.Headers[i].Value)})
	}
	add := func(name, value string) {
		d.Headers = append(d.Headers, message.Header{Name: name, Value: []byte(value)})
	}
	add(deadReason, s.text[:min(len(s.text), maxReason)])
	if s.status != 0 {
		add(deadStatus, strconv.Itoa(s.status))
	}
	add(deadSubscription, g.id)
	if m.Topic != "" {
		add(deadTopic, m.Topic)
		add(deadPartition, strconv.Itoa(int(m.Partition)))
		add(deadOffset, strconv.FormatInt(m.Offset, 10))
	}
	return d
}

// burial waits for dead letters.
type burial struct {
	left atomic.Int32
	err  atomic.Pointer[error]
	done chan struct{}
}

// Acked implements message.Ack.
func (w *burial) Acked(m *message.Message, err error) {
	if err != nil {
		w.err.CompareAndSwap(nil, &err)
	}
	m.Release()
	if w.left.Add(-1) == 0 {
		close(w.done)
	}
}
