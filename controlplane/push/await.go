package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Errors of Await.
var (
	// ErrNoWorkers is returned when the time is up and no live worker is there that should serve the API.
	ErrNoWorkers = errors.New("no live worker serves this API's sharding tags")
	// ErrNotServed is returned when the time is up and a live worker has not yet said that it serves the revision.
	ErrNotServed = errors.New("not every live worker serves the revision yet")
)

// Outcome is who serves a revision of an API, or a later one. For an API that is no longer deployed, serving means
// that the worker has removed it.
type Outcome struct {
	APIID    string
	Revision uint64
	Removed  bool // the API is not deployed at or after Revision
	Serving  []string
	Pending  []string
	Failures []Failure
}

// Failure is a worker that could not take the revision, and why. Worker is empty when the control plane itself
// could not send it.
type Failure struct {
	Worker string
	APIState
}

// Served tells whether every live worker that should serve the API does.
func (o Outcome) Served() bool {
	return len(o.Serving) > 0 && len(o.Pending) == 0 && len(o.Failures) == 0
}

// Await returns when every live worker that should serve the API serves the revision or a later one, or when one of
// them has failed to (Failures, no error). It works on any node. A worker is live while its last status is less than
// three of its periods old; one that dies is no longer waited for, one that comes is. With no worker at all it waits
// for one. When ctx ends first, the error is ErrNoWorkers or ErrNotServed, joined with that of ctx.
func (p *Pusher) Await(ctx context.Context, apiID string, revision uint64) (Outcome, error) {
	for {
		now := time.Now()
		moved := p.index.changed() // both before the look at what they tell of
		v := p.tracker.view(now)
		out, known := p.outcome(v, apiID, revision)
		if len(out.Failures) > 0 || (known && v.settled && out.Served()) {
			return out, nil
		}
		if err := wait(ctx, moved, v, now); err != nil {
			if len(out.Serving)+len(out.Pending) == 0 {
				return out, errors.Join(ErrNoWorkers, err)
			}
			return out, errors.Join(fmt.Errorf("%w: waiting for %v", ErrNotServed, out.Pending), err)
		}
	}
}

func wait(ctx context.Context, moved <-chan struct{}, v view, now time.Time) error {
	var next <-chan time.Time
	if !v.next.IsZero() {
		t := time.NewTimer(v.next.Sub(now))
		defer t.Stop()
		next = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
	case <-v.moved:
	case <-next:
	}
	return nil
}

// Status says what each live worker that should serve the API makes of the revision, or with 0 of the newest one, as
// far as it has said.
func (p *Pusher) Status(apiID string, revision uint64) Outcome {
	out, _ := p.outcome(p.tracker.view(time.Now()), apiID, revision)
	return out
}

// outcome judges every live worker; known says whether this node's index has reached the revision.
func (p *Pusher) outcome(v view, apiID string, revision uint64) (out Outcome, known bool) {
	target := p.index.target(Key{Item: wire.ItemAPI, ID: apiID})
	out = Outcome{APIID: apiID, Revision: revision, Removed: target.removed}
	if target.refused != nil {
		out.Failures = append(out.Failures, Failure{
			APIState: APIState{APIID: apiID, Revision: revision, State: StateRejected, Error: target.refused.Error()},
		})
		return out, true
	}
	known = target.at.Revision >= revision
	goal := wire.At{Epoch: target.at.Epoch, Revision: orDefault(revision, target.revision)}
	for _, w := range v.live {
		if !target.concerns(w) {
			continue
		}
		if !known || !w.reached(target, goal) {
			out.Pending = append(out.Pending, w.Name)
			continue
		}
		if f, failed := w.failing[apiID]; failed && !target.removed {
			out.Failures = append(out.Failures, Failure{Worker: w.Name, APIState: f})
		} else if !failed && !target.removed && w.FailingTotal > len(w.Failing) {
			out.Failures = append(out.Failures, Failure{Worker: w.Name, APIState: APIState{
				APIID: apiID, Revision: revision, State: StateFailed,
				Error: fmt.Sprintf("%d APIs fail on this worker, too many to list; this may be one", w.FailingTotal),
			}})
		} else {
			out.Serving = append(out.Serving, w.Name)
		}
	}
	return out, known
}

// target is what the index knows of an API or a subscription.
type target struct {
	at       wire.At // the index's own position
	removed  bool
	refused  error
	revision uint64        // of the deployment, or of its removal where that is remembered
	tags     []string      // of the deployment
	streams  []wire.Stream // that carry it, or did before its removal; nil when that is forgotten
}

func (x *index) target(key Key) target {
	x.mu.RLock()
	defer x.mu.RUnlock()
	t := target{at: x.at, refused: x.refused[key]}
	if e := x.items[key]; e != nil {
		t.revision, t.tags, t.streams = e.deployment.GetRevision(), e.deployment.GetTags(), e.streams
		return t
	}
	t.removed = true
	for _, r := range slices.Backward(x.removals) {
		if r.key == key {
			t.revision, t.streams = r.at.Revision, r.streams
			break
		}
	}
	return t
}

// changed returns a channel that is closed when the index moves on.
func (x *index) changed() <-chan struct{} {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.moved
}

// concerns tells whether the worker should serve it, or should have removed it.
func (t target) concerns(w *tracked) bool {
	if !t.removed {
		return w.selector.Match(t.tags)
	}
	return t.streams == nil || slices.ContainsFunc(w.selector.Streams(), func(s wire.Stream) bool {
		return slices.Contains(t.streams, s)
	})
}

// reached tells whether the worker has applied what leads to the goal: for a deployment one of the streams that
// bring it, for a removal all of them.
func (w *tracked) reached(t target, goal wire.At) bool {
	some, all := false, true
	for _, s := range w.Streams {
		if s.Stream.Item() != wire.ItemAPI || t.streams != nil && !slices.Contains(t.streams, s.Stream) {
			continue
		}
		if s.Applied.Before(goal) {
			all = false
		} else {
			some = true
		}
	}
	if t.removed {
		return some && all
	}
	return some
}
