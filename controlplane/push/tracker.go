package push

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Worker is what a worker last said of itself.
type Worker struct {
	Name         string
	Incarnation  uint64
	Tags         []string // as configured; "!tag" excludes
	Live         bool     // its last status is less than three of its periods old, and was no good-bye
	SeenAt       time.Time
	Ready        bool // it has applied a first complete snapshot
	Streams      []StreamState
	Serving      int // APIs served at the revision that was sent
	Failing      []APIState
	FailingTotal int // above len(Failing) when the list was cut
	Connections  uint64
	Version      string
}

// StreamState is how far a worker has applied a stream.
type StreamState struct {
	Stream      wire.Stream
	Applied     wire.At
	Digest      wire.Digest
	APIs        int
	Fault       string // why the stream is not taken further now; empty when all is well
	Refused     uint64 // messages refused since the worker started
	LastRefusal string
}

// APIState is an API that a worker does not serve as it was sent.
type APIState struct {
	APIID    string
	Revision uint64 // the one that failed
	Serving  uint64 // the one served in its place, 0 for none
	State    State
	Error    string
}

// State is what a worker does with a revision of an API.
type State string

// States.
const (
	StatePending  State = "pending" // the worker has not said that it applied it
	StateServing  State = "serving"
	StateFailed   State = "failed"   // it could not be built
	StateRejected State = "rejected" // the worker cannot read it
)

// tracked is a worker and what is derived from its status once. It is replaced, never changed.
type tracked struct {
	Worker
	selector wire.Selector
	failing  map[string]APIState

	subscriptions map[string]SubscriptionState // that are not simply running
	unlisted      bool                         // there are more of them
	ended         []ReplayEnd

	seq      uint64
	liveTill time.Time
}

// tracker keeps the last status of every worker.
type tracker struct {
	settle time.Duration

	mu sync.Mutex
	// guards the following
	workers map[string]*tracked
	settled time.Time     // when every live worker must have reported
	moved   chan struct{} // closed at the next change
}

func newTracker(settle time.Duration) *tracker {
	return &tracker{settle: settle, workers: map[string]*tracked{}, moved: make(chan struct{})}
}

// start notes that statuses are heard from now on.
func (t *tracker) start(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = now.Add(t.settle)
	t.changed()
}

// changed wakes those who wait. The lock is held.
func (t *tracker) changed() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// statusLoop takes in what the workers report until ctx ends.
func (p *Pusher) statusLoop(ctx context.Context, statuses <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-statuses:
			s, err := wire.DecodeStatus(m.Subject, m.Data)
			if err == nil {
				err = p.tracker.take(s, time.Now())
			}
			p.metrics.status(ctx, err)
			if err != nil {
				p.log.Debug("refuse status", "subject", m.Subject, "err", err)
			}
		}
	}
}

// take enters a status, unless a later one of the same process is there already.
func (t *tracker) take(s *wire.Status, now time.Time) error {
	sel, err := wire.ParseSelector(s.GetTags())
	if err != nil {
		return err
	}
	w := newTracked(s, sel, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.workers[w.Name]
	if old != nil && old.Incarnation == w.Incarnation && old.seq >= w.seq {
		return nil
	}
	if old == nil && len(t.workers) >= maxWorkers {
		return wire.ErrTooLarge
	}
	t.workers[w.Name] = w
	t.changed()
	return nil
}

func newTracked(s *wire.Status, sel wire.Selector, now time.Time) *tracked {
	w := &tracked{selector: sel, seq: s.GetSeq(), liveTill: now, failing: map[string]APIState{}}
	if !s.GetLeaving() {
		w.liveTill = now.Add(liveBeats * time.Duration(s.GetPeriodMs()) * time.Millisecond)
	}
	w.Worker = Worker{
		Name: s.GetWorker(), Incarnation: s.GetIncarnation(), Tags: s.GetTags(), SeenAt: now, Ready: s.GetReady(),
		Serving: int(s.GetServingTotal()), FailingTotal: int(s.GetFailingTotal()),
		Connections: s.GetConnections(), Version: s.GetVersion(),
	}
	for _, st := range s.GetStreams() {
		w.Streams = append(w.Streams, StreamState{
			Stream: wire.Stream(st.GetStream()), Applied: st.GetApplied().At(), Digest: wire.DigestOf(st.GetDigest()),
			APIs: int(st.GetApis()), Fault: st.GetFault(), Refused: st.GetRefused(), LastRefusal: st.GetLastRefusal(),
		})
	}
	for _, a := range s.GetFailing() {
		state := APIState{
			APIID: a.GetApiId(), Revision: a.GetRevision(), Serving: a.GetServing(), State: StateFailed, Error: a.GetError(),
		}
		if a.GetState() == wire.APIState_API_STATE_REJECTED {
			state.State = StateRejected
		}
		w.Failing = append(w.Failing, state)
		w.failing[state.APIID] = state
	}
	w.takeSubscriptions(s)
	return w
}

// expire forgets the workers that have long been silent.
func (t *tracker) expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, w := range t.workers {
		if now.Sub(w.SeenAt) > forgetAfter {
			delete(t.workers, name)
		}
	}
}

// view is what is known of the workers at one time.
type view struct {
	live    []*tracked      // by name
	settled bool            // every live worker must be among them
	next    time.Time       // when the view changes by itself: one expires, or all is settled; zero: never
	moved   <-chan struct{} // closed when it changes otherwise
}

func (t *tracker) view(now time.Time) view {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := view{moved: t.moved, settled: !t.settled.IsZero() && !now.Before(t.settled)}
	if !v.settled && !t.settled.IsZero() {
		v.next = t.settled
	}
	for _, w := range t.workers {
		if now.Before(w.liveTill) {
			v.live = append(v.live, w)
			if v.next.IsZero() || w.liveTill.Before(v.next) {
				v.next = w.liveTill
			}
		}
	}
	slices.SortFunc(v.live, func(a, b *tracked) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

// streams lists what the workers follow.
func (t *tracker) streams() []wire.Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []wire.Stream
	for _, w := range t.workers {
		out = append(out, w.selector.Streams()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Workers lists the workers that reported in the last ten minutes, by name.
func (p *Pusher) Workers() []Worker {
	now := time.Now()
	p.tracker.mu.Lock()
	defer p.tracker.mu.Unlock()
	out := make([]Worker, 0, len(p.tracker.workers))
	for _, w := range p.tracker.workers {
		one := w.Worker
		one.Live = now.Before(w.liveTill)
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Worker) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Changed returns a channel that is closed when a worker next reports: for who watches Workers or Status.
func (p *Pusher) Changed() <-chan struct{} {
	p.tracker.mu.Lock()
	defer p.tracker.mu.Unlock()
	return p.tracker.moved
}
