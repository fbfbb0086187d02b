// Package dataplane assembles a worker: the reactor that serves APIs, the gateway port in front of it, the dispatcher that runs
// push subscriptions on it, the technical API beside it and the feed that tells what to serve. Run starts them in that order and stops them in the other; they
// own the goroutines.
package dataplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/dataplane/admin"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/rates"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

// scope names the data plane's instruments and spans.
const scope = "github.com/sluice-gateway/sluice/dataplane"

// Why a worker is not ready.
var (
	errNoDefinitions = errors.New("no definitions yet")
	errStopping      = errors.New("stopping")
)

// Config is what a worker keeps to.
type Config struct {
	ID, Name, Version string // of the node
	AdminToken        string
	Server            server.Config // MaxBody, WriteTimeout and Grace come from Limits
	Limits            connectors.Limits
	Brokers           map[string]string // see connectors.Env
	WebhookAllow      []netip.Prefix    // see connectors.Env
	Tags              []string          // sharding tags
	// Properties opens the encrypted properties of APIs; nil: there is no key.
	Properties *sealed.Key
	// CalloutAllow are addresses that policies and resources may call although callout.Guard refuses them.
	CalloutAllow []netip.Prefix
	Tenant       string // which endpoints are for it (spec 1.6); empty: all
	// RatesRedis is the address of a Redis that counts rate limits, see rates.NewRedis; empty: the workers exchange counts.
	RatesRedis string
	// Push bounds push subscriptions. Its Instance is ID.
	Push dispatch.Config
}

// Feed tells a worker what to serve, by calling its Apply from one goroutine, until ctx ends.
type Feed interface {
	Run(ctx context.Context) error
	// Trouble tells why it does not follow the control plane now, nil where it does. It is called from any goroutine.
	Trouble() error
}

// Deps are what a worker works with.
type Deps struct {
	Entrypoints connectors.Entrypoints
	Endpoints   connectors.Endpoints
	Policies    policies.Catalog
	Resources   resource.Catalog
	Gateway     []net.Listener // the gateway port; the worker closes them
	Admin       net.Listener   // the technical API; nil: none
	// Feed makes the feed once the worker can take updates; nil: none, Apply is called by somebody else.
	Feed     func(w *Worker) (Feed, error)
	Probes   map[string]admin.Probe // besides the worker's own
	Log      *slog.Logger
	Meter    metric.MeterProvider
	Tracer   trace.TracerProvider // nil: no spans
	Gatherer prometheus.Gatherer  // nil: no metrics on the technical API
	// Counters are the numbers of the data plane, which the metrics set-up reads as a Producer.
	Counters *meter.Registry
}

// Worker serves APIs.
type Worker struct {
	reactor  *reactor.Reactor
	dispatch *dispatch.Dispatcher
	server   *server.Server
	stages   []stage
	counters *meter.Registry
	rates    *rates.Exchange
	feed     Feed // nil: none
	revision atomic.Uint64
	loaded   atomic.Bool // the first update was applied
	stopping atomic.Bool
}

// stage is one part that Run runs.
type stage struct {
	name string
	run  func(ctx context.Context) error
}

// Status is how a worker stands.
type Status struct {
	Ready       bool
	Revision    uint64 // the last one applied
	APIs        []reactor.Status
	Connections int // open on the gateway port, streams included
	Streams     int // subscriptions open
	Requests    int // being served
}

