package workernode

import (
	"context"
	"crypto/ed25519"

	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/proto/join"
)

// sink hands what the feed brings to the worker, and back what became of it.
type sink struct{ worker *dataplane.Worker }

// states translates the reactor's words into the feed's.
var states = map[reactor.State]feed.State{reactor.Serving: feed.Serving, reactor.Failed: feed.Failed, reactor.Rejected: feed.Rejected}

// Apply implements feed.Sink.
func (s sink) Apply(ctx context.Context, u feed.Update) []feed.Result {
	update := reactor.Update{Revision: u.Revision, Removed: u.Removed, Full: u.Full, Changed: make([]reactor.Deployment, 0, len(u.Changed))}
	for _, d := range u.Changed {
		update.Changed = append(update.Changed, reactor.Deployment{ID: d.APIID, Revision: d.Revision, Bundle: d.Definition})
	}
	results := s.worker.Apply(ctx, update)
	out := make([]feed.Result, 0, len(results))
	for _, r := range results {
		text := ""
		if r.Err != nil {
			text = r.Err.Error()
		}
		out = append(out, feed.Result{APIID: r.ID, Revision: r.Revision, State: states[r.State], Serving: r.Serving, Error: text})
	}
	return out
}

func trusted(t join.Token) []ed25519.PublicKey { return []ed25519.PublicKey{t.BundleKey} }
