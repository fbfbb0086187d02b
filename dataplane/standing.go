package dataplane

import (
	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/feed"
)

// Standing returns what the dispatcher knows as a feed tells it to the control plane.
func Standing(d *dispatch.Dispatcher) feed.Subscriptions { return standing{d} }

type standing struct{ d *dispatch.Dispatcher }

// States implements feed.Subscriptions.
func (s standing) States() []feed.SubscriptionState {
	all := s.d.States()
	out := make([]feed.SubscriptionState, 0, len(all))
	for _, one := range all {
		kind := kinds[one.State]
		if kind == feed.Running && one.Replay == "" {
			continue // simply runs, or is about to
		}
		out = append(out, feed.SubscriptionState{ID: one.ID, Replay: one.Replay, State: kind, Cause: one.FailureCause, Since: one.Since})
	}
	return out
}

// Attempts implements feed.Subscriptions.
func (s standing) Attempts(id string) []connectors.Attempt { return s.d.Attempts(id) }

var kinds = map[dispatch.Kind]feed.SubscriptionKind{
	dispatch.Waiting: feed.Running, dispatch.Running: feed.Running, dispatch.Resting: feed.Resting,
	dispatch.Retrying: feed.Retrying, dispatch.Failed: feed.FailedSubscription, dispatch.Ended: feed.Ended,
}
