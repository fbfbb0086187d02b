// Package flow turns one API definition into what serves it: entrypoints in front, endpoints behind, and between them the
// backend, where flows run. Everything that is constant for a revision is settled when it is built (New); Run owns
// the goroutines of its endpoints and drains it politely at the end.
package flow

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/table"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// anonymous is the application of clients that a keyless plan lets in (spec 7.2).
const anonymous = "1"

// API is one compiled revision of a definition. Its methods may be called from many goroutines, Run once.
type API struct {
	// Info describes the revision; Routes are its ways in; Warnings say what of the definition has no effect here.
	Info     *exchange.API
	Routes   []table.Route
	Warnings []string

	log       *slog.Logger
	limits    connectors.Limits
	plan      string
	plans     []string              // those that are served, by id
	engine    *engine               // the flows
	cors      *cors                 // nil: none
	templates map[string][]template // by the key of failures
	// templatesUse is what they read of a request, which streams have to keep.
	templatesUse policies.Uses
	entrypoints  []entrypoint               // in the order in which they are asked
	drainers     bool                       // one of them is a drainer
	push         map[string]*pushEntrypoint // those that serve push subscriptions, by type in lower case
	pushPlans    map[string]bool            // the plans that push subscriptions may be of
	endpoints    []endpoint
	held         *held // what policies and resources hold

	// A request counts itself and only then looks at draining, and a drain does it the other way round, so one of the two
	// sees the other. Subscriptions do the same with closed.
	entering atomic.Int64 // requests whose handler may still detach its connection
	handlers atomic.Int64 // requests whose handler keeps its connection to the end
	streams  atomic.Int64 // subscriptions, opened or being opened
	pushes   atomic.Int64 // push subscriptions being served
	draining atomic.Bool  // requests go to the next revision; detached streams are told to reconnect
	redeploy atomic.Bool  // why it drains
	expired  atomic.Bool  // the drain ran out of time: everybody is told
	closed   atomic.Bool  // no subscription is opened any more
	ended    atomic.Bool  // Run is about to return
	idle     chan struct{}

	mu sync.Mutex
	// guards the following
	subscriptions map[*subscription]struct{}
}

// entrypoint is one way of asking, with everything that its requests need.
type entrypoint struct {
	connectors.Entrypoint
	typ      string
	criteria int
	level    qos.Level
	drainer  connectors.Drainer // nil: its connections end with their handlers
	backend  *backend
	counters *meter.Counters
	// context is what its handlers get: not of one call but of the revision, so it is kept. For a drainer it ends as soon as
	// a drain has let the last handler in, else when the drain runs out of time. Run sets it before the API is served.
	context context.Context
}

// endpoint is one endpoint that Run runs.
type endpoint struct {
	connectors.Endpoint
	name string
}

// Outcome is what became of a request.
type Outcome uint8

// Outcomes.
const (
	Served       Outcome = iota
	NoEntrypoint         // no entrypoint of the API takes such a request; nothing was written
	Draining             // this revision is ending: ask the table again; nothing was written
	Panicked             // contained; the response is a 500 that has lost all earlier headers
)

// Serve hands the exchange to the entrypoint that matches its request (spec 2.0). x carries what does not depend on the
// API; the rest is set here.
func (a *API) Serve(x *exchange.Exchange) (outcome Outcome) {
	counted := &a.entering
	counted.Add(1)
	if a.draining.Load() {
		a.release(counted)
		return Draining
	}
	http, start, counters := x.HTTP, time.Now(), (*meter.Counters)(nil)
	defer func() {
		if p := recover(); p != nil {
			a.panicked(http, counters, p)
			outcome = Panicked
		}
		if counters != nil {
			counters.InFlight.Add(-1)
			counters.Request(http.Response.StatusCode(), time.Since(start))
		}
		a.release(counted)
	}()
	if a.cors != nil && a.cross(x) {
		return Served
	}
	for i := range a.entrypoints {
		e := &a.entrypoints[i]
		if !e.Match(http) {
			continue
		}
		counters = e.counters
		counters.InFlight.Add(1)
		if a.drainers && e.drainer == nil {
			a.handlers.Add(1)
			a.release(counted)
			counted = &a.handlers
		}
		x.API, x.Entrypoint, x.QoS = a.Info, e.typ, e.level
		x.Plan, x.Application = a.plan, anonymous
		if !a.enter(e, x) {
			return Served
		}
		e.Handle(e.context, x, e.backend)
		if !x.Detached() {
			a.leave(e, x)
		}
		return Served
	}
	return NoEntrypoint
}

// release takes one from a count, and tells a waiting drain when there is none left.
func (a *API) release(n *atomic.Int64) {
	if n.Add(-1) == 0 && a.draining.Load() {
		if a.ended.Load() {
			a.letGo() // the drain did not wait for this one
		}
		select {
		case a.idle <- struct{}{}:
		default:
		}
	}
}

// panicked answers for a handler that panicked. Every power of two is logged, so that a request that kills its handler
// each time cannot fill the disk.
func (a *API) panicked(http *fasthttp.RequestCtx, counters *meter.Counters, p any) {
	http.Hijack(nil)
	http.Response.Reset()
	http.Error(fasthttp.StatusMessage(fasthttp.StatusInternalServerError), fasthttp.StatusInternalServerError)
	http.SetConnectionClose()
	if counters == nil {
		return
	}
	if n := counters.Panics.Add(1); n&(n-1) == 0 {
		a.log.Error("panic contained", "err", p, "count", n, "stack", string(debug.Stack()))
	}
}
