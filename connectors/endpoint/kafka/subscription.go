package kafka

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/message"
)

// subscription is one subscriber: a place in a chain. The chain is the ring's, or that of its own catch-up reader, which
// leads into the ring. Its fields belong to the goroutine that polls, except where it says otherwise.
type subscription struct {
	r       *reader
	wake    func()
	resumes bool // any level but none: never skipped
	limit   int  // how many messages will be taken; 0: no bound

	cur  *batch
	idx  int32  // messages of cur that Poll has returned
	skip vector // what lies below was read before, in the ring's part that overlaps the catch-up; nil: nothing
	end  vector // what lies from here on is not wanted; nil: everything is

	// shares: it has some partitions only, which change; the others, and those that nobody knows yet, are elsewhere. Then
	// skip is never nil in the ring.
	shares bool

	pending  []message.Message // gaps to be told first
	toldDown bool              // the last notice said that the connection is closed

	slot int // place in the notifier's list; guarded by the notifier's lock

	mu        sync.Mutex // guards the following
	closed    bool
	waitingOn *notifier
	lease     *lease
	last      parked // where the last Poll of a page ended

	group     string     // checkpoints: where; empty: nowhere
	markMu    sync.Mutex // guards the following
	delivered vector     // what may be saved
	dirty     bool
	handed    []handed   // the views polled and not yet delivered
	furthest  vector     // where the last of each partition led
	round     int        // how often a position went back
	rounds    vector     // by partition, the round in which its position went back last; nil: none did
	saveMu    sync.Mutex // one save at a time
	isClosed  atomic.Bool
}

// atLiveEnd places s behind everything that was read so far. Whatever is produced from now on is still to be read: the
// reader's position is never beyond the log's end.
func (s *subscription) atLiveEnd() {
	for {
		b := s.r.ring.newest.Load()
		n := b.n.Load()
		if b.next.Load() == nil {
			s.cur, s.idx = b, n
			return
		}
	}
}

// Poll implements connectors.Subscription.
func (s *subscription) Poll(most int) ([]message.Message, error) {
	v, err := s.PollView(most)
	return v.Messages(), err
}

// PollView implements connectors.Viewer.
func (s *subscription) PollView(most int) (message.View, error) {
	if s.isClosed.Load() {
		return message.View{}, &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed}
	}
	if f := s.r.fatal.Load(); f != nil {
		return message.View{}, f
	}
	if down := s.r.down.Load(); down != s.toldDown {
		s.toldDown = down
		return message.Alone([]message.Message{message.ConnectionNotice(down)}), nil
	}
	if most <= 0 {
		return message.View{}, nil
	}
	for len(s.pending) == 0 {
		if s.end != nil && s.ended() {
			return message.View{}, io.EOF
		}
		view, again := s.next(int32(min(most, 1<<30)))
		if s.limit > 0 {
			s.spotOf()
		}
		if view.Len() > 0 {
			s.r.f.e.stats.delivered.Add(int64(view.Len()))
			return view, nil
		}
		if !again {
			return message.View{}, nil
		}
	}
	view := message.Alone(s.pending[:1:1])
	s.pending = s.pending[1:]
	s.r.f.e.stats.gaps.Add(1)
	return view, nil
}

// unread gives back the last n messages of the view that Poll returned last.
func (s *subscription) unread(n int) {
	s.idx -= int32(n)
	s.r.f.e.stats.delivered.Add(-int64(n))
}

// next returns the messages at the place, or moves it, or registers for waking. again: call it again.
func (s *subscription) next(most int32) (view message.View, again bool) {
	b := s.cur
	n := b.n.Load()
	if s.idx < n {
		return s.view(b, n, most)
	}
	next := b.next.Load()
	switch {
	case next == nil:
		return view, !s.wait(b)
	case next == dropped:
		s.fellOff(b)
	case b.n.Load() > s.idx: // published between the two loads
	default:
		s.cross(b, next)
	}
	return view, true
}

// wait registers for waking, unless something has come.
func (s *subscription) wait(b *batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	if s.waitingOn != nil && s.waitingOn != b.src {
		s.waitingOn.leave(s)
	}
	s.waitingOn = b.src
	return b.src.wait(s, func() bool {
		return b.n.Load() > s.idx || b.next.Load() != nil || s.end != nil && s.ended()
	})
}

// view cuts the next messages out of b, up to the first that was read before.
func (s *subscription) view(b *batch, n, most int32) (view message.View, again bool) {
	data := b.data.Load()
	if data == nil {
		s.fellOff(b)
		return view, true
	}
	if s.skip != nil || s.end != nil {
		for s.idx < n && s.known(b.marks[s.idx]) {
			s.idx++
		}
	}
	from, to := s.idx, min(n, s.idx+most)
	if s.skip != nil || s.end != nil {
		for to = from; to < min(n, from+most) && !s.known(b.marks[to]); to++ {
		}
	}
	s.idx = to
	view = message.View{Run: (*data)[:n], From: int(from), To: int(to)}
	if b.lease == nil {
		view.Batch = &b.shared
	}
	if s.group != "" && to > from {
		s.hand(b.marks[from:to])
	}
	return view, true
}

