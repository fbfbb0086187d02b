package fsm

import (
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/proto/command"
)

// DefaultApplication is the application of subscriptions that name none (spec 7.1). It stands for nobody in particular, so
// it may subscribe to the same thing more than once.
const DefaultApplication = "1"

// Subscription is one subscription's record (spec 7.4). Times are in milliseconds since 1970 UTC, by the leader's clock;
// 0: never.
type Subscription struct {
	ID, API, Plan, Application string
	Security                   string // of the plan; empty: push
	Status                     command.SubscriptionStatus
	ConsumerStatus             command.ConsumerStatus
	Origin                     string
	Request, Reason            string // the consumer's word and the publisher's
	Metadata                   map[string]string
	Consumer                   Consumer
	FailureCause               string
	Replays                    []Replay // oldest first
	SubscribedBy, ProcessedBy  string

	StartingAtMS, EndingAtMS         int64
	CreatedAtMS, UpdatedAtMS         int64
	ProcessedAtMS, ClosedAtMS        int64
	PausedAtMS, ConsumerPausedAtMS   int64
	Version, Revision, ActivatedFrom uint64 // raft indexes of the last change, of what workers are told, and of the last one after which a failed delivery may go well
}

// Consumer is how and where a push subscription is delivered.
type Consumer struct {
	EntrypointID  string // the type, such as webhook
	Channel       string // narrows the API's channel; empty: all of it
	Configuration []byte // JSON; holds secrets
}

// Replay is a part of the past that is delivered again, beside the live delivery.
type Replay struct {
	ID, From, Until      string // from and until are cursors; until empty: what was there when it began
	State                command.ReplayState
	CreatedAtMS, EndedMS int64
	Error                string
	Worker               string // that runs it, since every one that did would deliver all of it; empty until one is chosen
}

// Push reports whether Sluice calls the subscriber, rather than being called.
func (s *Subscription) Push() bool { return s.Security == "" }

// open reports whether the subscription is neither refused nor over.
func (s *Subscription) open() bool {
	return s.Status != command.SubscriptionStatus_SUBSCRIPTION_STATUS_REJECTED && s.Status != command.SubscriptionStatus_SUBSCRIPTION_STATUS_CLOSED
}

// known reports whether workers know the subscription while its API is served: a paused one keeps its place, and so its
// saved positions, where a closed one gives them up.
func (s *Subscription) known() bool {
	return s.Status == command.SubscriptionStatus_SUBSCRIPTION_STATUS_ACCEPTED || s.Status == command.SubscriptionStatus_SUBSCRIPTION_STATUS_PAUSED
}

// Dispatched reports whether workers are to deliver to the subscriber, within its times (spec 7.5).
func (s *Subscription) Dispatched() bool {
	return s.Status == command.SubscriptionStatus_SUBSCRIPTION_STATUS_ACCEPTED && s.ConsumerStatus == command.ConsumerStatus_CONSUMER_STATUS_STARTED
}

// taken is what no second open subscription may have: the application's place at the plan and, of a push plan, the
// entrypoint and the channel. Empty: anybody may.
func (s *Subscription) taken() string {
	if s.Application == DefaultApplication || !s.open() {
		return ""
	}
	return s.Plan + "\x00" + s.Application + "\x00" + s.Consumer.EntrypointID + "\x00" + s.Consumer.Channel
}

func memberKey(api, id string) string { return api + "\x00" + id }

// Subscription returns the record with this id, or nil.
func (s *State) Subscription(id string) *Subscription {
	sub, _ := s.subscriptions.Get(id)
	return sub
}

// Subscriptions yields every record by id.
func (s *State) Subscriptions(yield func(*Subscription) bool) {
	for it := s.subscriptions.Iterator(); !it.Done(); {
		_, sub, _ := it.Next()
		if !yield(sub) {
			return
		}
	}
}

