package flow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// runs holds the memory of runs of exchanges that end with their handler.
var runs = sync.Pool{New: func() any { return new(run) }}

// cross does what a browser asks for before, or beside, a request of another origin; true: the request is answered.
func (a *API) cross(x *exchange.Exchange) bool {
	if !isPreflight(&x.HTTP.Request.Header) {
		a.cors.simple(x)
		return false
	}
	if f := a.cors.preflight(x); f != nil {
		a.fail(x, f)
		return true
	}
	if a.cors.runPolicies && len(a.entrypoints) > 0 {
		if e := &a.entrypoints[0]; a.enter(e, x) {
			a.leave(e, x)
		}
	}
	return true
}

// enter runs the request phase; false: the exchange is answered.
func (a *API) enter(e *entrypoint, x *exchange.Exchange) bool {
	g := e.backend.guide
	if g == nil {
		return true
	}
	r, failure := g.begin(x, x.PathInfo)
	switch {
	case failure != nil:
		a.fail(x, failure)
		return false
	case r == nil:
		return true
	}
	if len(r.program.request) > 0 {
		if err := a.within(e, r.request); err != nil {
			switch {
			case errors.Is(err, policies.ErrAnswered):
				r.context.Forget()
				a.leave(e, x)
			case !errors.Is(err, policies.ErrInterrupt):
				a.fail(x, err)
			}
			return false
		}
	}
	if e.drainer != nil {
		r.context.Keep(r.program.uses)
	}
	return true
}

// within runs a phase within the time that a request may take.
func (a *API) within(e *entrypoint, phase func(context.Context) error) error {
	if a.limits.RequestTimeout <= 0 {
		return phase(e.context)
	}
	ctx, cancel := context.WithTimeout(e.context, a.limits.RequestTimeout)
	defer cancel()
	return phase(ctx)
}

// leave runs the response phase of an exchange that ends with its handler. Where the entrypoint answered with a failure, a
// template may render it instead (spec 5.7).
func (a *API) leave(e *entrypoint, x *exchange.Exchange) {
	r := runOf(x)
	if f, failed := x.HTTP.UserValue(message.UserValue).(*message.Failure); failed {
		a.renderTemplate(x, f)
	} else if r != nil && (len(r.program.response) > 0 || r.context.Awaits()) {
		err := a.within(e, func(ctx context.Context) error {
			r.context.Answered(ctx)
			return r.response(ctx, false)
		})
		if err != nil && !errors.Is(err, policies.ErrInterrupt) {
			a.fail(x, err)
		}
	}
	if r != nil {
		x.Flow = nil
		*r = run{}
		runs.Put(r)
	}
}

// admit sends a message through the publish flow; false: it goes no further, and its publisher was told.
func (b *backend) admit(ctx context.Context, x *exchange.Exchange, m *message.Message) bool {
	r := runOf(x)
	if r == nil {
		return true
	}
	c := r.published()
	if c == nil {
		return true
	}
	switch err := c.contained(ctx, &r.context, m); err {
	case nil:
		return true
	case policies.ErrDrop, policies.ErrHold, policies.ErrEnd:
		m.Done(nil)
	default:
		if u, ok := err.(*undeliverable); ok {
			u.label(m)
			b.DeadLetter(ctx, u.exchange(x), m) // its publisher is told what becomes of it there
			break
		}
		m.Done(err)
	}
	return false
}

// contained is run, where a panic in a policy is a failure of this message alone.
func (c *chain) contained(ctx context.Context, pc *policies.Context, m *message.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(p)
		}
	}()
	return c.run(ctx, pc, m)
}

// panicked makes a failure of a panic in a policy.
func (c *chain) panicked(p any) error {
	s := c.links[0].step
	s.engine.panics(p, debug.Stack())
	return s.failure(fmt.Errorf("panic: %v", p))
}

// panics counts a contained panic. Every power of two is logged.
func (e *engine) panics(p any, stack []byte) {
	if n := e.panicked.Add(1); n&(n-1) == 0 {
		e.log.Error("panic contained", "err", p, "count", n, "stack", string(stack))
	}
}

// open opens a subscription behind the subscribe flow, and runs the response phase of a stream.
func (b *backend) open(ctx context.Context, x *exchange.Exchange, from *member, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	r := runOf(x)
	var c *chain
	if b.guide != nil && r != nil {
		c = r.program.subscribe.chain(&r.context)
	}
	if c != nil {
		o.Limit = 0 // what is dropped is taken too
	}
	inner, err := from.subscribe(ctx, x, o)
	if err != nil {
		return nil, err
	}
	if r != nil && b.streams && x.HTTP != nil {
		if err := r.response(ctx, true); err != nil && !errors.Is(err, policies.ErrInterrupt) {
			inner.Close(ctx)
			return nil, err
		}
	}
	if c == nil {
		return inner, nil
	}
	wake := o.Wake
	if wake == nil {
		wake = func() {}
	}
	return newOutflow(ctx, inner, c, b, r.program.uses, x, wake), nil
}
