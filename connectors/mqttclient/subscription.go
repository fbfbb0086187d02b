package mqttclient

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// subscription is one subscriber: a place in a feed's ring. Its fields belong to the goroutine that polls, except where
// it says otherwise.
type subscription struct {
	f    *feed
	wake func()

	before []message.Message // retained messages, to be told first
	gaps   []message.Message // and then these
	cur    *batch
	idx    int32 // messages of cur that Poll has returned

	closed atomic.Bool
	left   sync.Once
}

// Poll implements connectors.Subscription.
func (s *subscription) Poll(most int) ([]message.Message, error) {
	if s.closed.Load() {
		return nil, &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed}
	}
	if f := s.f.fatal.Load(); f != nil {
		return nil, f
	}
	if most <= 0 {
		return nil, nil
	}
	if n := min(most, len(s.before)); n > 0 {
		view := s.before[:n:n]
		s.before = s.before[n:]
		s.f.e.stats.delivered.Add(int64(n))
		return view, nil
	}
	for {
		if len(s.gaps) > 0 {
			view := s.gaps[:1:1]
			s.gaps = s.gaps[1:]
			s.f.e.stats.gaps.Add(1)
			return view, nil
		}
		view, again := s.next(int32(min(most, 1<<30)))
		if !again {
			return view, nil
		}
	}
}

// next returns the messages at the place, or moves it, or registers for waking. again: call it again.
func (s *subscription) next(most int32) (view []message.Message, again bool) {
	b := s.cur
	n := b.n.Load()
	if s.idx < n {
		data := b.data.Load()
		if data == nil {
			s.fellOff(b)
			return nil, true
		}
		from, to := s.idx, min(n, s.idx+most)
		s.idx = to
		if !b.event {
			s.f.e.stats.delivered.Add(int64(to - from))
		}
		return (*data)[from:to:to], false
	}
	next := b.next.Load()
	switch {
	case next == nil:
		return nil, !s.f.waiting.wait(s, b)
	case next == forgotten:
		s.fellOff(b)
	case b.n.Load() > s.idx: // published between the two loads
	default:
		s.cur, s.idx = next, 0
	}
	return nil, true
}

// fellOff: the messages at the place are gone. There is no log to read them from, so the subscriber is told how many.
func (s *subscription) fellOff(b *batch) {
	at := s.f.ring.jump()
	if lost := at.first - b.before(s.idx); lost > 0 {
		s.gaps = append(s.gaps, gapMessage(lost, reasonSlow))
	}
	s.cur, s.idx = at, 0
}

// DeliveredThrough implements connectors.Subscription: neither level saves anything.
func (s *subscription) DeliveredThrough(*message.Message) {}

// Acknowledge implements connectors.Subscription.
func (s *subscription) Acknowledge(*message.Message) {}

// AppendCursor implements connectors.Subscription: MQTT has no positions.
func (s *subscription) AppendCursor(dst []byte) []byte { return dst }

// Close implements connectors.Subscription.
func (s *subscription) Close(context.Context) {
	s.closed.Store(true)
	s.left.Do(func() {
		s.f.waiting.leave(s)
		s.f.e.stats.subscribers.Add(-1)
		s.f.leave()
	})
}

// waiting wakes the subscribers that have read everything. Only those are kept: a message costs nothing for the others.
type waiting struct {
	mu    sync.Mutex // guards the following
	all   map[*subscription]struct{}
	spare map[*subscription]struct{} // last round's
}

// wait keeps s until the next fire; false: there is something already.
func (w *waiting) wait(s *subscription, b *batch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.n.Load() > s.idx || b.next.Load() != nil || s.closed.Load() {
		return s.closed.Load()
	}
	if s.f.fatal.Load() != nil {
		s.wake() // Poll tells
		return true
	}
	if w.all == nil {
		w.all = map[*subscription]struct{}{}
	}
	w.all[s] = struct{}{}
	return true
}

// fire wakes all who wait. It is for one goroutine at a time.
func (w *waiting) fire() {
	w.mu.Lock()
	woken := w.all
	w.all, w.spare = w.spare, nil
	w.mu.Unlock()
	for s := range woken {
		s.wake()
	}
	clear(woken)
	w.mu.Lock()
	if w.spare == nil {
		w.spare = woken
	}
	w.mu.Unlock()
}

func (w *waiting) leave(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, s)
}

var _ connectors.Subscription = (*subscription)(nil)