// SubscriptionsOf yields the records of an API by id.
func (s *State) SubscriptionsOf(api string) func(yield func(*Subscription) bool) {
	return func(yield func(*Subscription) bool) {
		it := s.members.Iterator()
		for it.Seek(memberKey(api, "")); !it.Done(); {
			key, id, _ := it.Next()
			if key != memberKey(api, id) || !yield(s.Subscription(id)) {
				return
			}
		}
	}
}

// Known yields what workers are to know of: the subscriptions of served APIs that were accepted and not closed, with
// their APIs.
func (s *State) Known(yield func(*Subscription, *API) bool) {
	for sub := range s.Subscriptions {
		if a := s.KnownAt(sub); a != nil && !yield(sub, a) {
			return
		}
	}
}

// KnownAt returns the API of a subscription that workers are to know of, nil for another.
func (s *State) KnownAt(sub *Subscription) *API {
	if a := s.API(sub.API); sub.known() && a != nil && a.Started && a.Deployed != nil {
		return a
	}
	return nil
}

// PushedAs is the revision under which workers get the subscription: of its last change, or of its API's coming to where
// it is served now.
func (s *Subscription) PushedAs(a *API) uint64 { return max(s.Revision, a.Deployed.Placed) }

// clone copies what a change may write to.
func (s *Subscription) clone() *Subscription {
	c := *s
	c.Replays = slices.Clone(s.Replays)
	return &c
}

// saveSubscription stores a new or changed record in place of old, which may be nil.
func (c *change) saveSubscription(old, s *Subscription) (*command.Result, *command.Error) {
	s.Version, s.Revision, s.UpdatedAtMS = c.state.index, c.state.index, c.state.atMS
	if key := s.taken(); key != "" {
		if owner, found := c.state.subscribers.Get(key); found && owner != s.ID {
			return nil, refuse(command.Code_CODE_PLAN_SUBSCRIBED, []string{"plan", s.Plan, "subscription", owner},
				"Plan [%s] is already subscribed by application [%s]: change subscription [%s], close it first, or choose another channel", s.Plan, s.Application, owner)
		}
	}
	told := old != nil && c.state.KnownAt(old) != nil
	if old != nil {
		c.state.vacate(old)
	}
	if key := s.taken(); key != "" {
		c.state.subscribers = c.state.subscribers.Set(key, s.ID)
	}
	c.state.subscriptions = c.state.subscriptions.Set(s.ID, s)
	c.state.members = c.state.members.Set(memberKey(s.API, s.ID), s.ID)
	c.state.noteReplays(s)
	result := &command.Result{Version: s.Version}
	if told || c.state.KnownAt(s) != nil {
		c.touch(touchedSubscription, s.ID)
		result.Revision = c.state.index
	}
	return result, nil
}

// noteReplays keeps track of who has a running replay.
func (s *State) noteReplays(sub *Subscription) {
	if slices.ContainsFunc(sub.Replays, func(r Replay) bool { return r.State == command.ReplayState_REPLAY_STATE_RUNNING }) {
		s.replaying = s.replaying.Set(sub.ID, sub.ID)
	} else if _, was := s.replaying.Get(sub.ID); was {
		s.replaying = s.replaying.Delete(sub.ID)
	}
}

// Replaying yields the subscriptions that have a running replay, by id.
func (s *State) Replaying(yield func(*Subscription) bool) {
	for it := s.replaying.Iterator(); !it.Done(); {
		id, _, _ := it.Next()
		if !yield(s.Subscription(id)) {
			return
		}
	}
}

func (s *State) vacate(old *Subscription) {
	if key := old.taken(); key != "" {
		s.subscribers = s.subscribers.Delete(key)
	}
}

// closeSubscriptions closes the open subscriptions of an API's plan.
func (c *change) closeSubscriptions(api, plan string) *command.Error {
	for s := range c.state.SubscriptionsOf(api) {
		if s.Plan != plan || !s.open() {
			continue
		}
		closed := s.clone()
		c.close(closed)
		if _, refusal := c.saveSubscription(s, closed); refusal != nil {
			return refusal
		}
	}
	return nil
}

