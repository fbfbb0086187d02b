package mqttclient

import (
	"context"
	"slices"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Answers to the broker. Under auto and at-least-once a message is answered (PUBACK, or PUBREC under QoS 2) once the
// client has proved receipt, in the order of receipt (MQTT 5, 4.6): until then the broker keeps it.
//
// Under at-most-once it is answered when a subscriber asks for messages, and handed out only when the broker has certainly
// taken the answer: a PINGREQ goes out behind the answers, and the PINGRESP to it says that the broker has read them. So
// nothing that was handed out is ever sent again, over this connection or another, to this worker or another; and what was
// not handed out, however often it was sent, may be.

// fence is what awaits a PINGRESP: messages whose answers went out before the PINGREQ, and pages that want to know whether
// there is more; neither: it keeps the connection alive.
type fence struct {
	views [][]message.Message
	pages []*member
}

// write writes answers and pings until ctx ends, then says goodbye, which ends whoever reads.
func (s *session) write(ctx context.Context, l *link) error {
	tick := time.NewTicker(l.quiet / 2)
	defer tick.Stop()
	var buf []byte
	ping := false
	for {
		ended := ctx.Err() != nil
		if buf = s.collect(buf[:0], ping && !ended); len(buf) > 0 {
			ping = false
			if _, err := l.write(buf); err != nil {
				l.conn.Close()
				return err
			}
			continue
		}
		if ended {
			s.bye(l)
			return context.Cause(ctx)
		}
		select {
		case <-s.kick:
		case <-tick.C:
			ping = true
		case <-ctx.Done():
		}
	}
}

// bye ends the connection, and with it the session of a client that cannot come back.
func (s *session) bye(l *link) {
	if s.durable || s.e.version != V5 {
		l.bye()
		return
	}
	p := packets.NewControlPacket(packets.DISCONNECT)
	p.Content.(*packets.Disconnect).Properties.SessionExpiryInterval = new(uint32)
	b, err := s.e.version.encode(p)
	if err != nil {
		panic(err) // a packet of constants
	}
	l.farewell(b)
}

// erase has a broker of MQTT 3.1.1 forget the session of a client that cannot come back: only a clean one does that.
func (s *session) erase(ctx context.Context) {
	if s.durable || s.e.version == V5 {
		return
	}
	h := s.hello()
	h.clean = true
	l, err := s.e.dial(ctx, h)
	if err != nil {
		s.e.lost.Warn(s.e.log, "session is left at the broker", "client", s.clientID, "err", err)
		return
	}
	l.bye()
	l.close()
}

// collect appends the packets that may go out now.
func (s *session) collect(buf []byte, ping bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.order.len() > 0 && len(buf) < writeBytes {
		r := s.order.front()
		if r.seq != had {
			sl := s.win.at(r.seq)
			if sl != nil && !sl.acked {
				break
			}
			if sl != nil {
				s.settle(sl)
			}
		}
		buf = appendAck(buf, r.qos, r.id)
		s.order.pop()
	}
	s.win.advance()
	if s.first && s.demand > 0 && s.ready.n > 0 {
		return s.clear(buf)
	}
	if ping || len(s.asking) > 0 {
		s.fences.push(fence{pages: s.asking})
		s.asking = nil
		buf = append(buf, packets.PINGREQ<<4, 0)
	}
	return buf
}

// clear answers what is wanted, before it is handed out.
func (s *session) clear(buf []byte) []byte {
	var f fence
	for s.demand > 0 && s.ready.n > 0 {
		view := s.ready.take(s.demand)
		s.demand -= len(view)
		s.fenced += len(view)
		for i := range view {
			sl := s.win.at(view[i].Offset)
			if sl == nil {
				continue
			}
			if sl.acked = true; sl.live {
				buf = appendAck(buf, sl.qos, sl.id)
			}
		}
		f.views = append(f.views, view)
	}
	s.demand = 0
	s.fences.push(f)
	s.roomy() // the reader must see the PINGRESP
	return append(buf, packets.PINGREQ<<4, 0)
}

// passFence is a PINGRESP: the broker has read what went out before the PINGREQ.
func (s *session) passFence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fences.len() == 0 {
		return
	}
	views, pages := s.fences.front().views, s.fences.front().pages
	s.fences.pop()
	for _, m := range pages {
		m.page.answered(m)
	}
	for _, view := range views {
		s.fenced -= len(view)
		for i := range view {
			if sl := s.win.at(view[i].Offset); sl != nil {
				s.forgetID(sl, view[i].Offset)
				s.settle(sl)
			}
		}
		s.cleared.add(view)
	}
	s.win.advance()
	if len(views) > 0 {
		s.wakeAll()
	}
}

