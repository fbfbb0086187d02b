package mqttclient

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// member is one subscriber of a session. What it was handed out stays its own until it has proved receipt; when it leaves,
// the rest goes to other members, or stays with the broker.
type member struct {
	s    *session
	wake func()
	left sync.Once

	// The following are guarded by session.mu.
	page   *page                  // nil: a stream
	taken  queue[message.Message] // not yet proved, in the order of polling
	polled int64                  // the number behind the last that was handed out
	gone   bool
	fail   *message.Failure // why it is gone; nil: it was closed
	gap    string           // to be told: why messages may be lost; empty: none are
	notice int              // to be told: the connection is closed (1), or restored (-1)
}

// notify has the member told that the connection was closed or restored. What was restored before it could be told that it
// was closed needs no telling. The caller holds session.mu.
func (m *member) notify(closed bool) {
	switch {
	case closed && m.notice < 0, !closed && m.notice > 0:
		m.notice = 0
	case closed:
		m.notice = 1
	default:
		m.notice = -1
	}
}

// Poll implements connectors.Subscription.
func (m *member) Poll(most int) ([]message.Message, error) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	if m.gone {
		return nil, &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed}
	}
	if f := s.fatal.Load(); f != nil {
		return nil, f
	}
	if most <= 0 {
		return nil, nil
	}
	if reason := m.gap; reason != "" {
		m.gap = ""
		s.e.stats.gaps.Add(1)
		return []message.Message{gapMessage(0, reason)}, nil
	}
	if n := m.notice; n != 0 {
		m.notice = 0
		return []message.Message{message.ConnectionNotice(n > 0)}, nil
	}
	if m.page != nil {
		return m.page.poll(m, most)
	}
	var view []message.Message
	switch {
	case s.first:
		view = s.cleared.take(most)
	case s.linked || s.alone: // else it would come again (session.forsake)
		view = s.ready.take(most)
	}
	if len(view) == 0 {
		s.waiting[m] = struct{}{}
		if s.first && s.fenced == 0 { // else there will be something soon
			s.demand = max(s.demand, most)
			s.poke()
		}
		return nil, nil
	}
	m.hand(view)
	return view, nil
}

// hand notes what is handed out. The caller holds session.mu.
func (m *member) hand(view []message.Message) {
	s := m.s
	s.e.stats.delivered.Add(int64(len(view)))
	m.polled = view[len(view)-1].Offset + 1
	if !s.first {
		s.several = s.several || s.last != nil && s.last != m
		s.last = m
		for i := range view {
			m.taken.push(view[i])
		}
	}
}

// DeliveredThrough implements connectors.Subscription.
func (m *member) DeliveredThrough(to *message.Message) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := m.taken.head; i < len(m.taken.items) && n == 0; i++ {
		if m.taken.items[i].Offset == to.Offset {
			n = i - m.taken.head + 1
		}
	}
	if n == 0 || m.gone {
		return
	}
	if m.page != nil {
		m.page.delivered(m, n)
		return
	}
	for range n {
		s.ack(m.taken.front().Offset)
		m.taken.pop()
	}
	s.proved()
}

// Acknowledge implements connectors.Subscription.
func (m *member) Acknowledge(one *message.Message) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.gone || s.first {
		return
	}
	s.ack(one.Offset)
	s.proved()
	for m.taken.len() > 0 {
		if sl := s.win.at(m.taken.front().Offset); sl != nil && !sl.acked {
			break
		}
		m.taken.pop()
	}
}

// proved: messages may be answered. The caller holds mu.
func (s *session) proved() {
	s.win.advance()
	if s.order.len() > 0 {
		s.poke()
	}
}

// AppendCursor implements connectors.Subscription: MQTT has no positions, but a page may be named.
func (m *member) AppendCursor(dst []byte) []byte {
	if m.page == nil {
		return dst
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.page.appendCursor(dst)
}

// Close implements connectors.Subscription. The last member's takes the session's connection down, once the broker has all
// answers.
func (m *member) Close(ctx context.Context) {
	m.left.Do(func() {
		m.quit()
		m.s.e.stats.subscribers.Add(-1)
		m.s.ss.leave(ctx, m.s)
		if m.page != nil {
			m.page.release()
		}
	})
}

// quit gives back what is not proved. It goes to other members, but not behind what came later: those who have such
// messages are dismissed, to come back and get everything in order.
func (m *member) quit() {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	back := m.part(nil)
	for changed := true; changed && len(back) > 0; {
		first := slices.MinFunc(back, byNumber).Offset
		changed = false
		for o := range s.members {
			if o.polled > first {
				back = o.dismiss(back)
				changed = true
			}
		}
	}
	if len(back) > 0 {
		slices.SortFunc(back, byNumber)
		s.ready.giveBack(back)
		s.wakeAll()
	}
}

// part takes m out of the session and appends what it has not proved to back.
func (m *member) part(back []message.Message) []message.Message {
	m.gone = true
	delete(m.s.members, m)
	delete(m.s.waiting, m)
	for ; m.taken.len() > 0; m.taken.pop() {
		if sl := m.s.win.at(m.taken.front().Offset); sl != nil && !sl.acked {
			back = append(back, *m.taken.front())
		}
	}
	if m.page != nil {
		back = m.page.end(m.s, back)
	}
	return back
}

// dismiss is part for a member that does not go by itself: it is told to come back.
func (m *member) dismiss(back []message.Message) []message.Message {
	back = m.part(back)
	m.fail = &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: textDismissed}
	m.wake()
	return back
}

func byNumber(a, b message.Message) int { return cmp.Compare(a.Offset, b.Offset) }

var _ connectors.Subscription = (*member)(nil)
