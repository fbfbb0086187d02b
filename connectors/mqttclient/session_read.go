package mqttclient

import (
	"context"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// read takes what the broker sends, as long as there is room for it.
func (s *session) read(ctx context.Context, l *link) error {
	var out []byte
	for {
		if err := s.awaitRoom(ctx); err != nil {
			return err
		}
		p, err := l.read()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		switch c := p.Content.(type) {
		case *packets.Suback:
			if err := s.granted(c); err != nil {
				return err
			}
		case *packets.Publish:
			s.absorb(c)
		case *packets.Pubrel: // the end of a message that was answered
			out = appendComp(out, c.PacketID)
		case *packets.Pingresp:
			s.passFence()
		}
		if l.hasPacket() && len(out) < writeBytes {
			continue
		}
		s.show()
		if len(out) > 0 {
			if _, err := l.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}

// awaitRoom waits while as much as may be held is held: the broker then waits with us. It does not while a PINGRESP is
// awaited that makes room.
func (s *session) awaitRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		full := s.fenced == 0 && (s.held-s.lent >= max(s.e.limits.RingBytes/sessionShare, leastHeld) || s.win.len()-s.lentN >= mostHeld)
		s.mu.Unlock()
		if !full {
			return nil
		}
		s.show()
		select {
		case <-s.space:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// granted takes the broker's answer to the SUBSCRIBE.
func (s *session) granted(a *packets.Suback) error {
	if err := deniedBy(a); err != nil {
		return err
	}
	if a.Reasons[0] == 0 {
		return errWeakGrant
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have = int(a.Reasons[0])
	s.change()
	return nil
}

// absorb takes a message.
func (s *session) absorb(p *packets.Publish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.QoS > 0 && len(s.stale) > 0 {
		if seq, ok := s.stale[p.PacketID]; ok {
			delete(s.stale, p.PacketID)
			if p.Duplicate { // what we have already
				s.again(seq, p)
				return
			} // else the identifier stands for another message now: the old one needs no answer any more
		}
	}
	if p.Retain && s.e.version != V5 && isShared(s.filter) {
		s.again(had, p) // those who share get nothing that is retained; MQTT 3.1.1 cannot say so when it subscribes
		return
	}
	if p.Topic != s.decoder.topic && !covers(s.filter, p.Topic) {
		s.again(had, p) // of an earlier subscription of this session, which the definition has left
		s.e.stats.foreign.Add(1)
		return
	}
	m, size := s.decoder.message(p, time.Now())
	size += perMessage
	m.Partition = 0
	m.Offset = s.win.push(slot{id: p.PacketID, qos: p.QoS, live: p.QoS > 0, size: size})
	s.held += size
	s.ready.push(&m)
	if p.QoS > 0 && !s.first {
		s.order.push(receipt{seq: m.Offset, id: p.PacketID, qos: p.QoS})
	}
}

// again is a message that has been received before, or is not for anybody: it only awaits an answer.
func (s *session) again(seq int64, p *packets.Publish) {
	if p.QoS == 0 {
		return
	}
	if sl := s.win.at(seq); seq != had && sl != nil {
		sl.live, sl.id, sl.qos = true, p.PacketID, p.QoS
		if s.first && !sl.acked {
			return // answered when it is wanted
		}
	}
	if s.first || s.win.at(seq) == nil {
		seq = had // answered at once
	}
	s.order.push(receipt{seq: seq, id: p.PacketID, qos: p.QoS})
	s.poke()
}

// show shows subscribers what was absorbed.
func (s *session) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready.n == 0 {
		return
	}
	if s.have < 0 {
		s.change()
	}
	if !s.first {
		s.wakeAll()
	} else if s.demand > 0 { // else nobody has asked
		s.poke()
	}
}

// poke has the writer look.
func (s *session) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
