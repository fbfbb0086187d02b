package controlnode

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/proto/management"
)

// firstWorkerWithin is how long a wait looks for a first live worker before it answers that there is none. After a restart
// of the control plane, workers report again within a heartbeat or two.
const firstWorkerWithin = 3 * time.Second

// rollout tells the management API what workers make of a revision. It implements rest.Rollout.
type rollout struct{ push *push.Pusher }

// Await implements rest.Rollout.
func (r rollout) Await(ctx context.Context, apiID string, revision uint64) ([]management.WorkerOutcome, error) {
	if !r.anyLive() {
		first, cancel := context.WithTimeout(ctx, firstWorkerWithin)
		o, err := r.push.Await(first, apiID, revision)
		cancel()
		if err == nil || !r.anyLive() {
			return outcomes(o), ctx.Err()
		}
	}
	o, err := r.push.Await(ctx, apiID, revision)
	switch {
	case errors.Is(err, push.ErrNoWorkers):
		return nil, nil
	case len(o.Failures) > 0: // it returns at the first one; the others' word is worth having
		o = r.push.Status(apiID, revision)
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return outcomes(o), err
}

func (r rollout) anyLive() bool {
	for _, w := range r.push.Workers() {
		if w.Live {
			return true
		}
	}
	return false
}

// Outcomes implements rest.Rollout.
func (r rollout) Outcomes(apiID string, revision uint64) []management.WorkerOutcome {
	return outcomes(r.push.Status(apiID, revision))
}

func outcomes(o push.Outcome) []management.WorkerOutcome {
	out := make([]management.WorkerOutcome, 0, len(o.Serving)+len(o.Pending)+len(o.Failures))
	for _, w := range o.Serving {
		state, revision := management.WorkerServing, o.Revision
		if o.Removed {
			state, revision = management.WorkerRemoved, 0
		}
		out = append(out, management.WorkerOutcome{Worker: w, State: state, Revision: revision})
	}
	for _, w := range o.Pending {
		out = append(out, management.WorkerOutcome{Worker: w, State: management.WorkerPending})
	}
	for _, f := range o.Failures {
		out = append(out, management.WorkerOutcome{Worker: f.Worker, State: management.WorkerFailed, Revision: f.Serving, Error: f.Error})
	}
	return out
}

// Workers implements rest.Rollout.
func (r rollout) Workers() []management.Worker {
	known := r.push.Workers()
	out := make([]management.Worker, 0, len(known))
	for _, w := range known {
		m := management.Worker{ID: w.Name, Version: w.Version, Tags: w.Tags, Live: w.Live, Ready: w.Ready, APIs: w.Serving,
			Connections: w.Connections, SeenAt: w.SeenAt}
		for _, s := range w.Streams {
			m.Revision = max(m.Revision, s.Applied.Revision)
			if s.Fault != "" {
				m.Fault = s.Fault
			}
		}
		for _, f := range w.Failing {
			m.Failures = append(m.Failures, management.WorkerFailure{API: f.APIID, Revision: f.Revision, Serving: f.Serving, Error: f.Error})
		}
		out = append(out, m)
	}
	return out
}

// Subscription implements rest.Rollout.
func (r rollout) Subscription(id string) []management.WorkerSubscription {
	known := r.push.Subscription(id)
	out := make([]management.WorkerSubscription, 0, len(known))
	for _, s := range known {
		one := management.WorkerSubscription{Worker: s.Worker, State: strings.ToUpper(string(s.State)), Cause: s.Cause, Lag: s.Lag}
		if !s.Since.IsZero() {
			one.Since = &s.Since
		}
		out = append(out, one)
	}
	return out
}

// Attempts implements rest.Rollout.
func (r rollout) Attempts(ctx context.Context, id string, limit int) (management.Attempts, error) {
	all, silent, err := r.push.Attempts(ctx, id, limit)
	out := management.Attempts{Data: make([]management.Attempt, 0, len(all)), Silent: silent}
	for _, a := range all {
		one := management.Attempt{
			Worker: a.Worker, At: a.At, TookMS: float64(a.Took.Microseconds()) / 1e3, Message: a.Message, Number: a.Number, Status: a.Status,
			Error: a.Error, Outcome: strings.ToUpper(a.Outcome), Messages: a.Messages, Bytes: a.Bytes,
		}
		if !a.Next.IsZero() {
			one.Next = &a.Next
		}
		out.Data = append(out.Data, one)
	}
	return out, err
}
