package flow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// What Push returns besides what the entrypoint does.
var (
	// ErrDraining: the revision is ending, and nothing was begun.
	ErrDraining = errors.New("this revision of the API is ending")
	// ErrEnded: the subscription was being served when the revision ended.
	ErrEnded = errors.New("this revision of the API ended")
	// ErrNoPush is wrapped where the API does not serve such subscriptions: it lacks the entrypoint or the plan.
	ErrNoPush = errors.New("the API does not serve this subscription")
)

// Push is a push subscription, or a replay of one, to be served by an API (spec 7.5).
type Push struct {
	Entrypoint string             // its type; case does not matter
	Exchange   *exchange.Exchange // what does not depend on the API; the rest is set by Push
	Dispatch   *connectors.Dispatch
	Begun      func() // called once, where an entrypoint takes it; nil: nobody
}

// pushEntrypoint is an entrypoint that serves push subscriptions.
type pushEntrypoint struct {
	entrypoint
	dispatcher connectors.Dispatcher
}

// Push serves a subscription until ctx ends, the revision does, or the entrypoint returns. It waits for deliveries under way,
// which the entrypoint ends within Limits.Drain. A panic is contained: it is a failure like any other.
func (a *API) Push(ctx context.Context, p *Push) error {
	a.pushes.Add(1)
	defer a.release(&a.pushes)
	if a.draining.Load() {
		return ErrDraining
	}
	e := a.push[strings.ToLower(p.Entrypoint)]
	switch {
	case e == nil:
		return fmt.Errorf("%w: it has no entrypoint %q", ErrNoPush, p.Entrypoint)
	case !a.pushPlans[p.Dispatch.Plan]:
		return fmt.Errorf("%w: plan %q is no published push plan of it here", ErrNoPush, p.Dispatch.Plan)
	}
	inner, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(e.context, func() { end(context.Cause(e.context)) })()
	p.Exchange.API, p.Exchange.Entrypoint, p.Exchange.QoS = a.Info, e.typ, e.level
	p.Exchange.Details = &policies.Subscription{ID: p.Dispatch.ID, Type: "PUSH", Metadata: p.Dispatch.Metadata}
	if g := e.backend.guide; g != nil {
		if _, failure := g.begin(p.Exchange, pushPath(p.Dispatch.Channel)); failure != nil {
			passing := *failure // by another revision, or with time
			passing.Retry = true
			return &passing
		}
	}
	if p.Begun != nil {
		p.Begun()
	}
	err := a.dispatch(inner, e, p)
	if a.draining.Load() && ctx.Err() == nil {
		return ErrEnded // whatever it returned: it was told to go
	}
	return err
}

// dispatch calls the entrypoint.
func (a *API) dispatch(ctx context.Context, e *pushEntrypoint, p *Push) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if n := e.counters.Panics.Add(1); n&(n-1) == 0 {
				a.log.Error("panic contained", "subscription", p.Dispatch.ID, "err", r, "count", n, "stack", string(debug.Stack()))
			}
			err = &message.Failure{Status: fasthttp.StatusInternalServerError, Key: message.KeyUnknownError,
				Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError), Err: fmt.Errorf("panic: %v", r), Retry: true}
		}
	}()
	return e.dispatcher.Dispatch(ctx, p.Exchange, p.Dispatch, e.backend)
}
