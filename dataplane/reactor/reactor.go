// Package reactor keeps a worker's APIs as its updates say: it builds what is new, swaps one atomic pointer and drains
// what was replaced. Where building fails, the old revision goes on serving and the reason is reported.
//
// Run owns everything: one goroutine that takes the updates one after the other, and one per API that runs it to the
// end of its drain. Apply, States and Serve may be called from any.
package reactor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	ID           string
	Organization string
	Environment  string
	Tags         []string
	Revision     uint64
	Definition   []byte // the normal form of apidef.API as JSON, plans included
	DeployedAt   time.Time
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

	mu sync.RWMutex
	// guards the following
	states map[string]Status
}

type request struct {
	update Update
	answer chan []Result
}

// New returns a reactor that serves nothing yet.
func New(cfg flow.Config) *Reactor {
	r := &Reactor{cfg: cfg, log: cfg.Log, updates: make(chan request), states: map[string]Status{}}
	r.table.Store(new(table.Table[*flow.API]))
	return r
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