// ack says that a message may be answered.
func (s *session) ack(seq int64) {
	sl := s.win.at(seq)
	if sl == nil || sl.acked {
		return
	}
	sl.acked = true
	if sl.live {
		return // the writer goes on from here
	}
	s.forgetID(sl, seq)
	s.settle(sl)
}

// forgetID: should the broker send the message again after all, there is nothing more to hand out.
func (s *session) forgetID(sl *slot, seq int64) {
	if at, ok := s.stale[sl.id]; sl.qos > 0 && !sl.live && ok && at == seq {
		s.stale[sl.id] = had
	}
}

// settle ends the life of a message. The caller advances the window.
func (s *session) settle(sl *slot) {
	sl.done = true
	s.held -= sl.size
	s.roomy()
}

// roomy has the reader look whether it may go on.
func (s *session) roomy() {
	select {
	case s.space <- struct{}{}:
	default:
	}
}

// unanswered: the connection has ended before the broker was answered.
func (s *session) unanswered(sl *slot, seq int64) {
	live := sl.live
	sl.live = false
	if s.first {
		sl.acked = false
	}
	switch {
	case !live:
	case sl.acked:
		s.stale[sl.id] = had
		s.settle(sl)
	default:
		s.stale[sl.id] = seq
	}
}

// doubt counts what was answered and may have been read: whether the broker sends it again, only it knows.
func (s *session) doubt(view []message.Message) {
	for i := range view {
		if sl := s.win.at(view[i].Offset); sl != nil && sl.qos > 0 && !s.alone {
			s.doubted++
		}
	}
}

// forsake gives up what earlier connections have brought and was not answered. While there was none, another worker may have
// had the session: its client may have those messages, and the broker may have given their packet identifiers to others. What
// is still owed, the broker sends again, in order (MQTT 5, 4.4 and 4.6), and it counts as new. QoS 0 is never sent again, and
// stays. None of several members may get, behind what it has, what another one had: those who have anything are dismissed.
func (s *session) forsake() {
	clear(s.stale)
	for i := s.win.head; i < len(s.win.slots); i++ {
		if sl := &s.win.slots[i]; !sl.done && sl.qos > 0 {
			s.settle(sl)
		}
	}
	stays := s.keptOf(&s.ready)
	for m := range s.members {
		if s.several && m.polled > 0 {
			stays = m.dismiss(stays)
		}
		for n := m.taken.len(); n > 0; n-- {
			one := *m.taken.front()
			m.taken.pop()
			if s.win.at(one.Offset) != nil {
				m.taken.push(one)
			}
		}
	}
	if s.several || s.last != nil && s.last.gone {
		s.last, s.several = nil, false
	}
	slices.SortFunc(stays, byNumber)
	s.ready = backlog{}
	s.ready.add(stays)
	s.win.advance()
}

// keptOf empties a backlog and returns what of it is not settled.
func (s *session) keptOf(b *backlog) (kept []message.Message) {
	for view := b.take(b.n); len(view) > 0; view = b.take(b.n) {
		for i := range view {
			if s.win.at(view[i].Offset) != nil {
				kept = append(kept, view[i])
			}
		}
	}
	return kept
}

// abandon counts what was answered and found nobody: at-most-once means that it is lost.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.cleared.n + s.doubted; n > 0 {
		s.e.stats.abandoned.Add(int64(n))
		s.e.lost.Warn(s.e.log, "messages were acknowledged and their client left before it got them", "client", s.clientID, "messages", n)
	}
}
