package policies

import (
	"context"

	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Context is what the steps of a flow run in: one of each exchange, and one of its own for its messages on subscribe. One
// goroutine at a time uses it.
type Context struct {
	// Exchange is whose work it is. In a run that all subscribers share it knows the API alone.
	Exchange *exchange.Exchange
	// Streaming tells a ResponsePolicy that only the head of the answer is there: messages are what follows.
	Streaming bool

	scope    el.Exchange
	invokers []Invoker
	onAnswer []func(context.Context)
}

// Surround is what expressions see of an API and its worker, the same for all exchanges of a revision. Nobody changes it.
type Surround = el.API

// Dictionaries are the environment's, by name (spec 6.2).
type Dictionaries map[string]map[string]string

// NewSurround returns the surroundings of an API.
func NewSurround(properties []apidef.Property, endpoints []string, dictionaries Dictionaries, node el.Node) *Surround {
	s := &Surround{Properties: make(map[string]string, len(properties)), Dictionaries: dictionaries, Endpoints: make(map[string]string, len(endpoints)), Node: node}
	for _, p := range properties {
		s.Properties[p.Key] = p.Value
	}
	for _, e := range endpoints {
		s.Endpoints[e] = e + ":"
	}
	return s
}

// Node is what expressions see of the worker.
type Node = el.Node

// Subscription is what expressions see of a subscription.
type Subscription = el.Subscription

// Shared returns the context of runs that all subscribers share.
func Shared(api *exchange.API, s *Surround) *Context {
	c := new(Context)
	c.Init(&exchange.Exchange{API: api}, s)
	return c
}

// Init makes c the context of an exchange.
func (c *Context) Init(x *exchange.Exchange, s *Surround) {
	c.Exchange, c.Streaming, c.invokers, c.onAnswer = x, false, nil, nil
	c.scope.Reset()
	c.scope.X, c.scope.API = x, s
	if sub, ok := x.Details.(*Subscription); ok {
		c.scope.Subscription = sub
	}
}

// Keep keeps what uses reads of the request, for expressions that are evaluated when the handler has returned.
func (c *Context) Keep(uses Uses) { c.scope.Request = el.SnapshotRequest(c.Exchange, uses) }

// SetMessage makes m the message that expressions see.
func (c *Context) SetMessage(m *message.Message) { c.scope.SetMessage(m) }

// Surround is what the context was made with; nil: nothing is known of the API.
func (c *Context) Surround() *Surround { return c.scope.API }

// OnAnswer has f called when the backend has answered, before the response phase: for request steps that are about the answer
// too, such as a cache. It is not called for failures, for streams, nor where a step answered itself.
func (c *Context) OnAnswer(f func(context.Context)) { c.onAnswer = append(c.onAnswer, f) }

// Answered calls what waits for the backend's answer, the last first.
func (c *Context) Answered(ctx context.Context) {
	for i := len(c.onAnswer) - 1; i >= 0; i-- {
		c.onAnswer[i](ctx)
	}
	c.onAnswer = nil
}

// Awaits tells whether something waits for the backend's answer.
func (c *Context) Awaits() bool { return len(c.onAnswer) > 0 }

// Forget has nothing wait for the backend's answer any more: there will be none.
func (c *Context) Forget() { c.onAnswer = nil }

// Provide makes a variable of a policy's own visible to expressions, such as calloutResponse, until it is taken away with null.
func (c *Context) Provide(name string, value el.Value) {
	switch {
	case value.IsNull():
		delete(c.scope.Other, name)
	case c.scope.Other == nil:
		c.scope.Other = map[string]el.Value{name: value}
	default:
		c.scope.Other[name] = value
	}
}

// Changed says that a policy changed a body or a message, so that expressions see it anew.
func (c *Context) Changed() { c.scope.Changed() }

// SetFailure makes f the error that expressions of a response template see.
func (c *Context) SetFailure(f *message.Failure) {
	c.scope.Failure = &el.Failure{Status: f.Status, Key: f.Key, Message: f.Message, Parameters: f.Parameters}
}
