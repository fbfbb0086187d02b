package rest

import (
	"encoding/json"
	"fmt"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// The names of the states of a subscription and of a replay.
var (
	subscriptionStatuses = map[command.SubscriptionStatus]string{
		command.SubscriptionStatus_SUBSCRIPTION_STATUS_PENDING:  management.SubscriptionPending,
		command.SubscriptionStatus_SUBSCRIPTION_STATUS_REJECTED: management.SubscriptionRejected,
		command.SubscriptionStatus_SUBSCRIPTION_STATUS_ACCEPTED: management.SubscriptionAccepted,
		command.SubscriptionStatus_SUBSCRIPTION_STATUS_CLOSED:   management.SubscriptionClosed,
		command.SubscriptionStatus_SUBSCRIPTION_STATUS_PAUSED:   management.SubscriptionPaused,
	}
	consumerStatuses = map[command.ConsumerStatus]string{
		command.ConsumerStatus_CONSUMER_STATUS_STARTED: management.ConsumerStarted,
		command.ConsumerStatus_CONSUMER_STATUS_STOPPED: management.ConsumerStopped,
		command.ConsumerStatus_CONSUMER_STATUS_FAILURE: management.ConsumerFailure,
	}
	replayStates = map[command.ReplayState]string{
		command.ReplayState_REPLAY_STATE_RUNNING:  management.ReplayRunning,
		command.ReplayState_REPLAY_STATE_FINISHED: management.ReplayFinished,
		command.ReplayState_REPLAY_STATE_FAILED:   management.ReplayFailed,
	}
)

// viewSubscription is a record as it is answered, its secrets masked.
func viewSubscription(s *fsm.Subscription) (management.Subscription, error) {
	out := management.Subscription{
		ID: s.ID, API: s.API, Plan: s.Plan, Application: s.Application, Type: "STANDARD",
		Status: subscriptionStatuses[s.Status], ConsumerStatus: consumerStatuses[s.ConsumerStatus], FailureCause: s.FailureCause,
		Origin: s.Origin, Request: s.Request, Reason: s.Reason, Metadata: s.Metadata,
		StartingAt: maybe(s.StartingAtMS), EndingAt: maybe(s.EndingAtMS), CreatedAt: at(s.CreatedAtMS), UpdatedAt: at(s.UpdatedAtMS),
		ProcessedAt: maybe(s.ProcessedAtMS), ClosedAt: maybe(s.ClosedAtMS), PausedAt: maybe(s.PausedAtMS), ConsumerPausedAt: maybe(s.ConsumerPausedAtMS),
		SubscribedBy: s.SubscribedBy, ProcessedBy: s.ProcessedBy,
	}
	for _, r := range s.Replays {
		out.Replays = append(out.Replays, viewReplay(r))
	}
	if !s.Push() {
		return out, nil
	}
	out.Type = "PUSH"
	cfg, err := masked(s.Consumer.Configuration)
	if err != nil {
		return out, fmt.Errorf("subscription %s: %w", s.ID, err)
	}
	out.ConsumerConfiguration = &management.ConsumerConfiguration{EntrypointID: s.Consumer.EntrypointID, Channel: s.Consumer.Channel, EntrypointConfiguration: cfg}
	if out.Configuration, err = flat(out.ConsumerConfiguration); err != nil {
		return out, fmt.Errorf("subscription %s: %w", s.ID, err)
	}
	return out, nil
}

// flat is the configuration as 3.20 has it.
func flat(c *management.ConsumerConfiguration) (string, error) {
	members := map[string]any{}
	if len(c.EntrypointConfiguration) > 0 {
		if err := json.Unmarshal(c.EntrypointConfiguration, &members); err != nil {
			return "", fmt.Errorf("decode subscription configuration: %w", err)
		}
	}
	members["entrypointId"] = c.EntrypointID
	if c.Channel != "" {
		members["channel"] = c.Channel
	}
	b, err := writeJSON(members)
	return string(b), err
}

func viewReplay(r fsm.Replay) management.Replay {
	return management.Replay{
		ID: r.ID, From: r.From, Until: r.Until, State: replayStates[r.State], Worker: r.Worker, CreatedAt: at(r.CreatedAtMS), EndedAt: maybe(r.EndedMS), Error: r.Error,
	}
}
