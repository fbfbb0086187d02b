package kafka

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// handed is what Poll returned and what is not yet known to be delivered.
type handed struct {
	view  []message.Message
	marks []mark
}

// hand remembers a view until it is delivered.
func (s *subscription) hand(view []message.Message, marks []mark) {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	s.handed = append(s.handed, handed{view, marks})
}

// DeliveredThrough implements connectors.Subscription. The message may be a copy that a policy made.
func (s *subscription) DeliveredThrough(m *message.Message) {
	if s.group == "" || m.Kind != message.Data {
		return
	}
	s.markMu.Lock()
	defer s.markMu.Unlock()
	h, i := s.find(m)
	if h < 0 {
		return
	}
	for k := range h {
		s.mark(s.handed[k].marks)
	}
	last := &s.handed[h]
	s.mark(last.marks[:i+1])
	last.view, last.marks = last.view[i+1:], last.marks[i+1:]
	if len(last.view) == 0 {
		h++
	}
	rest := copy(s.handed, s.handed[h:])
	clear(s.handed[rest:])
	s.handed = s.handed[:rest]
}

// find looks for m from the newest view back: what was delivered is nearly always the last that was handed out.
func (s *subscription) find(m *message.Message) (h, i int) {
	for h := len(s.handed) - 1; h >= 0; h-- {
		view := s.handed[h].view
		for i := len(view) - 1; i >= 0; i-- {
			if view[i].Offset == m.Offset && view[i].Partition == m.Partition && view[i].Topic == m.Topic {
				return h, i
			}
		}
	}
	return -1, 0
}

func (s *subscription) mark(marks []mark) {
	for _, m := range marks {
		if m.part >= 0 {
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
		r.f.e.lost.warn(r.f.e.log, "save a checkpoint", "group", s.group, "err", err)
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
