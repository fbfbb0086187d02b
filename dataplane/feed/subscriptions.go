package feed

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// heldSubscription is what the sink was last given of a subscription, and when. A state that began before is about what it
// had before.
type heldSubscription struct {
	revision, before uint64
	at               time.Time
}

// standing is how the subscriptions stood at the last look.
type standing struct {
	stale bool      // States has changed since
	taken time.Time // when it was looked
	wake  *time.Timer
	list  []*wire.SubscriptionStatus
	over  []*wire.ReplayStatus
	total int
}

// hold notes what the sink has of the subscriptions. The lock is held.
func (r *reporter) hold(u Update) {
	if r.cfg.Subscriptions == nil {
		return
	}
	now := time.Now()
	for _, c := range u.Subscriptions {
		r.held[c.ID] = heldSubscription{revision: c.Revision, before: r.held[c.ID].revision, at: now}
	}
	for _, id := range u.RemovedSubscriptions {
		delete(r.held, id)
	}
	r.standing.stale = r.standing.stale || len(u.Subscriptions)+len(u.RemovedSubscriptions) > 0
}

// subscriptionsChanged has the next status tell how subscriptions stand.
func (r *reporter) subscriptionsChanged() {
	r.mu.Lock()
	r.standing.stale = true
	r.mu.Unlock()
	r.wake()
}

// subscriptions puts into a status how the subscriptions stand. A look that comes too soon is put off: the status then says
// what the last one said. The lock is held while States is asked, so that what a state is taken for is never newer than it.
func (r *reporter) subscriptions(s *wire.Status) {
	st := &r.standing
	if wait := statesEvery - time.Since(st.taken); st.stale && wait > 0 {
		if st.wake == nil {
			st.wake = time.AfterFunc(wait, r.wake)
		} else {
			st.wake.Reset(wait)
		}
	} else if st.stale && r.cfg.Subscriptions != nil {
		st.stale, st.taken = false, time.Now()
		r.look(r.cfg.Subscriptions.States())
	}
	s.Subscriptions, s.Replays, s.SubscriptionsTotal = st.list, st.over, uint32(st.total) //nolint:gosec // bounded by MaxItems
}

// look takes the states in. The lock is held.
func (r *reporter) look(all []SubscriptionState) {
	st := &r.standing
	st.list, st.over, st.total = nil, nil, 0
	var live []SubscriptionState
	for _, one := range all {
		switch {
		case one.Replay == "" && (one.State != Running || one.Lag != nil):
			live = append(live, one)
		case one.Replay != "" && (one.State == Ended || one.State == FailedSubscription) && len(st.over) < wire.MaxFailing:
			over := &wire.ReplayStatus{SubscriptionId: one.ID, ReplayId: one.Replay}
			if one.State == FailedSubscription {
				over.Error = clip(cmp.Or(one.Cause, "it failed"), wire.MaxErrorBytes)
			}
			st.over = append(st.over, over)
		}
	}
	st.total = len(live)
	slices.SortFunc(live, func(x, y SubscriptionState) int {
		return cmp.Or(cmp.Compare(rank(x.State), rank(y.State)), y.Since.Compare(x.Since), cmp.Compare(x.ID, y.ID))
	})
	for i, one := range live[:min(len(live), wire.MaxFailing)] {
		status := &wire.SubscriptionStatus{
			SubscriptionId: one.ID, Revision: r.revisionOf(one), State: subscriptionStates[one.State], SinceMs: millis(one.Since), Lag: one.Lag,
		}
		if i < wire.MaxFailingTexts {
			status.Cause = clip(one.Cause, wire.MaxErrorBytes)
		}
		st.list = append(st.list, status)
	}
}

// revisionOf is the revision that a state is about. The lock is held.
func (r *reporter) revisionOf(s SubscriptionState) uint64 {
	h := r.held[s.ID]
	if s.Since.Before(h.at) && h.before != 0 {
		return h.before
	}
	return h.revision
}

// rank puts what somebody has to act upon first.
func rank(k SubscriptionKind) int {
	return slices.Index([]SubscriptionKind{FailedSubscription, Retrying, Resting, Ended, Running}, k)
}

var subscriptionStates = map[SubscriptionKind]wire.SubscriptionState{
	Running: wire.SubscriptionState_SUBSCRIPTION_STATE_RUNNING, Retrying: wire.SubscriptionState_SUBSCRIPTION_STATE_RETRYING,
	Resting: wire.SubscriptionState_SUBSCRIPTION_STATE_RESTING, FailedSubscription: wire.SubscriptionState_SUBSCRIPTION_STATE_FAILED,
	Ended: wire.SubscriptionState_SUBSCRIPTION_STATE_ENDED,
}

// rest ends what would wake the reporter.
func (r *reporter) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.standing.wake != nil {
		r.standing.wake.Stop()
	}
}
