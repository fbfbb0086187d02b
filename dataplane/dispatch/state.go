package dispatch

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/dataplane/meter"
)

// Kind is how a subscription stands.
type Kind uint8

// Kinds, in the order of meter.PushStates.
const (
	Waiting  Kind = iota // for its start, its API or a place among those that run
	Running              // delivering
	Resting              // the connector lets the subscriber rest (open circuit)
	Retrying             // it failed and is tried again
	Failed               // it failed and is not tried again until it changes
	Ended                // its end, or its last message, has come
)

// String returns the kind as JSON and logs spell it.
func (k Kind) String() string { return meter.PushStates[k] }

// State is how one subscription, or one of its replays, stands on this worker.
type State struct {
	ID     string
	Replay string // empty: the live delivery
	State  Kind
	// FailureCause is why it waits, rests, is tried again or has failed; empty: there is nothing to tell.
	FailureCause string
	Since        time.Time // when this state began
}

// States returns how everything stands that this worker is to serve, in the order of the ids. What is not to be served has
// no state.
func (d *Dispatcher) States() []State {
	d.mu.Lock()
	var out []State
	for _, jobs := range d.subscriptions {
		for _, j := range jobs {
			if j.wanted != nil {
				out = append(out, State{ID: j.id, Replay: j.replay, State: j.state, FailureCause: j.cause, Since: j.since})
			}
		}
	}
	d.mu.Unlock()
	slices.SortFunc(out, func(x, y State) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Replay, y.Replay))
	})
	return out
}

// maxCause bounds the text of a cause, in bytes: it comes from connectors, which may quote a subscriber.
const maxCause = 512

// become puts a job into a state that its run of s came to. Once something else is wanted, nobody asks for that any more.
func (d *Dispatcher) become(j *job, s *spec, state Kind, cause string) {
	d.mu.Lock()
	changed := j.wanted == s && d.becomeLocked(j, state, cause)
	d.mu.Unlock()
	if changed {
		d.changed()
	}
}

// becomeLocked is become with the lock held. It returns whether something changed.
func (d *Dispatcher) becomeLocked(j *job, state Kind, cause string) bool {
	cause = clip(cause, maxCause)
	if j.state == state && j.cause == cause {
		return false
	}
	if j.state != state {
		d.push.States[j.state].Add(-1)
		d.push.States[state].Add(1)
		j.since = time.Now()
	}
	j.state, j.cause = state, cause
	return true
}
