package push

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// SubscriptionState is how a subscription stands on a worker.
type SubscriptionState struct {
	Worker   string
	ID       string
	Revision uint64 // that it is about; of Failed, what the control plane weighs it by
	State    SubscriptionKind
	Cause    string
	Since    time.Time // by the worker's clock
	Lag      *uint64   // messages that wait; nil: not known
}

// SubscriptionKind is what a worker does with a subscription.
type SubscriptionKind string

// Kinds.
const (
	SubscriptionPending  SubscriptionKind = "pending" // the worker has not said that it has the revision
	SubscriptionRunning  SubscriptionKind = "running"
	SubscriptionRetrying SubscriptionKind = "retrying"
	SubscriptionResting  SubscriptionKind = "resting" // the subscriber's circuit is open
	SubscriptionFailed   SubscriptionKind = "failed"  // trying again would not help
	SubscriptionEnded    SubscriptionKind = "ended"
	SubscriptionUnknown  SubscriptionKind = "unknown" // too many do not run on the worker to list them all
)

var subscriptionKinds = map[wire.SubscriptionState]SubscriptionKind{
	wire.SubscriptionState_SUBSCRIPTION_STATE_RUNNING:  SubscriptionRunning,
	wire.SubscriptionState_SUBSCRIPTION_STATE_RETRYING: SubscriptionRetrying,
	wire.SubscriptionState_SUBSCRIPTION_STATE_RESTING:  SubscriptionResting,
	wire.SubscriptionState_SUBSCRIPTION_STATE_FAILED:   SubscriptionFailed,
	wire.SubscriptionState_SUBSCRIPTION_STATE_ENDED:    SubscriptionEnded,
}

// ReplayEnd is a replay that is over on a worker.
type ReplayEnd struct {
	Worker, Subscription, Replay string
	Error                        string // empty: it came to its end
}

// takeSubscriptions enters what a status says of subscriptions.
func (w *tracked) takeSubscriptions(s *wire.Status) {
	w.subscriptions = make(map[string]SubscriptionState, len(s.GetSubscriptions()))
	for _, sub := range s.GetSubscriptions() {
		kind, known := subscriptionKinds[sub.GetState()]
		if !known { // of a later version
			kind = SubscriptionUnknown
		}
		w.subscriptions[sub.GetSubscriptionId()] = SubscriptionState{
			Worker: w.Name, ID: sub.GetSubscriptionId(), Revision: sub.GetRevision(), State: kind,
			Cause: sub.GetCause(), Since: time.UnixMilli(sub.GetSinceMs()).UTC(), Lag: sub.Lag,
		}
	}
	w.unlisted = int(s.GetSubscriptionsTotal()) > len(s.GetSubscriptions())
	for _, r := range s.GetReplays() {
		w.ended = append(w.ended, ReplayEnd{Worker: w.Name, Subscription: r.GetSubscriptionId(), Replay: r.GetReplayId(), Error: r.GetError()})
	}
}

// stands says how the subscription stands on a worker that should serve it.
func (w *tracked) stands(id string, t target) SubscriptionState {
	out := SubscriptionState{Worker: w.Name, ID: id, Revision: t.revision, State: SubscriptionPending}
	if !w.appliedAny(t) {
		return out
	}
	if s, listed := w.subscriptions[id]; listed && s.Revision >= t.revision {
		return s
	}
	out.State = SubscriptionRunning
	if w.unlisted {
		out.State = SubscriptionUnknown
	}
	return out
}

// appliedAny tells whether the worker has applied the revision in a stream that brings it.
func (w *tracked) appliedAny(t target) bool {
	goal := wire.At{Epoch: t.at.Epoch, Revision: t.revision}
	return slices.ContainsFunc(w.Streams, func(s StreamState) bool {
		return slices.Contains(t.streams, s.Stream) && !s.Applied.Before(goal)
	})
}

// Subscription says how a subscription stands on each live worker that should serve it, by name, as far as they have said.
func (p *Pusher) Subscription(id string) []SubscriptionState {
	t := p.index.target(Key{Item: wire.ItemSubscription, ID: id})
	var out []SubscriptionState
	if t.removed {
		return nil
	}
	for _, w := range p.tracker.view(time.Now()).live {
		if t.concerns(w) {
			out = append(out, w.stands(id, t))
		}
	}
	return out
}

// Failed lists the subscriptions that a live worker has given up, each once, as the worker last said.
func (p *Pusher) Failed() []SubscriptionState {
	byID := map[string]SubscriptionState{}
	for _, w := range p.tracker.view(time.Now()).live {
		for id, s := range w.subscriptions {
			if s.State == SubscriptionFailed && s.Revision >= byID[id].Revision {
				byID[id] = s
			}
		}
	}
	out := make([]SubscriptionState, 0, len(byID))
	for _, s := range byID {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b SubscriptionState) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Ended lists the replays that are over on live workers.
func (p *Pusher) Ended() (out []ReplayEnd) {
	for _, w := range p.tracker.view(time.Now()).live {
		out = append(out, w.ended...)
	}
	return out
}

// Candidates lists the live workers that should serve the subscription, by name, and tells whether every live worker must
// be among them: a node that has just begun to listen does not know them all.
func (p *Pusher) Candidates(id string) (workers []string, settled bool) {
	t := p.index.target(Key{Item: wire.ItemSubscription, ID: id})
	v := p.tracker.view(time.Now())
	for _, w := range v.live {
		if !t.removed && t.concerns(w) {
			workers = append(workers, w.Name)
		}
	}
	return workers, v.settled
}
