// Package planetest holds what the tests of the data plane share: connectors made of functions, and definitions that use
// them. Only tests import it. It starts no goroutine of its own.
package planetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Entrypoint is an entrypoint made of functions. A nil one matches everything, or answers 200 with the revision.
type Entrypoint struct {
	MatchFunc  func(ctx *fasthttp.RequestCtx) bool
	HandleFunc func(ctx context.Context, x *exchange.Exchange, b connectors.Backend)
}

// Match implements connectors.Entrypoint.
func (e *Entrypoint) Match(ctx *fasthttp.RequestCtx) bool {
	return e.MatchFunc == nil || e.MatchFunc(ctx)
}

// Handle implements connectors.Entrypoint.
func (e *Entrypoint) Handle(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
	if e.HandleFunc == nil {
		x.HTTP.SetBodyString(fmt.Sprintf("%s@%d", x.API.ID, x.API.Revision))
		return
	}
	e.HandleFunc(ctx, x, b)
}

// Endpoint is an endpoint made of functions. Nil ones wait, accept and stay silent.
type Endpoint struct {
	RunFunc       func(ctx context.Context) error
	PublishFunc   func(ctx context.Context, x *exchange.Exchange, m *message.Message)
	SubscribeFunc func(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error)
}

// Run implements connectors.Endpoint.
func (e *Endpoint) Run(ctx context.Context) error {
	if e.RunFunc != nil {
		return e.RunFunc(ctx)
	}
	<-ctx.Done()
	return nil
}

// Publish implements connectors.Publisher.
func (e *Endpoint) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	if e.PublishFunc != nil {
		e.PublishFunc(ctx, x, m)
		return
	}
	m.Done(nil)
}

// Subscribe implements connectors.Source.
func (e *Endpoint) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	if e.SubscribeFunc != nil {
		return e.SubscribeFunc(ctx, x, o)
	}
	return &Subscription{}, nil
}

// Subscription is a subscription made of functions. Nil ones have nothing.
type Subscription struct {
	PollFunc func(most int) ([]message.Message, error)

	mu sync.Mutex
	// guards the following
	closed int
}

// Poll implements connectors.Subscription.
func (s *Subscription) Poll(most int) ([]message.Message, error) {
	if s.PollFunc != nil {
		return s.PollFunc(most)
	}
	return nil, nil
}

// DeliveredThrough implements connectors.Subscription.
func (s *Subscription) DeliveredThrough(*message.Message) {}

// Acknowledge implements connectors.Subscription.
func (*Subscription) Acknowledge(*message.Message) {}

// AppendCursor implements connectors.Subscription.
func (s *Subscription) AppendCursor(dst []byte) []byte { return dst }

// Close implements connectors.Subscription.
func (s *Subscription) Close(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

// Closed returns how often the subscription was closed.
func (s *Subscription) Closed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Config returns what APIs are built with, whose only connectors are these, under names that the matrix knows: http-post
// (which publishes), sse (which subscribes) and mock. A nil one is the default of its type.
func Config(post, sse *Entrypoint, mock *Endpoint) flow.Config {
	one := func(e *Entrypoint, modes connectors.Mode, criteria int) connectors.EntrypointType {
		if e == nil {
			e = &Entrypoint{}
		}
		return connectors.EntrypointType{Listener: apidef.ListenerHTTP, Modes: modes, Criteria: criteria,
			New: func(json.RawMessage, connectors.Env) (connectors.Entrypoint, error) { return e, nil }}
	}
	if mock == nil {
		mock = &Endpoint{}
	}
	limits := connectors.DefaultLimits
	return flow.Config{
		Entrypoints: connectors.Entrypoints{"http-post": one(post, connectors.Publish, 1), "sse": one(sse, connectors.Subscribe, 2)},
		Endpoints: connectors.Endpoints{"mock": {Modes: connectors.Publish | connectors.Subscribe,
			New: func(json.RawMessage, json.RawMessage, connectors.Env) (connectors.Endpoint, error) { return mock, nil }}},
		Limits:   limits,
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Meter:    noop.Meter{},
		Counters: meter.NewRegistry(),
	}
}

// API returns the definition of an API at path with the given entrypoints, a mock endpoint and a keyless plan.
func API(path string, entrypoints ...string) *apidef.API {
	l := apidef.Listener{Type: apidef.ListenerHTTP, Paths: []apidef.Path{{Path: path}}}
	for _, e := range entrypoints {
		l.Entrypoints = append(l.Entrypoints, apidef.Entrypoint{Type: e})
	}
	return &apidef.API{Name: path, Type: apidef.TypeMessage, APIVersion: "1", DefinitionVersion: "4.0.0",
		Listeners: []apidef.Listener{l},
		EndpointGroups: []apidef.EndpointGroup{{Name: "default", Type: "mock",
			Endpoints: []apidef.Endpoint{{Name: "only", Type: "mock"}}}},
		Plans: []apidef.Plan{{ID: "plan", Name: "open", Status: apidef.PlanPublished, Security: &apidef.PlanSecurity{Type: "key-less"}}},
	}
}

// Bundle wraps a definition as deployments carry it.
func Bundle(a *apidef.API) []byte {
	definition, err := json.Marshal(a)
	if err != nil {
		panic(err) // a definition made above is always valid JSON
	}
	out, err := bundle.Encode("DEFAULT", "DEFAULT", time.UnixMilli(0), definition)
	if err != nil {
		panic(err) // a definition made above is always valid JSON
	}
	return out
}

// IgnoreFasthttp are goroutines of fasthttp that outlive its servers and clients: they end by themselves within seconds,
// or never (server.go, client.go, tcpdialer.go, header.go, v1.74).
func IgnoreFasthttp() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*Client).mCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	}
}

// Exchange returns an exchange on a hand-built request: GET / from nowhere.
func Exchange() *exchange.Exchange {
	x := exchange.Get()
	x.HTTP = &fasthttp.RequestCtx{}
	x.HTTP.Init(&fasthttp.Request{}, nil, nil)
	return x
}
