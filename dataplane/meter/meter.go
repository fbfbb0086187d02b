// Package meter counts what the data plane does, per API and entrypoint: children are made at deploy, the hot path is an
// atomic addition, and the numbers leave through the SDK's Producer, so that every metric reader has them.
//
// The SDK's own instruments are not used for these: an attribute set once seen stays for the life of the process and
// is capped in number, while APIs come and go by the thousand. It starts no goroutine.
package meter

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the latency histogram, in microseconds: powers of two from 64 µs, so that the bucket is a bit count.
const (
	firstBoundBits = 6  // 2^6 = 64 µs
	buckets        = 20 // the last bound is 2^25 µs, 33 s, just above the request timeout of spec 10.1
)

// Counters are the numbers of one entrypoint of one API. They outlive revisions, so that rates do not break at a redeploy.
type Counters struct {
	Requests    [6]atomic.Uint64 // by status class: 1 to 5; 0 for what had no status
	InFlight    atomic.Int64     // handlers running
	Streams     atomic.Int64     // subscriptions open
	MessagesIn  atomic.Uint64    // published by clients
	MessagesOut atomic.Uint64    // given to subscribers
	DeadLetters atomic.Uint64    // sent to the dead-letter endpoint
	Panics      atomic.Uint64
	latency     histogram
}

// Request counts one answered request.
func (c *Counters) Request(status int, took time.Duration) {
	class := status / 100
	if class < 0 || class >= len(c.Requests) {
		class = 0
	}
	c.Requests[class].Add(1)
	c.latency.observe(took)
}

// histogram counts durations in buckets that double.
type histogram struct {
	counts [buckets + 1]atomic.Uint64 // the last one is above every bound
	micros atomic.Uint64              // sum
}

func (h *histogram) observe(d time.Duration) {
	us := uint64(max(d.Microseconds(), 0))
	i := bits.Len64(us) - firstBoundBits
	if us&(us-1) == 0 && us > 0 {
		i-- // a bound belongs to the bucket below it
	}
	h.counts[min(max(i, 0), buckets)].Add(1)
	h.micros.Add(us)
}

// Push are the numbers of the push subscriptions of a worker.
type Push struct {
	States   [len(PushStates)]atomic.Int64 // subscriptions and replays by state, in the order of PushStates
	Attempts [len(PushOutcomes)]atomic.Uint64
	Retries  atomic.Uint64 // runs begun again after a failure
}

// PushStates and PushOutcomes name the elements of Push.States and Push.Attempts.
var (
	PushStates   = [...]string{"waiting", "running", "resting", "retrying", "failed", "ended"}
	PushOutcomes = [...]string{"delivered", "retried", "dead-lettered", "given-up"}
)

// Registry holds the counters of a worker.
type Registry struct {
	start time.Time

	// Worker-wide numbers.
	Unrouted  atomic.Uint64 // requests that no API matched
	Refused   atomic.Uint64 // requests that could not be read: too large, malformed, too slow
	Panics    atomic.Uint64 // contained panics, all APIs
	Revision  atomic.Uint64 // the last applied revision
	APIs      atomic.Int64  // being served
	Draining  atomic.Int64  // old revisions not ended yet
	CutOff    atomic.Uint64 // drains that ran out of time
	Conflicts atomic.Uint64 // routes claimed twice, seen at updates
	drain     histogram
	// Push are the numbers of push subscriptions.
	Push Push

	mu sync.Mutex
	// guards the following
	apis  map[string]map[string]*Counters // API id, entrypoint type
	steps map[string]map[stepKey]*Step    // API id
}

// Step are the numbers of one policy in one phase of an API, all its steps together: labels stay few.
type Step struct {
	Runs    atomic.Uint64 // of exchanges or messages
	Skipped atomic.Uint64 // a condition was not met
	Dropped atomic.Uint64 // messages that went no further
	Failed  atomic.Uint64
}

type stepKey struct{ policy, phase string }

// Step returns the counters of a policy in a phase of an API, the same ones for every revision.
func (r *Registry) Step(api, policy, phase string) *Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.steps[api]
	if of == nil {
		of = map[stepKey]*Step{}
		r.steps[api] = of
	}
	k := stepKey{policy, phase}
	if of[k] == nil {
		of[k] = &Step{}
	}
	return of[k]
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{start: time.Now(), apis: map[string]map[string]*Counters{}, steps: map[string]map[stepKey]*Step{}}
}

// For returns the counters of an entrypoint of an API, the same ones for every revision.
func (r *Registry) For(api, entrypoint string) *Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.apis[api]
	if of == nil {
		of = map[string]*Counters{}
		r.apis[api] = of
	}
	c := of[entrypoint]
	if c == nil {
		c = &Counters{}
		of[entrypoint] = c
	}
	return c
}

// Forget drops the counters of an API that is no longer served.
func (r *Registry) Forget(api string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.apis, api)
	delete(r.steps, api)
}

// Drained records how long an old revision took to end, and whether it had to be cut off.
func (r *Registry) Drained(took time.Duration, cut bool) {
	r.drain.observe(took)
	if cut {
		r.CutOff.Add(1)
	}
}

// Open returns how many streams and running requests the worker has.
func (r *Registry) Open() (streams, requests int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.apis {
		for _, c := range of {
			streams += c.Streams.Load()
			requests += c.InFlight.Load()
		}
	}
	return streams, requests
}
