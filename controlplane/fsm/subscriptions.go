package fsm

import (
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/proto/command"
)

const (
	pending  = command.SubscriptionStatus_SUBSCRIPTION_STATUS_PENDING
	rejected = command.SubscriptionStatus_SUBSCRIPTION_STATUS_REJECTED
	accepted = command.SubscriptionStatus_SUBSCRIPTION_STATUS_ACCEPTED
	over     = command.SubscriptionStatus_SUBSCRIPTION_STATUS_CLOSED
	paused   = command.SubscriptionStatus_SUBSCRIPTION_STATUS_PAUSED

	consumerStarted = command.ConsumerStatus_CONSUMER_STATUS_STARTED
	consumerStopped = command.ConsumerStatus_CONSUMER_STATUS_STOPPED
	consumerFailed  = command.ConsumerStatus_CONSUMER_STATUS_FAILURE

	replayRunning  = command.ReplayState_REPLAY_STATE_RUNNING
	replayFinished = command.ReplayState_REPLAY_STATE_FINISHED
	replayFailed   = command.ReplayState_REPLAY_STATE_FAILED
)

const (
	// maxReplaysRunning bounds the replays of a subscription that run at once: each reads the endpoint by itself.
	maxReplaysRunning = 8
	// maxReplays bounds those that a record holds; the oldest that are over are forgotten.
	maxReplays = 32
)

// loadSubscription returns a copy of the record to change, and the record.
func (c *change) loadSubscription(id string, expect uint64) (s, old *Subscription, refusal *command.Error) {
	old = c.state.Subscription(id)
	if old == nil {
		return nil, nil, refuse(command.Code_CODE_SUBSCRIPTION_NOT_FOUND, []string{"subscription", id}, "Subscription [%s] cannot be found.", id)
	}
	if expect != 0 && expect != old.Version {
		return nil, nil, refuse(command.Code_CODE_VERSION_MISMATCH, []string{"expected", fmt.Sprint(expect), "actual", fmt.Sprint(old.Version)},
			"Subscription [%s] was changed meanwhile: version %d was expected, it has %d; read it again", id, expect, old.Version)
	}
	return old.clone(), old, nil
}

func (c *change) putSubscription(p *command.PutSubscription) (*command.Result, *command.Error) {
	if p.GetSubscriptionId() == "" {
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "put subscription: an id is required")
	}
	if p.GetCreate() {
		s, refusal := c.newSubscription(p)
		if refusal != nil {
			return nil, refusal
		}
		return c.saveSubscription(nil, s)
	}
	s, old, refusal := c.loadSubscription(p.GetSubscriptionId(), p.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if !s.open() {
		return nil, s.stands(command.Code_CODE_SUBSCRIPTION_NOT_UPDATABLE, "cannot be updated: restore it first")
	}
	if refusal := s.describe(p); refusal != nil {
		return nil, refusal
	}
	s.ActivatedFrom = c.state.index
	return c.saveSubscription(old, s)
}

func (c *change) newSubscription(p *command.PutSubscription) (*Subscription, *command.Error) {
	if c.state.Subscription(p.GetSubscriptionId()) != nil {
		return nil, refuse(command.Code_CODE_SUBSCRIPTION_EXISTS, []string{"subscription", p.GetSubscriptionId()},
			"Subscription [%s] already exists: update it with PUT, or create it under another id", p.GetSubscriptionId())
	}
	a, refusal := c.load(p.GetApiId(), 0)
	if refusal != nil {
		return nil, refusal
	}
	plan := a.Plan(p.GetPlanId())
	if plan == nil {
		return nil, planNotFound(p.GetPlanId())
	}
	if refusal := plan.subscribable(); refusal != nil {
		return nil, refusal
	}
	s := &Subscription{
		ID: p.GetSubscriptionId(), API: a.ID, Plan: plan.ID, Application: p.GetApplication(), Security: plan.Security,
		Status: pending, ConsumerStatus: consumerStarted, Origin: p.GetOrigin(), Request: p.GetRequest(),
		SubscribedBy: c.cmd.GetActor(), CreatedAtMS: c.state.atMS, ActivatedFrom: c.state.index,
	}
	if s.Application == "" {
		s.Application = DefaultApplication
	}
	if refusal := s.describe(p); refusal != nil {
		return nil, refusal
	}
	if p.GetAccept() {
		c.process(s, accepted)
	}
	return s, nil
}

// subscribable refuses a plan that takes no new subscriptions (spec 7.4).
func (p *Plan) subscribable() *command.Error {
	params := []string{"plan", p.ID}
	switch {
	case p.Status == closed, p.Status == staging:
		return stands(p)
	case p.Status == deprecated:
		return refuse(command.Code_CODE_PLAN_NOT_SUBSCRIBABLE, params, "Plan [%s] is deprecated and takes no new subscriptions.", p.ID)
	case p.Security == keyless:
		return refuse(command.Code_CODE_PLAN_NOT_SUBSCRIBABLE, params, "Plan [%s] is keyless: it needs no subscription.", p.ID)
	}
	return nil
}

