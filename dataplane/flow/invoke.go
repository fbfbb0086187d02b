package flow

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// invoke publishes m through the invokers of its exchange, and tells its publisher. A panic in one is a failure of this
// message alone.
func (b *backend) invoke(ctx context.Context, x *exchange.Exchange, r *run, m *message.Message) {
	m.Done(b.invoked(ctx, x, r, m))
}

func (b *backend) invoked(ctx context.Context, x *exchange.Exchange, r *run, m *message.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.guide.panics(p, debug.Stack())
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return (&invocation{b, x, r, r.context.Invokers()}).Publish(ctx, m)
}

// invocation is the invokers that are left before the endpoint. It implements policies.Next.
type invocation struct {
	backend  *backend
	exchange *exchange.Exchange
	run      *run
	left     []policies.Invoker
}

// Publish implements policies.Next.
func (i *invocation) Publish(ctx context.Context, m *message.Message) error {
	if last := len(i.left) - 1; last >= 0 {
		return i.left[last].Invoke(ctx, &i.run.context, m, &invocation{i.backend, i.exchange, i.run, i.left[:last]})
	}
	r, refusal := i.backend.routeOf(i.exchange)
	if refusal != nil {
		return refusal
	}
	return i.send(ctx, r.pool.forPublish(i.exchange), m)
}

// Elsewhere implements policies.Next.
func (i *invocation) Elsewhere(ctx context.Context, m *message.Message, name string) error {
	r := i.backend.named[name]
	switch {
	case r == nil:
		return noEndpoint()
	case r.refusal != nil:
		return r.refusal
	}
	return i.send(ctx, r.pool.pick(), m)
}

// send publishes a copy: whoever publishes again needs the message, and who gives up waiting leaves it to the endpoint.
func (i *invocation) send(ctx context.Context, to *member, m *message.Message) error {
	if to == nil {
		return noEndpoint()
	}
	a := &attempt{done: make(chan stored, 1)}
	sent := copyOf(m)
	sent.SetAck(a)
	to.publish(ctx, i.exchange, sent)
	select {
	case s := <-a.done:
		if s.err == nil {
			m.Topic, m.Partition, m.Offset = s.topic, s.partition, s.offset
		}
		return s.err
	case <-ctx.Done():
		return &message.Failure{Status: fasthttp.StatusGatewayTimeout, Key: message.KeyOutcomeUnknown, Message: "The endpoint did not answer in time.", Err: context.Cause(ctx), Unknown: true}
	}
}

// copyOf returns a message of its own memory.
func copyOf(m *message.Message) *message.Message {
	out := message.Get()
	out.Timestamp, out.Topic, out.Attributes = m.Timestamp, m.Topic, m.Attributes
	if m.Key != nil {
		out.Key = out.Copy(m.Key)
	}
	if m.Content != nil {
		out.SetContent(m.Content)
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, message.Header{Name: h.Name, Value: out.Copy(h.Value)})
	}
	return out
}

// attempt is one copy on its way.
type attempt struct{ done chan stored }

type stored struct {
	topic     string
	partition int32
	offset    int64
	err       error
}

// Acked implements message.Ack.
func (a *attempt) Acked(m *message.Message, err error) {
	a.done <- stored{m.Topic, m.Partition, m.Offset, err}
	m.Release()
}

var (
	_ policies.Next = (*invocation)(nil)
	_ message.Ack   = (*attempt)(nil)
)