// dropSubscriptions removes the subscriptions of an API, or of one plan of it.
func (c *change) dropSubscriptions(a *API, plan string) {
	for s := range c.state.SubscriptionsOf(a.ID) {
		if plan != "" && s.Plan != plan {
			continue
		}
		told := c.state.KnownAt(s) != nil
		c.state.vacate(s)
		c.state.subscriptions = c.state.subscriptions.Delete(s.ID)
		c.state.members = c.state.members.Delete(memberKey(a.ID, s.ID))
		c.state.replaying = c.state.replaying.Delete(s.ID)
		if told {
			c.touch(touchedSubscription, s.ID)
		}
	}
}

func encodeSubscription(s *Subscription) *command.Subscription {
	out := &command.Subscription{
		Id: s.ID, ApiId: s.API, PlanId: s.Plan, Application: s.Application, Security: s.Security,
		Status: s.Status, ConsumerStatus: s.ConsumerStatus, Origin: s.Origin, Request: s.Request, Reason: s.Reason,
		Metadata:     s.Metadata,
		Consumer:     &command.Consumer{EntrypointId: s.Consumer.EntrypointID, Channel: s.Consumer.Channel, Configuration: s.Consumer.Configuration},
		StartingAtMs: s.StartingAtMS, EndingAtMs: s.EndingAtMS, CreatedAtMs: s.CreatedAtMS, UpdatedAtMs: s.UpdatedAtMS,
		ProcessedAtMs: s.ProcessedAtMS, ClosedAtMs: s.ClosedAtMS, PausedAtMs: s.PausedAtMS, ConsumerPausedAtMs: s.ConsumerPausedAtMS,
		SubscribedBy: s.SubscribedBy, ProcessedBy: s.ProcessedBy, FailureCause: s.FailureCause,
		Version: s.Version, Revision: s.Revision, Activated: s.ActivatedFrom,
	}
	for _, r := range s.Replays {
		out.Replays = append(out.Replays, &command.Replay{
			Id: r.ID, From: r.From, Until: r.Until, State: r.State, CreatedAtMs: r.CreatedAtMS, EndedAtMs: r.EndedMS, Error: r.Error, Worker: r.Worker,
		})
	}
	return out
}

// decodeSubscription is the inverse of encodeSubscription.
func decodeSubscription(in *command.Subscription) *Subscription {
	s := &Subscription{
		ID: in.GetId(), API: in.GetApiId(), Plan: in.GetPlanId(), Application: in.GetApplication(), Security: in.GetSecurity(),
		Status: in.GetStatus(), ConsumerStatus: in.GetConsumerStatus(), Origin: in.GetOrigin(), Request: in.GetRequest(), Reason: in.GetReason(),
		Metadata: maps.Clone(in.GetMetadata()), Consumer: consumer(in.GetConsumer()),
		StartingAtMS: in.GetStartingAtMs(), EndingAtMS: in.GetEndingAtMs(), CreatedAtMS: in.GetCreatedAtMs(), UpdatedAtMS: in.GetUpdatedAtMs(),
		ProcessedAtMS: in.GetProcessedAtMs(), ClosedAtMS: in.GetClosedAtMs(), PausedAtMS: in.GetPausedAtMs(), ConsumerPausedAtMS: in.GetConsumerPausedAtMs(),
		SubscribedBy: in.GetSubscribedBy(), ProcessedBy: in.GetProcessedBy(), FailureCause: in.GetFailureCause(),
		Version: in.GetVersion(), Revision: in.GetRevision(), ActivatedFrom: in.GetActivated(),
	}
	for _, r := range in.GetReplays() {
		s.Replays = append(s.Replays, Replay{
			ID: r.GetId(), From: r.GetFrom(), Until: r.GetUntil(), State: r.GetState(),
			CreatedAtMS: r.GetCreatedAtMs(), EndedMS: r.GetEndedAtMs(), Error: r.GetError(), Worker: r.GetWorker(),
		})
	}
	return s
}

func consumer(in *command.Consumer) Consumer {
	return Consumer{EntrypointID: in.GetEntrypointId(), Channel: in.GetChannel(), Configuration: in.GetConfiguration()}
}
