package flow

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// step is one enabled step of a flow, compiled. It serves all exchanges.
type step struct {
	policy, name string // of the policy and, where it has one, of the step
	phase        policies.Phase
	// condition decides once per phase, messageCondition per message; nil: always.
	condition, messageCondition *policies.Expression
	skips                       bool   // a failure leaves the message or exchange as it was before the step
	buries                      bool   // a message that fails becomes a dead letter
	at                          string // its place in the definition
	group                       *step  // what stands for the shared policy group that the step is part of, with its conditions; nil: it has none
	request                     policies.RequestPolicy
	response                    policies.ResponsePolicy
	messages                    policies.MessagePolicy
	connector                   policies.Connector // nil: the same policy serves all connections
	traits                      policies.Traits
	counters                    *meter.Step
	engine                      *engine
}

// uses is what the step's expressions read while messages flow.
func (s *step) uses() policies.Uses {
	out := s.traits.Uses
	conditions := []*policies.Expression{s.condition, s.messageCondition}
	if s.group != nil {
		conditions = append(conditions, s.group.condition, s.group.messageCondition)
	}
	for _, e := range conditions {
		if e != nil {
			out.Merge(e.Uses())
		}
	}
	return out
}

// meets evaluates a condition. One that cannot be evaluated is not met (addenda 5.5-a).
func (s *step) meets(e *policies.Expression, c *policies.Context) bool {
	if e == nil {
		return true
	}
	ok, err := e.Bool(c)
	if err != nil {
		s.engine.warn(s, "condition cannot be evaluated, so the step is skipped", err)
	}
	if !ok || err != nil {
		s.counters.Skipped.Add(1)
		return false
	}
	return true
}

// onMessage runs the step for one message.
func (s *step) onMessage(ctx context.Context, c *policies.Context, p policies.MessagePolicy, m *message.Message) error {
	if s.messageCondition != nil && !s.meets(s.messageCondition, c) {
		return nil
	}
	s.counters.Runs.Add(1)
	if !s.skips && !s.buries {
		return s.outcome(c, p.OnMessage(ctx, c, m))
	}
	before := *m
	err := s.outcome(c, p.OnMessage(ctx, c, m))
	if !isFailure(err) {
		return err
	}
	*m = before
	c.Changed()
	if s.buries {
		return &undeliverable{step: s, failure: err.(*message.Failure)} // outcome makes it one
	}
	return nil
}

// isFailure tells a failure from what else a policy may return.
func isFailure(err error) bool {
	return err != nil && err != policies.ErrDrop && err != policies.ErrHold && err != policies.ErrEnd && err != policies.ErrInterrupt &&
		err != policies.ErrAnswered
}

// outcome counts what a policy returned, and names the policy in a failure.
func (s *step) outcome(c *policies.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case err == policies.ErrDrop, err == policies.ErrHold:
		s.counters.Dropped.Add(1)
		return err
	case !isFailure(err):
		return err
	}
	s.counters.Failed.Add(1)
	f := s.failure(err)
	s.engine.failed(s, c, f)
	return f
}

// failure is what clients are told of err (spec 5.7), with the policy in it for those who look for the cause.
func (s *step) failure(err error) *message.Failure {
	out := message.Failure{Status: fasthttp.StatusInternalServerError, Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError)}
	cause := err
	if f := (*message.Failure)(nil); errors.As(err, &f) {
		out, cause = *f, f.Err
	}
	switch {
	case cause == nil:
		cause = errRefused
	case errors.Is(cause, io.EOF): // of something that the policy read; found here it would be the stream's own end
		cause = errors.New(cause.Error()) //nolint:err113 // it stands for nothing any more
	}
	out.Err = fmt.Errorf("policy %s%s: %w", s.policy, s.title(), cause)
	return &out
}

// errRefused is the cause of a failure that has no other: the policy is meant to refuse such messages.
var errRefused = errors.New("refused")

func (s *step) title() string {
	if s.name == "" {
		return ""
	}
	return fmt.Sprintf(" (step %q)", s.name)
}
