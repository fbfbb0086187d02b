package kafka

import (
	"context"

	"github.com/sluice-gateway/sluice/qos/cursor"
)

// endAt says where the subscription ends (SubscribeOptions.Until): after a message id, before the first message that is not
// older than a time, and in no case behind what the log has now, so that it does end. Partitions that appear later are not
// read.
func (s *subscription) endAt(ctx context.Context, text string) error {
	until, err := cursor.Parse(text)
	if err != nil {
		return badCursor("of the end " + err.Error())
	}
	f := s.r.f
	ends, err := f.control.ends(ctx, f.topics)
	if err != nil {
		return err
	}
	var end vector
	switch until.Kind {
	case cursor.At:
		if end, err = s.r.fromCursor(ctx, until.At); err != nil {
			return err
		}
	case cursor.Time:
		found, err := f.control.after(ctx, f.topics, until.Time)
		if err != nil {
			return err
		}
		end = s.r.fromOffsets(found)
	case cursor.Latest:
		end = s.r.fromOffsets(ends)
	default:
		return badCursor("of the end is neither a message id nor @ and a time")
	}
	now := s.r.fromOffsets(ends)
	for i := range end {
		end[i] = min(end[i], now.at(i))
	}
	if end == nil {
		end = vector{}
	}
	s.end = end
	return nil
}

// ended tells whether everything before the end was returned, or is known not to be there.
func (s *subscription) ended() bool {
	if len(s.pending) > 0 {
		return false
	}
	b := s.cur
	passed := b.passed.Load() // before n: what it holds is not behind more messages than n counts
	vec := s.vector(nil)
	if passed != nil && s.idx >= b.n.Load() {
		vec = vec.raise(*passed)
	}
	for i, end := range s.end {
		if vec.at(i) < end {
			return false
		}
	}
	return true
}