// describe takes over what the consumer says.
func (s *Subscription) describe(p *command.PutSubscription) *command.Error {
	s.Metadata, s.Consumer = p.GetMetadata(), consumer(p.GetConsumer())
	s.StartingAtMS, s.EndingAtMS = p.GetStartingAtMs(), p.GetEndingAtMs()
	if s.Push() && s.Consumer.EntrypointID == "" {
		return refuse(command.Code_CODE_SUBSCRIPTION_ENTRYPOINT_MISSING, []string{"plan", s.Plan},
			"The subscription configuration names no entrypointId, e.g. \"webhook\".")
	}
	return nil
}

// process settles what was pending.
func (c *change) process(s *Subscription, to command.SubscriptionStatus) {
	s.Status, s.ProcessedAtMS, s.ProcessedBy = to, c.state.atMS, c.cmd.GetActor()
	if to == accepted && s.StartingAtMS == 0 {
		s.StartingAtMS = c.state.atMS
	}
}

func (c *change) close(s *Subscription) {
	s.Status, s.ClosedAtMS, s.PausedAtMS = over, c.state.atMS, 0
	for i := range s.Replays {
		if s.Replays[i].State == replayRunning {
			s.Replays[i].State, s.Replays[i].EndedMS, s.Replays[i].Error = replayFailed, c.state.atMS, "the subscription was closed"
		}
	}
}

