package flow

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// backend is the API behind one entrypoint: the only way from entrypoints to endpoints and back, so whatever runs per
// message or per subscription runs here. Made at deploy, shared by all exchanges of the entrypoint.
type backend struct {
	api         *API
	modes       connectors.Mode
	route       *route            // the default one
	named       map[string]*route // those that the attribute request.endpoint can choose
	deadLetters *pool             // nil: there are none
	counters    *meter.Counters
	guide       *guide // nil: no flow runs
	streams     bool   // its connections outlive their handlers, so the head of an answer is all there is of it
}

// route is a way from one entrypoint to endpoints.
type route struct {
	pool       *pool
	refusal    *message.Failure // instead of a pool: the entrypoint's level cannot be kept there
	deliveries *deliveries      // nil: no spans
}

// Publish implements connectors.Backend.
func (b *backend) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if b.modes&connectors.Publish == 0 {
		m.Done(noEndpoint())
		return
	}
	b.counters.MessagesIn.Add(1)
	if b.guide != nil && !b.admit(ctx, x, m) {
		return
	}
	if run := runOf(x); run != nil && len(run.context.Invokers()) > 0 {
		b.invoke(ctx, x, run, m)
		return
	}
	r, refusal := b.routeOf(x)
	if refusal != nil {
		m.Done(refusal)
		return
	}
	to := r.pool.forPublish(x)
	if to == nil {
		m.Done(noEndpoint())
		return
	}
	to.publish(ctx, x, m)
}

// attributeEndpoint chooses the endpoint or group of an exchange by its name, followed by a colon (spec 3.0, 6.4). What
// stands behind the colon, or has none, is a path, which message endpoints do not have.
const attributeEndpoint = "request.endpoint"

// routeOf returns the way that the exchange takes, or why it takes none.
func (b *backend) routeOf(x *exchange.Exchange) (*route, *message.Failure) {
	r := b.route
	if v, ok := x.Attribute(attributeEndpoint); ok {
		text, _ := v.(string)
		if name, _, chosen := strings.Cut(text, ":"); chosen {
			if r = b.named[name]; r == nil {
				return nil, noEndpoint()
			}
		}
	}
	if r.refusal != nil {
		return nil, r.refusal
	}
	return r, nil
}

// Subscribe implements connectors.Backend.
func (b *backend) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	if b.modes&connectors.Subscribe == 0 {
		return nil, noEndpoint()
	}
	r, refusal := b.routeOf(x)
	if refusal != nil {
		return nil, refusal
	}
	from := r.pool.forSubscribe(x)
	if from == nil {
		return nil, noEndpoint()
	}
	teller := b.api.teller(x) // before a stream lets go of its request
	b.api.streams.Add(1)
	if b.api.closed.Load() {
		b.api.release(&b.api.streams)
		return nil, stopping()
	}
	inner, err := b.open(ctx, x, from, o)
	if err != nil {
		b.api.release(&b.api.streams)
		return nil, err
	}
	s := &subscription{Subscription: inner, backend: b, exchange: x, wake: o.Wake, deliveries: r.deliveries, teller: teller}
	s.viewer, _ = inner.(connectors.Viewer)
	if s.wake == nil {
		s.wake = func() {}
	}
	b.api.mu.Lock()
	b.api.subscriptions[s] = struct{}{}
	b.api.mu.Unlock()
	b.counters.Streams.Add(1)
	if b.api.draining.Load() {
		s.wake() // it may have missed the drain's own call
	}
	return s, nil
}

// DeadLetter implements connectors.Backend. Unlike what an exchange publishes, each letter goes its own way: several may
// be under way at once, and none is of the order that the subscriber sees.
func (b *backend) DeadLetter(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if b.deadLetters == nil {
		m.Done(noEndpoint())
		return
	}
	to := b.deadLetters.pick()
	if to == nil {
		m.Done(noEndpoint())
		return
	}
	b.counters.DeadLetters.Add(1)
	to.publish(ctx, x, m)
}

