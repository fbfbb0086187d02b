// Package reactor keeps a worker's APIs as its updates say: it builds what is new, swaps one atomic pointer and drains
// what was replaced. Where building fails, the old revision goes on serving and the reason is reported.
//
// Run owns everything: one goroutine that takes the updates one after the other, and one per API that runs it to the
// end of its drain. Apply, States and Serve may be called from any.
package reactor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/table"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Update leads from what is served to what is to be served at Revision.
type Update struct {
	Revision uint64
	Changed  []Deployment
	Removed  []string
	Full     bool // Changed is everything: what is served besides goes
}

// Deployment is one revision of an API.
type Deployment struct {
	ID       string
	Revision uint64
	Bundle   []byte // see proto/bundle
}

// State says what became of a deployment.
type State string

// States.
const (
	Serving  State = "serving"
	Failed   State = "failed"   // it could not be built; an older revision may be served in its place
	Rejected State = "rejected" // it is not a definition that this worker can read
)

// Result is what became of one changed API.
type Result struct {
	ID       string
	Revision uint64
	State    State
	Serving  uint64 // the revision that is served; 0: none
	Err      error  // what is in the way, for the user; nil where it serves
}

// Reactor serves APIs.
type Reactor struct {
	cfg     flow.Config
	log     *slog.Logger
	table   atomic.Pointer[table.Table[*flow.API]]
	updates chan request
	watch   func(ids []string) // see Watch

	mu sync.RWMutex
	// guards the following
	states map[string]Status
	served map[string]*flow.API
}

// ErrNotDeployed is what Push returns for an API that is not served here.
var ErrNotDeployed = errors.New("the API is not deployed here")

type request struct {
	update Update
	answer chan []Result
}

// New returns a reactor that serves nothing yet.
func New(cfg flow.Config) *Reactor {
	r := &Reactor{cfg: cfg, log: cfg.Log, updates: make(chan request),
		watch: func([]string) {}, states: map[string]Status{}, served: map[string]*flow.API{}}
	r.table.Store(new(table.Table[*flow.API]))
	return r
}

// Watch names who is told, after each update, which APIs are served anew or no longer: from the goroutine of Run, which waits
// for it. Called before Run.
func (r *Reactor) Watch(f func(ids []string)) { r.watch = f }

// Push serves a push subscription by the API of that id, as flow.API.Push does. flow.ErrEnded: try again at once, the next
// revision is served already. ErrNotDeployed: there is nothing to try before Watch tells of the API.
func (r *Reactor) Push(ctx context.Context, id string, p *flow.Push) error {
	for before := (*flow.API)(nil); ; {
		r.mu.RLock()
		api := r.served[id]
		r.mu.RUnlock()
		if api == nil || api == before { // the same one: it ends and nothing takes its place
			return ErrNotDeployed
		}
		before = api
		if err := api.Push(ctx, p); !errors.Is(err, flow.ErrDraining) {
			return err
		}
	}
}

// Apply makes u what is served and returns a result for each changed API. It waits for Run to take it. Where ctx ends
// first it returns nothing, and the update may still be carried out.
func (r *Reactor) Apply(ctx context.Context, u Update) []Result {
	req := request{u, make(chan []Result, 1)}
	select {
	case r.updates <- req:
	case <-ctx.Done():
		return nil
	}
	select {
	case results := <-req.answer:
		return results
	case <-ctx.Done():
		return nil
	}
}

// Serve finds the API for a request and serves it. NoEntrypoint: no API has such a path, or none of its entrypoints takes
// such a request. Draining: the worker stops. In both cases nothing was written.
func (r *Reactor) Serve(x *exchange.Exchange, host, path []byte) flow.Outcome {
	for before := (*flow.API)(nil); ; {
		m, ok := r.table.Load().Lookup(host, path)
		if !ok {
			return flow.NoEntrypoint
		}
		if m.Value == before {
			return flow.Draining // it ends and nothing took its place
		}
		before = m.Value
		x.ContextPath = m.ContextPath
		x.PathInfo = pathInfo(path, m.Rest)
		if outcome := m.Value.Serve(x); outcome != flow.Draining {
			return outcome
		}
	}
}

// pathInfo copies the rest of the path; the most common one costs nothing.
func pathInfo(path []byte, rest int) string {
	if len(path)-rest <= 1 {
		return "/"
	}
	return string(path[rest:])
}