// New returns a worker that serves nothing yet.
func New(cfg Config, deps Deps) (*Worker, error) {
	w := &Worker{counters: deps.Counters}
	loop, err := eventloop.New(runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	apis := flow.Config{Entrypoints: deps.Entrypoints, Endpoints: deps.Endpoints, Policies: deps.Policies, Resources: deps.Resources, Dial: callout.Guard{Allow: cfg.CalloutAllow}.Dial, Properties: cfg.Properties, Limits: cfg.Limits,
		Brokers: cfg.Brokers, WebhookAllow: cfg.WebhookAllow, Tags: cfg.Tags, Tenant: cfg.Tenant, Log: deps.Log, Meter: deps.Meter.Meter(scope), Counters: deps.Counters, Loop: loop}
	cfg.Server.MaxBody, cfg.Server.WriteTimeout, cfg.Server.Grace = cfg.Limits.MaxBody, cfg.Limits.WriteTimeout, cfg.Limits.Drain
	if err := w.count(&apis, cfg, deps); err != nil {
		return nil, err
	}
	if deps.Tracer != nil {
		tracer := deps.Tracer.Tracer(scope)
		cfg.Server.Tracer, apis.Tracer = tracer, tracer
	}
	w.reactor = reactor.New(apis)
	cfg.Push.Instance = cfg.ID
	w.dispatch = dispatch.New(cfg.Push, dispatch.Deps{APIs: w.reactor, Log: deps.Log, Counters: deps.Counters})
	w.reactor.Watch(w.dispatch.Served)
	if w.server, err = server.New(cfg.Server, deps.Gateway, w.reactor, deps.Counters, deps.Log); err != nil {
		return nil, err
	}
	if deps.Admin != nil { // first, so that a worker that drains can still be asked
		a, err := admin.New(admin.Config{ID: cfg.ID, Name: cfg.Name, Version: cfg.Version, Token: cfg.AdminToken}, deps.Admin,
			admin.Deps{APIs: w.reactor, Subscriptions: w.dispatch, Ready: w.Ready, Probes: w.probes(deps.Probes), Gatherer: deps.Gatherer, Log: deps.Log})
		if err != nil {
			return nil, err
		}
		w.stages = append(w.stages, stage{"admin", a.Run})
	}
	// The loop outlives the reactor, whose streams it writes to their end.
	w.stages = append(w.stages, stage{"event loop", loop.Run})
	// The reactor outlives the port and the push subscriptions: requests and deliveries finish before their endpoints end,
	// and streams are told to go by it.
	w.stages = append(w.stages, stage{"reactor", w.reactor.Run}, stage{"dispatch", w.dispatch.Run}, stage{"server", w.server.Run})
	if deps.Feed != nil { // last: what a stopping worker is told no longer matters
		f, err := deps.Feed(w)
		if err != nil {
			return nil, err
		}
		w.feed = f
		w.stages = append(w.stages, stage{"feed", f.Run})
	}
	return w, nil
}

// count makes the counters of rate limits. Redis, where there is one, has the last word: it is closed after what counts.
func (w *Worker) count(apis *flow.Config, cfg Config, deps Deps) (err error) {
	if w.rates, err = rates.New(cfg.ID, deps.Log, deps.Meter.Meter(scope)); err != nil {
		return err
	}
	apis.Rates = w.rates
	if cfg.RatesRedis == "" {
		return nil
	}
	r, err := rates.NewRedis(cfg.RatesRedis, w.rates)
	if err != nil {
		return err
	}
	apis.Rates = r
	w.stages = append(w.stages, stage{"redis of rate limits", func(ctx context.Context) error { return r.Run(ctx, deps.Log) }})
	return nil
}

// Rates returns the worker's part in the exchange of rate counters, which whoever makes the feed runs beside it.
func (w *Worker) Rates() *rates.Exchange { return w.rates }

func (w *Worker) probes(more map[string]admin.Probe) map[string]admin.Probe {
	out := map[string]admin.Probe{
		"http-server":   {Check: func(context.Context) error { return w.accepting() }},
		"sync-process":  {Hidden: true, Check: func(context.Context) error { return w.synced() }},
		"control-plane": {Hidden: true, Check: func(context.Context) error { return w.following() }},
	}
	for name, p := range more {
		out[name] = p
	}
	return out
}

// accepting is the answer of the probe http-server.
func (w *Worker) accepting() error {
	if w.stopping.Load() {
		return errStopping
	}
	return nil
}

// synced is the answer of the probe sync-process (spec 10.3-b).
func (w *Worker) synced() error {
	if !w.loaded.Load() {
		return errors.New("not ready")
	}
	return nil
}

// Run serves until ctx ends, then stops politely: it is no longer ready, the feed ends, the port finishes its requests,
// streams are told to reconnect, endpoints flush. A part that ends by itself ends the worker.
func (w *Worker) Run(ctx context.Context) error {
	type running struct {
		stage
		cancel context.CancelFunc
		done   chan error
	}
	ended := make(chan struct{}, len(w.stages))
	parts := make([]running, len(w.stages))
	for i, s := range w.stages {
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p := running{s, cancel, make(chan error, 1)}
		parts[i] = p
		go func() {
			p.done <- p.run(inner)
			ended <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	w.stopping.Store(true)
	var errs []error
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i].cancel()
		if err := <-parts[i].done; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", parts[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Apply makes u what is served; see reactor.Reactor. The first one makes the worker ready.
func (w *Worker) Apply(ctx context.Context, u reactor.Update) []reactor.Result {
	results := w.reactor.Apply(ctx, u)
	if ctx.Err() == nil {
		w.revision.Store(u.Revision)
		w.loaded.Store(true)
	}
	return results
}

// Subscriptions returns what runs the worker's push subscriptions: whoever makes the feed gives it what is to be served, and
// watches what becomes of it.
func (w *Worker) Subscriptions() *dispatch.Dispatcher { return w.dispatch }

// Ready returns nil where the worker serves its definitions, else why not.
func (w *Worker) Ready() error {
	switch {
	case w.stopping.Load():
		return errStopping
	case !w.loaded.Load():
		if err := w.following(); err != nil {
			return fmt.Errorf("%w: %w", errNoDefinitions, err)
		}
		return errNoDefinitions
	}
	return nil
}

// following is the answer of the probe control-plane. It is hidden, since a worker without a control plane is well.
func (w *Worker) following() error {
	if w.feed == nil {
		return nil
	}
	return w.feed.Trouble()
}

// Connections returns how many client connections are open, streams included.
func (w *Worker) Connections() uint64 {
	streams, _ := w.counters.Open()
	return uint64(max(int64(w.server.Connections())+streams, 0))
}

// Status returns how the worker stands.
func (w *Worker) Status() Status {
	streams, requests := w.counters.Open()
	return Status{Ready: w.Ready() == nil, Revision: w.revision.Load(), APIs: w.reactor.States(),
		Connections: int(w.Connections()), Streams: int(streams), Requests: int(requests)}
}
