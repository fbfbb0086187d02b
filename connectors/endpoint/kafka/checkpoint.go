package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// mostHanded bounds the views that are remembered until they are delivered. Of an entrypoint that never says so the oldest
// are forgotten: they are not saved, and so come again.
const mostHanded = 4096

// handed is where a view leads, until it is delivered.
type handed struct {
	marks []mark
	round int // subscription.round when it was polled
}

// hand remembers where a view leads. It does not keep the messages alive.
func (s *subscription) hand(marks []mark) {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	if len(s.handed) == mostHanded {
		s.handed = append(s.handed[:0], s.handed[mostHanded/2:]...)
	}
	for _, m := range marks {
		if m.part < 0 {
			continue
		}
		if m.next <= s.furthest.at(int(m.part)) {
			s.wentBack(m)
		}
		s.furthest = s.furthest.set(int(m.part), m.next)
	}
	s.handed = append(s.handed, handed{marks, s.round})
}

// wentBack: the log was made anew or cut, and m is the first message that was read of what it has now. What was delivered of
// the old one, or will yet prove to be, says nothing of this. The caller holds markMu.
func (s *subscription) wentBack(m mark) {
	s.round++
	s.rounds = s.rounds.set(int(m.part), int64(s.round))
	s.delivered, s.dirty = s.delivered.set(int(m.part), m.next-1), true
}

// DeliveredThrough implements connectors.Subscription. The message may be a copy that a policy made.
func (s *subscription) DeliveredThrough(m *message.Message) {
	if s.group == "" || m.Kind != message.Data {
		return
	}
	s.markMu.Lock()
	defer s.markMu.Unlock()
	h, i := s.find(mark{s.r.lay.Load().number(m.Topic, m.Partition), m.Offset + 1})
	if h < 0 {
		return
	}
	for _, before := range s.handed[:h] {
		s.mark(before)
	}
	last := &s.handed[h]
	s.mark(handed{last.marks[:i+1], last.round})
	if last.marks = last.marks[i+1:]; len(last.marks) == 0 {
		h++
	}
	rest := copy(s.handed, s.handed[h:])
	clear(s.handed[rest:])
	s.handed = s.handed[:rest]
}

// Acknowledge implements connectors.Subscription.
func (s *subscription) Acknowledge(m *message.Message) { s.DeliveredThrough(m) }

// find looks for a message from the oldest view on: in a log that was made anew a place may come again, and what was
// delivered is the first of the two. It costs no more than marking what lies before does.
func (s *subscription) find(m mark) (h, i int) {
	for h := range s.handed {
		if i := slices.Index(s.handed[h].marks, m); i >= 0 {
			return h, i
		}
	}
	return -1, 0
}

func (s *subscription) mark(h handed) {
	for _, m := range h.marks {
		if m.part >= 0 && int64(h.round) >= s.rounds.at(int(m.part)) {
			s.delivered = s.delivered.set(int(m.part), m.next)
		}
	}
	s.dirty = true
}

// markStart says where s began: what lies before counts as delivered.
func (s *subscription) markStart(vec vector) {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	s.delivered, s.dirty = vec, true
}

// save writes what is delivered to the group, if there is one and it has changed. A group of which nothing is delivered yet
// gets the start, so that the client comes back to where it began.
func (s *subscription) save(ctx context.Context) {
	if s.group == "" {
		return
	}
	s.saveMu.Lock()
	defer s.saveMu.Unlock()
	s.markMu.Lock()
	vec, due := append(vector(nil), s.delivered...), s.dirty
	s.dirty = false
	s.markMu.Unlock()
	if !due || len(vec) == 0 {
		return
	}
	r := s.r
	if err := r.f.control.commit(ctx, s.group, r.lay.Load(), vec); err != nil {
		s.markMu.Lock()
		s.dirty = true
		s.markMu.Unlock()
		r.f.e.lost.Warn(r.f.e.log, "save a checkpoint", "group", s.group, "err", err)
	}
}

// saveRegularly saves every Limits.CheckpointEvery.
func (r *reader) saveRegularly(ctx context.Context) {
	tick := time.NewTicker(r.f.e.limits.CheckpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !r.down.Load() {
				r.saveAll(ctx)
			}
		}
	}
}

// saveAll saves every subscription's position, one after the other.
func (r *reader) saveAll(ctx context.Context) {
	r.mu.Lock()
	var all []*subscription
	for s := range r.subs {
		if s.group != "" {
			all = append(all, s)
		}
	}
	r.mu.Unlock()
	for _, s := range all {
		if ctx.Err() == nil {
			s.save(ctx)
		}
	}
}
