package dataplane

import (
	"context"

	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
)

// Sink returns the worker as a feed from the control plane sees it.
func (w *Worker) Sink() feed.Sink { return sink{w} }

// sink translates between the feed's words and the reactor's.
type sink struct{ w *Worker }

// Apply implements feed.Sink.
func (s sink) Apply(ctx context.Context, u feed.Update) []feed.Result {
	out := reactor.Update{Revision: u.Revision, Removed: u.Removed, Full: u.Full, Changed: make([]reactor.Deployment, len(u.Changed))}
	for i, d := range u.Changed {
		out.Changed[i] = reactor.Deployment{ID: d.APIID, Revision: d.Revision, Bundle: d.Definition}
	}
	var results []feed.Result
	for _, r := range s.w.Apply(ctx, out) {
		if r.State == reactor.Serving {
			continue // the feed hears only of what is not served as sent
		}
		results = append(results, feed.Result{APIID: r.ID, Revision: r.Revision, State: states[r.State], Serving: r.Serving, Error: r.Err.Error()})
	}
	return results
}

var states = map[reactor.State]feed.State{reactor.Failed: feed.Failed, reactor.Rejected: feed.Rejected}
