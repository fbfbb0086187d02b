package mock

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/window"
)

// subscription is one subscriber. Message i of those it gets is due i+1 intervals after it came.
type subscription struct {
	e     *Endpoint
	wake  func()
	begun time.Time
	next  int64 // number of the next message
	sent  int64 // how many were returned
	until until

	client *client        // where it is remembered; nil: nowhere
	skip   []window.Range // delivered before it began
	once   bool           // at-most-once: remembered before it is returned
	closed atomic.Bool
}

// maxBatch bounds what one Poll makes when there is no interval.
const maxBatch = 256

// until says where a subscription ends (connectors.SubscribeOptions.Until).
type until struct {
	number int64     // this message is not returned, nor any later; -1: none
	at     time.Time // nor any that is due from then on; zero: none
}

func parseUntil(text string) (until, error) {
	u := until{number: -1}
	var err error
	switch at, isTime := strings.CutPrefix(text, "@"); {
	case text == "":
	case isTime:
		u.at, err = time.Parse(time.RFC3339, at)
	default:
		if u.number, err = strconv.ParseInt(text, 10, 63); err == nil && u.number < 0 {
			err = strconv.ErrRange
		}
	}
	if err != nil {
		return u, &message.Failure{Status: 400, Key: message.KeyInvalidCursor, Err: err,
			Message: "Invalid end of the messages " + strconv.Quote(text) + `: must be a message number or "@" and an RFC 3339 time`}
	}
	return u, nil
}

func (u until) isSet() bool { return u.number >= 0 || !u.at.IsZero() }

func (e *Endpoint) subscribe(x *exchange.Exchange, o connectors.SubscribeOptions) (*subscription, error) {
	u, err := parseUntil(o.Until)
	if err != nil {
		return nil, err
	}
	s := &subscription{e: e, wake: o.Wake, begun: time.Now(), until: u, once: x.QoS == qos.AtMostOnce}
	if s.wake == nil {
		s.wake = func() {}
	}
	if x.QoS == qos.None {
		return s, nil
	}
	if o.Cursor != "" {
		s.next = e.number(o.Cursor)
	}
	if x.ClientSupplied && x.ClientIdentifier != "" {
		s.client = e.memory.enter(x.ClientIdentifier)
		s.next, s.skip = e.memory.begin(s.client, s.next, o.Cursor != "", s.once)
	}
	return s, nil
}

// number returns the number of the first message behind a cursor.
func (e *Endpoint) number(cursor string) int64 {
	if cursor == "earliest" || cursor == "latest" || strings.HasPrefix(cursor, "@") {
		return 0 // there is no log: for everybody messages begin when it comes
	}
	last, err := strconv.ParseInt(cursor, 10, 63)
	if err != nil || last < 0 {
		e.log.Warn("cursor is no message number, starting at 0", "cursor", cursor)
		return 0
	}
	return last + 1
}

// Poll implements connectors.Subscription.
func (s *subscription) Poll(most int) ([]message.Message, error) {
	now := time.Now()
	n := s.due(now, int64(min(most, maxBatch)))
	if n <= 0 {
		if s.ended(now) {
			return nil, io.EOF
		}
		return nil, s.wait()
	}
	if s.once && s.client != nil {
		if first := s.e.memory.take(s.client, s.next, n); first != s.next {
			s.next = first
			n = min(n, s.left(n)) // what is saved beyond the end does not exist
			if n <= 0 {
				return nil, s.wait()
			}
		}
	}
	return s.make(now, n), nil
}

// due returns how many messages there are now, at most so many.
func (s *subscription) due(now time.Time, most int64) int64 {
	for len(s.skip) > 0 && s.skip[0].From <= s.next {
		s.next = max(s.next, s.skip[0].To)
		s.skip = s.skip[1:]
	}
	if len(s.skip) > 0 {
		most = min(most, s.skip[0].From-s.next)
	}
	if !s.until.at.IsZero() && !now.Before(s.until.at) {
		if s.e.interval == 0 {
			return 0
		}
		now = s.until.at.Add(-1)
	}
	if s.e.interval > 0 {
		most = min(most, int64(now.Sub(s.begun)/s.e.interval)-s.sent)
	}
	return s.left(most)
}

// left bounds a number of messages by the last there is.
func (s *subscription) left(n int64) int64 {
	if s.e.count >= 0 {
		n = min(n, s.e.count-s.next)
	}
	if s.until.number >= 0 {
		n = min(n, s.until.number-s.next)
	}
	return n
}

// ended tells whether nothing more comes before the end that was asked for.
func (s *subscription) ended(now time.Time) bool {
	return s.until.isSet() && (s.left(1) <= 0 || !s.until.at.IsZero() && !now.Before(s.until.at))
}

func (s *subscription) make(now time.Time, n int64) []message.Message {
	e := s.e
	out := make([]message.Message, n)
	for i := range out {
		m := &out[i]
		m.ID = strconv.AppendInt(nil, s.next, 10)
		m.Content, m.Headers, m.Origin = e.content, e.headers, e
		m.Timestamp, m.Offset = now.UnixMilli(), s.next
		s.next++
	}
	s.sent += n
	return out
}

// wait has Run wake the subscriber when the next message is due, if there is one.
func (s *subscription) wait() error {
	e := s.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return &message.Failure{Status: 503, Key: message.KeyConnectionClosed, Message: "Endpoint connection closed"}
	}
	at := s.begun.Add(time.Duration(s.sent+1) * e.interval)
	if s.left(1) <= 0 {
		at = at.AddDate(100, 0, 0) // only to be told that the endpoint ends
	}
	if !s.until.at.IsZero() && s.until.at.Before(at) {
		at = s.until.at
	}
	e.waiting[s] = at
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return nil
}

// DeliveredThrough implements connectors.Subscription.
func (s *subscription) DeliveredThrough(m *message.Message) {
	if s.client != nil && m.Kind == message.Data {
		s.e.memory.delivered(s.client, m.Offset+1)
	}
}

// Acknowledge implements connectors.Subscription.
func (s *subscription) Acknowledge(m *message.Message) {
	if s.client != nil && m.Kind == message.Data && !s.closed.Load() {
		s.e.memory.acknowledge(s.client, m.Offset)
	}
}

// AppendCursor implements connectors.Subscription.
func (s *subscription) AppendCursor(dst []byte) []byte {
	if s.next == 0 {
		return dst
	}
	return strconv.AppendInt(dst, s.next-1, 10)
}

// Close implements connectors.Subscription.
func (s *subscription) Close(context.Context) {
	if s.closed.Swap(true) {
		return
	}
	if s.client != nil {
		s.e.memory.leave(s.client)
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	delete(s.e.waiting, s)
}

var _ connectors.Subscription = (*subscription)(nil)