func (c *change) moveSubscription(m *command.MoveSubscription) (*command.Result, *command.Error) {
	s, old, refusal := c.loadSubscription(m.GetSubscriptionId(), m.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if refusal := c.step(s, m); refusal != nil {
		return nil, refusal
	}
	return c.saveSubscription(old, s)
}

// step moves s as m says, or refuses (spec 7.4).
func (c *change) step(s *Subscription, m *command.MoveSubscription) *command.Error {
	switch m.GetMove() {
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_ACCEPT, command.SubscriptionMove_SUBSCRIPTION_MOVE_REJECT:
		return c.decide(s, m)
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_PAUSE:
		if s.Status != accepted {
			return s.stands(command.Code_CODE_SUBSCRIPTION_NOT_PAUSABLE, "only an accepted one can be paused")
		}
		s.Status, s.PausedAtMS = paused, c.state.atMS
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_RESUME:
		if s.Status != paused {
			return s.stands(command.Code_CODE_SUBSCRIPTION_NOT_PAUSED, "only a paused one can be resumed")
		}
		s.Status, s.PausedAtMS, s.ActivatedFrom = accepted, 0, c.state.index
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_CLOSE:
		if !s.open() {
			return s.stands(command.Code_CODE_SUBSCRIPTION_CLOSED, "there is nothing to close")
		}
		c.close(s)
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_RESTORE:
		return c.restore(s)
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_STOP:
		if s.ConsumerStatus == consumerStopped {
			return s.consumerStands("already stopped")
		}
		s.ConsumerStatus, s.ConsumerPausedAtMS, s.FailureCause = consumerStopped, c.state.atMS, ""
	case command.SubscriptionMove_SUBSCRIPTION_MOVE_START:
		if s.ConsumerStatus == consumerStarted {
			return s.consumerStands("already started")
		}
		s.ConsumerStatus, s.ConsumerPausedAtMS, s.FailureCause, s.ActivatedFrom = consumerStarted, 0, "", c.state.index
	default:
		return refuse(command.Code_CODE_MALFORMED, nil, "move subscription: it says not where to")
	}
	return nil
}

// decide accepts or rejects what is pending.
func (c *change) decide(s *Subscription, m *command.MoveSubscription) *command.Error {
	if s.Status != pending {
		return s.stands(command.Code_CODE_SUBSCRIPTION_PROCESSED, "it was processed already")
	}
	s.Reason = m.GetReason()
	if m.GetMove() == command.SubscriptionMove_SUBSCRIPTION_MOVE_REJECT {
		c.process(s, rejected)
		return nil
	}
	if ms := m.GetStartingAtMs(); ms != 0 {
		s.StartingAtMS = ms
	}
	if ms := m.GetEndingAtMs(); ms != 0 {
		s.EndingAtMS = ms
	}
	c.process(s, accepted)
	s.ActivatedFrom = c.state.index
	return nil
}

// restore puts a subscription that is over back to where it has to be accepted.
func (c *change) restore(s *Subscription) *command.Error {
	if s.open() {
		return s.stands(command.Code_CODE_SUBSCRIPTION_NOT_CLOSED, "only a closed or rejected one can be restored")
	}
	a := c.state.API(s.API)
	plan := a.Plan(s.Plan)
	if plan == nil {
		return planNotFound(s.Plan)
	}
	if refusal := plan.subscribable(); refusal != nil {
		return refusal
	}
	s.Status, s.ClosedAtMS, s.ProcessedAtMS, s.ProcessedBy, s.Reason = pending, 0, 0, "", ""
	s.StartingAtMS = 0
	return nil
}

func (c *change) failSubscription(f *command.FailSubscription) (*command.Result, *command.Error) {
	s, old, refusal := c.loadSubscription(f.GetSubscriptionId(), 0)
	if refusal != nil {
		return nil, refusal
	}
	if !s.Dispatched() || f.GetRevision() < s.ActivatedFrom {
		return nil, s.stands(command.Code_CODE_SUBSCRIPTION_STALE, "the failure reported is no longer its state")
	}
	s.ConsumerStatus, s.FailureCause = consumerFailed, f.GetCause()
	return c.saveSubscription(old, s)
}

func (c *change) addReplay(r *command.AddReplay) (*command.Result, *command.Error) {
	s, old, refusal := c.loadSubscription(r.GetSubscriptionId(), r.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	running := 0
	for _, one := range s.Replays {
		if one.ID == r.GetReplayId() {
			return nil, refuse(command.Code_CODE_REPLAY_EXISTS, []string{"replay", one.ID}, "Replay [%s] already exists.", one.ID)
		}
		if one.State == replayRunning {
			running++
		}
	}
	switch {
	case r.GetReplayId() == "", r.GetFrom() == "":
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "add replay: id and from are required")
	case !s.Dispatched():
		return nil, s.stands(command.Code_CODE_REPLAY_REFUSED, "only one that is accepted and started can be replayed")
	case running >= maxReplaysRunning:
		return nil, s.stands(command.Code_CODE_REPLAY_REFUSED, fmt.Sprintf("%d replays run already: wait for one, or delete one", running))
	}
	if len(s.Replays) >= maxReplays { // there is one that is over, since fewer run
		i := slices.IndexFunc(s.Replays, func(o Replay) bool { return o.State != replayRunning })
		s.Replays = slices.Delete(s.Replays, i, i+1)
	}
	s.Replays = append(s.Replays, Replay{
		ID: r.GetReplayId(), From: r.GetFrom(), Until: r.GetUntil(), State: replayRunning, CreatedAtMS: c.state.atMS,
	})
	return c.saveSubscription(old, s)
}

func (c *change) endReplay(r *command.EndReplay) (*command.Result, *command.Error) {
	s, old, refusal := c.loadSubscription(r.GetSubscriptionId(), 0)
	if refusal != nil {
		return nil, refusal
	}
	i := slices.IndexFunc(s.Replays, func(o Replay) bool { return o.ID == r.GetReplayId() })
	switch {
	case i < 0:
		return nil, refuse(command.Code_CODE_REPLAY_NOT_FOUND, []string{"replay", r.GetReplayId()}, "Replay [%s] cannot be found.", r.GetReplayId())
	case r.GetCancel():
		s.Replays = slices.Delete(s.Replays, i, i+1)
		return c.saveSubscription(old, s)
	case s.Replays[i].State != replayRunning, s.Replays[i].Worker != r.GetWorker():
		return nil, s.stands(command.Code_CODE_SUBSCRIPTION_STALE, "the replay is over already, or another worker has it")
	}
	one := &s.Replays[i]
	one.State, one.EndedMS = replayFinished, c.state.atMS
	if one.Error = r.GetError(); one.Error != "" {
		one.State = replayFailed
	}
	return c.saveSubscription(old, s)
}

func (c *change) assignReplay(r *command.AssignReplay) (*command.Result, *command.Error) {
	s, old, refusal := c.loadSubscription(r.GetSubscriptionId(), 0)
	if refusal != nil {
		return nil, refusal
	}
	i := slices.IndexFunc(s.Replays, func(o Replay) bool { return o.ID == r.GetReplayId() })
	switch {
	case i < 0:
		return nil, refuse(command.Code_CODE_REPLAY_NOT_FOUND, []string{"replay", r.GetReplayId()}, "Replay [%s] cannot be found.", r.GetReplayId())
	case s.Replays[i].State != replayRunning, s.Replays[i].Worker != r.GetFrom():
		return nil, s.stands(command.Code_CODE_SUBSCRIPTION_STALE, "the replay is over already, or another worker has it")
	}
	s.Replays[i].Worker = r.GetWorker()
	return c.saveSubscription(old, s)
}

// statusNames are the statuses as people read them.
var statusNames = map[command.SubscriptionStatus]string{
	pending: "pending", rejected: "rejected", accepted: "accepted", over: "closed", paused: "paused",
}

// stands refuses a change by where the subscription stands.
func (s *Subscription) stands(code command.Code, why string) *command.Error {
	return refuse(code, []string{"subscription", s.ID, "status", statusNames[s.Status]}, "Subscription [%s] is %s: %s.", s.ID, statusNames[s.Status], why)
}

func (s *Subscription) consumerStands(why string) *command.Error {
	return refuse(command.Code_CODE_SUBSCRIPTION_CONSUMER_STATUS, []string{"subscription", s.ID}, "The consumer status of subscription [%s] cannot be changed: it is %s.", s.ID, why)
}