// noEndpoint is the failure where no endpoint can do what the entrypoint asks (spec 3.0, 4.x).
func noEndpoint() *message.Failure {
	return &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: message.KeyNoEndpoint}
}

// incompatible is the failure where the chosen endpoint cannot keep the entrypoint's level (spec 4.3).
func incompatible() *message.Failure {
	return &message.Failure{Status: fasthttp.StatusBadRequest, Key: message.KeyIncompatibleQoS,
		Message: "Incompatible Qos between entrypoint and endpoint"}
}

// stopping is the failure that clients of an ended revision get (spec 2.1).
func stopping() *message.Failure {
	return &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: message.KeyGoAway, Message: message.StoppingText}
}

// subscription is an endpoint's subscription as the entrypoint sees it: it ends with a GoAway when the API drains, and
// counts.
type subscription struct {
	connectors.Subscription
	viewer   connectors.Viewer // nil: it shares nothing
	backend  *backend
	exchange *exchange.Exchange
	wake     func()

	deliveries *deliveries // nil: no spans
	teller     *teller     // nil: no response template
	gone       bool        // GoAway was given
	closed     atomic.Bool
}

// Poll implements connectors.Subscription. A stream is told to go away as soon as the API drains; a request that only
// collects a page may finish it, until the drain has no time left (spec 2.0).
func (s *subscription) Poll(most int) ([]message.Message, error) {
	v, err := s.poll(func() (message.View, error) {
		out, err := s.Subscription.Poll(most)
		return message.Alone(out), err
	})
	return v.Messages(), err
}

// PollView implements connectors.Viewer.
func (s *subscription) PollView(most int) (message.View, error) {
	if s.viewer == nil {
		out, err := s.Poll(most)
		return message.Alone(out), err
	}
	return s.poll(func() (message.View, error) { return s.viewer.PollView(most) })
}

func (s *subscription) poll(from func() (message.View, error)) (out message.View, err error) {
	a := s.backend.api
	if s.gone {
		return out, stopping()
	}
	if a.draining.Load() && (s.exchange.Detached() || a.expired.Load()) {
		s.gone = true
		return message.Alone([]message.Message{a.goAway()}), nil
	}
	defer func() {
		if p := recover(); p != nil {
			out, err = message.View{}, s.panicked(p)
		}
	}()
	if out, err = from(); err != nil {
		err = s.teller.told(err)
	}
	if out.Len() > 0 {
		s.backend.counters.MessagesOut.Add(uint64(out.Len()))
		if d := s.deliveries; d != nil {
			d.record(s.exchange.Span, out.Messages())
		}
	}
	return out, err
}

// panicked turns a panic behind a subscription into its end: the stream's goroutine belongs to nobody who would recover.
func (s *subscription) panicked(p any) error {
	if n := s.backend.counters.Panics.Add(1); n&(n-1) == 0 {
		s.backend.api.log.Error("panic contained", "err", p, "count", n, "stack", string(debug.Stack()))
	}
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: message.KeyUnknownError,
		Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError), Err: fmt.Errorf("panic: %v", p)}
}

// Close implements connectors.Subscription.
func (s *subscription) Close(ctx context.Context) {
	if s.closed.Swap(true) {
		return
	}
	a := s.backend.api
	defer func() {
		a.mu.Lock()
		delete(a.subscriptions, s)
		a.mu.Unlock()
		s.backend.counters.Streams.Add(-1)
		a.release(&a.streams)
	}()
	s.Subscription.Close(ctx)
}

// goAway is the last message of a stream.
func (a *API) goAway() message.Message {
	m := message.Message{Kind: message.GoAway, Reason: message.ReasonStop, Content: []byte(message.StoppingText)}
	if a.redeploy.Load() {
		m.Reason = message.ReasonRedeploy
	}
	return m
}
