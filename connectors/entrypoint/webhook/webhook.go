// Package webhook is the entrypoint "webhook", and under its other name "webhook-advanced" (spec 2.5): messages are posted to the
// URLs of subscribers. One Dispatch delivers one subscription: its goroutine polls and waits, others, never more than the
// subscription's concurrency, each carry messages one at a time; Dispatch waits for them.
//
// Messages of one key are delivered one after the other, messages of different keys beside each other, under every level: a key
// that fails waits alone. Messages without a key have no order. docs/webhook.md says what users need to know.
//
// Where it differs from the reference: redirects are not followed; 408, 425 and 429 count as passing trouble, not as a refusal; a
// paused or failing receiver is spared by a circuit breaker; counted levels need not go one by one; addresses that are not public
// are refused unless the operator allows them; batches and signatures are additions.
package webhook

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Type is the catalog entry of webhook.
var Type = connectors.EntrypointType{
	Name:     "Webhook",
	Listener: apidef.ListenerSubscription,
	Modes:    connectors.Subscribe,
	Check: func(cfg json.RawMessage) apidef.Problems {
		_, problems := decode(cfg)
		return problems
	},
	CheckSubscription: func(cfg json.RawMessage) apidef.Problems {
		_, problems := readTarget(cfg)
		return problems
	},
	New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) { return New(cfg, env) },
}

// Advanced is the catalog entry of webhook-advanced: the plain type does all that its advanced name does.
var Advanced = func() connectors.EntrypointType {
	t := Type
	t.Name = "Webhook Advanced"
	return t
}()

// Entrypoint delivers the subscriptions of one API.
type Entrypoint struct {
	config Config
	env    connectors.Env
	log    *slog.Logger
	stats  *stats
}

// New builds the entrypoint.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	c, problems := decode(cfg)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	e := &Entrypoint{config: c, env: env, log: env.Log}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	var err error
	e.stats, err = newStats(env)
	return e, err
}

// Match implements connectors.Entrypoint: webhooks have no requests.
func (e *Entrypoint) Match(*fasthttp.RequestCtx) bool { return false }

// Handle implements connectors.Entrypoint. It is never called, since Match never says yes.
func (e *Entrypoint) Handle(context.Context, *exchange.Exchange, connectors.Backend) {}

// Dispatch implements connectors.Dispatcher.
func (e *Entrypoint) Dispatch(ctx context.Context, x *exchange.Exchange, d *connectors.Dispatch, b connectors.Backend) error {
	t, problems := readTarget(d.Configuration)
	if err := problems.Err(); err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: message.KeyConfigurationInvalid, Err: err,
			Message: "The configuration of the subscription is not valid"}
	}
	secure, tokens, err := t.tls()
	if err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: message.KeyConfigurationInvalid, Err: err,
			Message: "The ssl settings of the subscription cannot be used"}
	}
	dial := &dialer{guard: guard{e.env.WebhookAllow}, timeout: millis(e.config.HTTP.ConnectTimeout), via: e.config.Proxy.proxies()}
	c := newClient(dial, t.url, secure, millis(e.config.HTTP.IdleTimeout), e.timeout(t))
	defer c.close()
	r := newRun(e, t, x, d, b)
	r.client, r.call, r.ask = c, c.call, asker(dial, tokens, e.timeout(t))
	return r.deliver(ctx)
}

// timeout of a call: the subscription's, within the API's.
func (e *Entrypoint) timeout(t *target) time.Duration {
	most := millis(e.config.HTTP.ReadTimeout)
	if t.config.Timeout > 0 {
		return min(millis(t.config.Timeout), most)
	}
	return most
}

// concurrency of a subscription: its own, within the API's.
func (e *Entrypoint) concurrency(t *target) int {
	if n := e.config.HTTP.MaxConcurrentConnections; n != nil {
		return min(t.config.Concurrency, *n)
	}
	return t.config.Concurrency
}

var (
	_ connectors.Entrypoint = (*Entrypoint)(nil)
	_ connectors.Dispatcher = (*Entrypoint)(nil)
)
