package flow

import (
	"context"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// hand notes what is returned to the entrypoint.
func (s *outflow) hand(v message.View) message.View {
	s.newest, s.open = placeOf(&v.Run[v.To-1]), true
	for i := v.To - 1; i >= v.From; i-- {
		if id := v.Run[i].ID; id != nil {
			s.last = id
			break
		}
	}
	return v
}

// settle notes what becomes of the next message.
func (s *outflow) settle(m *message.Message, f message.Fate) {
	switch {
	case f == message.Kept:
		s.dropped = nil // what is reported of m covers it
	case f == message.Held:
		s.held = true
	case s.level == qos.AtLeastOnce:
		s.Subscription.Acknowledge(m)
	case s.level == qos.Auto:
		s.dropped = m
	}
}

// report reports what was dropped, where nothing before it is still on its way to the client.
func (s *outflow) report() {
	if m := s.dropped; m != nil && !s.open && !s.held {
		s.dropped = nil
		s.Subscription.DeliveredThrough(m)
	}
}

// DeliveredThrough implements connectors.Subscription.
func (s *outflow) DeliveredThrough(m *message.Message) {
	if s.held {
		return // it would report the held message too
	}
	if placeOf(m) == s.newest {
		s.open = false
		if s.dropped != nil {
			m, s.dropped = s.dropped, nil
		}
	}
	s.Subscription.DeliveredThrough(m)
}

// AppendCursor implements connectors.Subscription. The endpoint's own position counts where all that it gave was looked at, so a
// client that comes back need not wait for what was dropped to be dropped again. Else it is ahead of the client.
func (s *outflow) AppendCursor(dst []byte) []byte {
	if s.rest.Len() > 0 || s.ended != nil || s.pipe != nil && !s.pipe.empty() {
		return append(dst, s.last...)
	}
	return s.Subscription.AppendCursor(dst)
}

// Close implements connectors.Subscription.
func (s *outflow) Close(ctx context.Context) {
	if s.pipe != nil {
		s.pipe.close()
	}
	s.Subscription.Close(ctx)
}

var (
	_ connectors.Subscription = (*outflow)(nil)
	_ connectors.Viewer       = (*outflow)(nil)
)
