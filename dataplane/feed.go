package dataplane

import (
	"context"
	"log/slog"
	"slices"

	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/proto/bundle"
)

// Dispatcher runs push subscriptions.
type Dispatcher interface {
	// Apply makes the changed subscriptions what is served, besides those that did not change, and ends the removed ones;
	// with full, changed is everything. It is called from one goroutine and returns at once. A subscription whose API is
	// not served here waits for it.
	Apply(ctx context.Context, changed []*bundle.Subscription, removed []string, full bool)
}

// Sink returns the worker of that name as a feed from the control plane sees it. Subscriptions go to d; nil: none is served.
func (w *Worker) Sink(name string, d Dispatcher, log *slog.Logger) feed.Sink {
	return sink{w, name, d, log}
}

// sink translates between the feed's words and those of the reactor and the dispatcher.
type sink struct {
	w          *Worker
	name       string
	dispatcher Dispatcher
	log        *slog.Logger
}

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
	if s.dispatcher != nil && (u.Full || len(u.Subscriptions)+len(u.RemovedSubscriptions) > 0) { // after the APIs, which they need
		s.dispatcher.Apply(ctx, s.subscriptions(u.Subscriptions), u.RemovedSubscriptions, u.Full)
	}
	return results
}

// subscriptions decodes what is to be served. What cannot be read is left as it is served now.
func (s sink) subscriptions(in []feed.SubscriptionChange) []*bundle.Subscription {
	out := make([]*bundle.Subscription, 0, len(in))
	for _, c := range in {
		sub, err := bundle.DecodeSubscription(c.Definition)
		if err != nil {
			s.log.Error("subscription not changed", "subscription", c.ID, "revision", c.Revision, "err", err)
			continue
		}
		sub.Replays = slices.DeleteFunc(sub.Replays, func(r bundle.Replay) bool { return r.Worker != s.name })
		out = append(out, sub)
	}
	return out
}

var states = map[reactor.State]feed.State{reactor.Failed: feed.Failed, reactor.Rejected: feed.Rejected}
