package planetest

import (
	"context"
	"encoding/json"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// PushType is the type of the entrypoint that serves subscriptions here. It is one that the matrix serves on mock, and
// stands in for one that pushes: only the listener of its catalog entry tells them apart.
const PushType = "http-get"

// PushPlan is the plan of PushAPI.
const PushPlan = "push"

// Dispatcher is an entrypoint made of a function. A nil one delivers nothing until its context ends.
type Dispatcher struct {
	DispatchFunc func(ctx context.Context, x *exchange.Exchange, d *connectors.Dispatch, b connectors.Backend) error
	// Env is what it was built with last.
	Env connectors.Env
}

// Match implements connectors.Entrypoint.
func (*Dispatcher) Match(*fasthttp.RequestCtx) bool { return false }

// Handle implements connectors.Entrypoint.
func (*Dispatcher) Handle(context.Context, *exchange.Exchange, connectors.Backend) {}

// Dispatch implements connectors.Dispatcher.
func (p *Dispatcher) Dispatch(ctx context.Context, x *exchange.Exchange, d *connectors.Dispatch, b connectors.Backend) error {
	if p.DispatchFunc == nil {
		<-ctx.Done()
		return nil
	}
	return p.DispatchFunc(ctx, x, d, b)
}

// WithPush adds an entrypoint that serves subscriptions to what APIs are built with.
func WithPush(cfg flow.Config, p *Dispatcher) flow.Config {
	cfg.Entrypoints[PushType] = connectors.EntrypointType{Listener: apidef.ListenerSubscription, Modes: connectors.Subscribe,
		CheckSubscription: func(json.RawMessage) apidef.Problems { return nil },
		New: func(_ json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) {
			p.Env = env
			return p, nil
		}}
	return cfg
}

// PushAPI returns the definition of an API with nothing but a subscription listener, a mock endpoint and a push plan.
func PushAPI() *apidef.API {
	a := API("/unused/")
	a.Name = "push"
	a.Listeners = []apidef.Listener{{Type: apidef.ListenerSubscription, Entrypoints: []apidef.Entrypoint{{Type: PushType}}}}
	a.Plans = []apidef.Plan{{ID: PushPlan, Name: "push", Mode: "push", Status: apidef.PlanPublished}}
	return a
}

// Subscribed returns a subscription to the API of that id, to be served.
func Subscribed(id, api string) *bundle.Subscription {
	return &bundle.Subscription{ID: id, API: api, Plan: PushPlan, Application: "app", EntrypointID: PushType, Dispatch: true}
}

var _ connectors.Dispatcher = (*Dispatcher)(nil)
