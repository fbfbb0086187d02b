// Package fake stands in for what surrounds an entrypoint: a Backend whose behaviour is a function field or a script, and
// a fasthttp server on loopback. Tests import it. Server owns its goroutines and waits for them in Close.
package fake

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Backend is a connectors.Backend. A nil field accepts everything: a publish is acknowledged at once, a subscription
// stays silent.
type Backend struct {
	OnPublish   func(ctx context.Context, x *exchange.Exchange, m *message.Message)
	OnSubscribe func(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error)
	// OnDeadLetter takes dead letters; nil: they are acknowledged.
	OnDeadLetter func(ctx context.Context, x *exchange.Exchange, m *message.Message)
}

// DeadLetter implements connectors.Backend.
func (b *Backend) DeadLetter(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if b.OnDeadLetter == nil {
		m.Done(nil)
		return
	}
	b.OnDeadLetter(ctx, x, m)
}

// Publish implements connectors.Backend.
func (b *Backend) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if b.OnPublish == nil {
		m.Done(nil)
		return
	}
	b.OnPublish(ctx, x, m)
}

// Subscribe implements connectors.Backend.
func (b *Backend) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	if b.OnSubscribe == nil {
		s := NewSubscription()
		s.Open(o)
		return s, nil
	}
	return b.OnSubscribe(ctx, x, o)
}

// Subscription is a scripted connectors.Subscription: what Push got comes out of Poll in order.
type Subscription struct {
	// Cursor is what AppendCursor appends after the last message polled that had an id; nil: the message's id, or what the client asked for.
	Cursor func(last *message.Message) string
	// Opened is closed when somebody subscribes, Closed when the subscription is closed.
	Opened, Closed chan struct{}

	mu sync.Mutex
	// guards the following
	options      connectors.SubscribeOptions
	queue        []message.Message
	err          error
	last         *message.Message
	acknowledged []int64
	delivered    *message.Message
	moved        chan struct{} // closed at the next report of a delivery; nil while nobody waits
	polls        int
	closed       bool
	opened       bool
}

// NewSubscription returns a subscription with nothing to give yet.
func NewSubscription() *Subscription {
	return &Subscription{Opened: make(chan struct{}), Closed: make(chan struct{})}
}

// Backend returns a backend whose one subscriber gets s.
func (s *Subscription) Backend() *Backend {
	return &Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		s.Open(o)
		return s, nil
	}}
}

// Open notes the options and closes Opened.
func (s *Subscription) Open(o connectors.SubscribeOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options = o
	if !s.opened {
		s.opened = true
		close(s.Opened)
	}
}

// Options returns what the subscriber asked for.
func (s *Subscription) Options() connectors.SubscribeOptions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options
}

// Push adds messages to the script and wakes the subscriber.
func (s *Subscription) Push(msgs ...message.Message) {
	s.mu.Lock()
	s.queue = append(s.queue, msgs...)
	wake := s.options.Wake
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// End makes Poll return err once the script is done.
func (s *Subscription) End(err error) {
	s.mu.Lock()
	s.err = err
	wake := s.options.Wake
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// Poll implements connectors.Subscription.
func (s *Subscription) Poll(limit int) ([]message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	n := 0
	for n < len(s.queue) && n < limit && (s.queue[n].Kind == message.Data || n == 0) {
		n++
		if s.queue[n-1].Kind != message.Data {
			break
		}
	}
	if n == 0 {
		return nil, s.err
	}
	out := s.queue[:n:n]
	s.queue = s.queue[n:]
	if m := &out[n-1]; m.ID != nil || s.last == nil {
		s.last = m
	}
	return out, nil
}

// DeliveredThrough implements connectors.Subscription.
func (s *Subscription) DeliveredThrough(m *message.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := *m // it may be valid for this call alone
	s.delivered = &copied
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// Acknowledge implements connectors.Subscription.
func (s *Subscription) Acknowledge(m *message.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acknowledged = append(s.acknowledged, m.Offset)
}

// Acknowledged returns the offsets that were acknowledged one by one, in that order.
func (s *Subscription) Acknowledged() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.acknowledged...)
}

// Delivered returns the offset of the last message reported as delivered; -1: none.
func (s *Subscription) Delivered() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivered == nil {
		return -1
	}
	return s.delivered.Offset
}

// AwaitDelivered waits until everything through an offset was reported as delivered.
func (s *Subscription) AwaitDelivered(t testing.TB, offset int64) {
	t.Helper()
	for {
		s.mu.Lock()
		if s.delivered != nil && s.delivered.Offset >= offset {
			s.mu.Unlock()
			return
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		Within(t, fmt.Sprintf("delivery through %d", offset), moved)
	}
}

// Waiting returns how many messages are still in the script.
func (s *Subscription) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// AppendCursor implements connectors.Subscription.
func (s *Subscription) AppendCursor(dst []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.Cursor != nil:
		return append(dst, s.Cursor(s.last)...)
	case s.last != nil && s.last.ID != nil:
		return append(dst, s.last.ID...)
	}
	return append(dst, s.options.Cursor...)
}

// Close implements connectors.Subscription.
func (s *Subscription) Close(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.Closed)
	}
}
