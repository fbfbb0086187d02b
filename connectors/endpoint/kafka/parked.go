package kafka

import (
	"slices"
	"time"
)

// parkTime is how long the catch-up reader of a page waits for the next page: longer than a client takes to ask for it, shorter
// than grace.
const parkTime = 3 * time.Second

// parked is the place where a page ended, with its catch-up reader, which goes on reading ahead within its budget. The next page
// takes it over, and needs no client of its own. While others wait for a catch-up reader it is cut as any lease is.
type parked struct {
	lease *lease
	cur   *batch
	idx   int32
	until time.Time
}

// spotOf remembers where a page is, for Close, which may come from anywhere.
func (s *subscription) spotOf() {
	s.mu.Lock()
	s.last = parked{lease: s.lease, cur: s.cur, idx: s.idx}
	s.mu.Unlock()
}

// park keeps a page's lease for the next page; false: it is of no use to any. The caller holds s.mu.
func (s *subscription) park() bool {
	p := s.last
	if s.limit == 0 || p.lease == nil || p.lease != s.lease || p.cur.lease != p.lease {
		return false
	}
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || len(r.parked) >= cap(r.f.slots) {
		return false
	}
	p.until = time.Now().Add(parkTime)
	r.parked = append(r.parked, p)
	return true
}

// unpark takes over what a page left at vec, or had read a little beyond it.
func (r *reader) unpark(vec vector) (parked, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.parked {
		if idx := p.cur.find(vec, p.idx); idx >= 0 {
			r.parked = slices.Delete(r.parked, i, i+1)
			p.idx = idx
			return p, true
		}
	}
	return parked{}, false
}

// isParked tells whether unpark would find something: then the position was in the log a moment ago.
func (r *reader) isParked(vec vector) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.parked, func(p parked) bool { return p.cur.find(vec, p.idx) >= 0 })
}

// find returns how many messages of b, at most most, lead exactly to vec; -1: no number does.
func (b *batch) find(vec vector, most int32) int32 {
	if !vec.reaches(b.base) {
		return -1
	}
	at := b.vectorAt(nil, most)
	for i := most; at.reaches(vec); i-- {
		if vec.reaches(at) {
			return i
		}
		at = b.vectorAt(at, i-1) // i is not 0: vec reaches the base
	}
	return -1
}

// expire gives up what nobody came for.
func (r *reader) expire(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parked = slices.DeleteFunc(r.parked, func(p parked) bool {
		if now.After(p.until) {
			p.lease.abandon()
			return true
		}
		return false
	})
}
