package mock

import (
	"context"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// subscription is one subscriber. Message i of those it gets is due i+1 intervals after it came.
type subscription struct {
	e     *Endpoint
	wake  func()
	begun time.Time
	from  int64 // number of its first message
	next  int64
}

// maxBatch bounds what one Poll makes when there is no interval.
const maxBatch = 256

// Poll implements connectors.Subscription.
func (s *subscription) Poll(most int) ([]message.Message, error) {
	e := s.e
	now := time.Now()
	n := int64(min(most, maxBatch))
	if e.interval > 0 {
		n = min(n, int64(now.Sub(s.begun)/e.interval)-(s.next-s.from))
	}
	if e.count >= 0 {
		n = min(n, e.count-s.next)
	}
	if n <= 0 {
		return nil, s.wait()
	}
	out := make([]message.Message, n)
	for i := range out {
		m := &out[i]
		m.ID = strconv.AppendInt(nil, s.next, 10)
		m.Content, m.Headers, m.Origin = e.content, e.headers, e
		m.Timestamp, m.Offset = now.UnixMilli(), s.next
		s.next++
	}
	return out, nil
}

// wait has Run wake the subscriber when the next message is due, if there is one.
func (s *subscription) wait() error {
	e := s.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return &message.Failure{Status: 503, Key: message.KeyConnectionClosed, Message: "Endpoint connection closed"}
	}
	at := s.begun.Add(time.Duration(s.next-s.from+1) * e.interval)
	if e.count >= 0 && s.next >= e.count {
		at = at.AddDate(100, 0, 0) // only to be told that the endpoint ends
	}
	e.waiting[s] = at
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return nil
}

// DeliveredThrough implements connectors.Subscription: nothing is saved.
func (s *subscription) DeliveredThrough(*message.Message) {}

// Acknowledge implements connectors.Subscription.
func (*subscription) Acknowledge(*message.Message) {}

// AppendCursor implements connectors.Subscription.
func (s *subscription) AppendCursor(dst []byte) []byte {
	if s.next == 0 {
		return dst
	}
	return strconv.AppendInt(dst, s.next-1, 10)
}

// Close implements connectors.Subscription.
func (s *subscription) Close(context.Context) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	delete(s.e.waiting, s)
}

var _ connectors.Subscription = (*subscription)(nil)