// known tells whether a message was read before, or is not for s.
func (s *subscription) known(m mark) bool {
	switch {
	case m.part < 0:
		return false
	case m.next <= s.skip.at(int(m.part)), s.end != nil && m.next > s.end.at(int(m.part)):
		return true
	}
	return s.shares && s.cur.lease == nil && int(m.part) >= len(s.skip)
}

// cross moves into the next batch, and gives the one that is read back to its catch-up reader.
func (s *subscription) cross(b, next *batch) {
	if b.lease != nil {
		b.lease.consumed(b)
	}
	if b.skip != nil {
		s.skip = b.skip
	}
	if b.lease != nil && next.lease == nil {
		s.setLease(nil)
	}
	s.cur, s.idx = next, 0
	if s.skip != nil && next.epoch != b.epoch {
		s.skip = s.skip.atMost(next.base)
	}
	if s.skip != nil && !s.shares && next.base.reaches(s.skip) {
		s.skip = nil
	}
}

// fellOff: the messages at the place are gone from memory. Under none the subscriber loses them and is told how many;
// otherwise it gets them from a catch-up reader.
func (s *subscription) fellOff(b *batch) {
	if s.resumes {
		vec, moved := s.r.ring.translate(s.vector(nil), b.epoch)
		if moved {
			s.tell(gapMessage(gap{Reason: reasonBeyond}))
		}
		s.resumeAt(vec)
		return
	}
	at := s.r.ring.jump()
	s.tell(gapMessage(gap{Lost: int64(at.first - b.first - uint64(s.idx)), Reason: reasonSlow}))
	s.cur, s.idx = at, 0
}

// resumeAt places s at vec: in the ring, if that reaches back so far, else behind a catch-up reader.
func (s *subscription) resumeAt(vec vector) {
	if s.shares {
		vec = append(vector{}, vec...).pad(len(s.r.lay.Load().places)) // not nil, where there is no partition yet either
		if !slices.ContainsFunc(vec, func(next int64) bool { return next != elsewhere }) {
			s.setLease(nil) // there is nothing to catch up with
			s.atLiveEnd()
			s.skip = vec
			return
		}
	}
	if b := s.r.ring.join(vec, true); b != nil {
		s.setLease(nil)
		s.cur, s.idx, s.skip = b, 0, vec
		if !s.shares && b.base.reaches(vec) {
			s.skip = nil
		}
		return
	}
	if s.limit > 0 {
		if p, ok := s.r.unpark(vec); ok {
			s.cur, s.idx, s.skip = p.cur, p.idx, nil
			s.setLease(p.lease)
			return
		}
	}
	l := newLease(s.r, s, vec)
	s.cur, s.idx, s.skip = l.chain.tail, 0, nil
	s.setLease(l)
	s.r.ask(l)
}

// setLease remembers the catch-up reader, for Close to end it.
func (s *subscription) setLease(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease != nil && s.lease != l {
		s.lease.abandon()
	}
	s.lease = l
	if s.closed && l != nil {
		l.abandon()
	}
}

// tell puts a message of our own before the next ones.
func (s *subscription) tell(m message.Message) { s.pending = append(s.pending, m) }

// vector returns the position after the last message that Poll returned.
func (s *subscription) vector(dst vector) vector {
	dst = s.cur.vectorAt(dst, s.idx)
	if s.shares && s.cur.lease == nil {
		s.skip = s.skip.pad(len(dst))
	}
	return dst.raise(s.skip)
}

// scratch is memory for one AppendCursor.
type scratch struct {
	vec vector
	at  []cursor.Position
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// AppendCursor implements connectors.Subscription.
func (s *subscription) AppendCursor(dst []byte) []byte {
	if !s.resumes {
		return dst
	}
	tmp := scratches.Get().(*scratch)
	tmp.vec = s.vector(tmp.vec)
	tmp.at = s.cur.lay.positions(tmp.at[:0], tmp.vec)
	dst = cursor.Append(dst, tmp.at, s.r.f.encodeID)
	scratches.Put(tmp)
	return dst
}

// Close implements connectors.Subscription.
func (s *subscription) Close(ctx context.Context) {
	s.isClosed.Store(true)
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if s.waitingOn != nil {
		s.waitingOn.leave(s)
	}
	if s.lease != nil && first && !s.park() {
		s.lease.abandon()
	}
	s.mu.Unlock()
	if first {
		s.save(ctx)
		s.r.leave(s)
	}
}

var (
	_ connectors.Subscription = (*subscription)(nil)
	_ connectors.Viewer       = (*subscription)(nil)
)
