package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// wanted is where a client asks to start.
type wanted struct {
	live  bool          // at the live end, whatever is saved: level none
	from  cursor.Cursor // None: saved checkpoint, else the start rule
	group string        // where checkpoints are saved; empty: nowhere
	reset string        // the start rule
	share bool          // the group's members share the messages, whatever the level
}

// counts: the group's positions are kept as at-most-once or at-least-once demand.
func (w *wanted) counts(level qos.Level) bool {
	return w.group != "" && (w.share || level == qos.AtMostOnce || level == qos.AtLeastOnce)
}

// shared: subscribers with an Instance are one subscriber on several workers (webhooks), and each message is for one of them.
// What tells them apart is a group, so that none and auto are then kept as the levels above them that a group keeps: none
// begins at the live end and hands out what is saved, auto saves what is delivered.
func (w *wanted) shared(x *exchange.Exchange) {
	w.share = true
	if x.QoS == qos.None && w.group == "" {
		w.group, w.reset = x.ClientIdentifier, resetLatest
	}
}

// want reads what the exchange and the cursor ask for. Under none there is no state, and so no cursor, except for a look back.
func want(x *exchange.Exchange, text string, back bool, what *reading, reset string) (wanted, *message.Failure) {
	if x.QoS == qos.None && !back {
		return wanted{live: true}, nil
	}
	from, err := cursor.Parse(text)
	if err != nil {
		return wanted{}, badCursor(err.Error())
	}
	for _, p := range from.At {
		if !what.covers(p.Topic) {
			return wanted{}, badCursor(fmt.Sprintf("names topic %s, which this API does not read", p.Topic))
		}
	}
	w := wanted{from: from, reset: reset}
	if v, ok := x.Attribute(attributeReset); ok && v != nil {
		switch w.reset = strings.ToLower(fmt.Sprint(v)); w.reset {
		case resetLatest, resetEarliest, resetNone:
		default:
			return w, badAttribute(attributeReset, v, "is not one of latest, earliest, none")
		}
	}
	if v, ok := x.Attribute(attributeGroupID); ok && v != nil {
		w.group = fmt.Sprint(v)
	} else if x.ClientSupplied {
		w.group = x.ClientIdentifier
	}
	return w, nil
}

func badCursor(text string) *message.Failure {
	return &message.Failure{Status: statusBadCursor, Key: message.KeyInvalidCursor, Message: "The cursor " + text}
}

// start puts the subscription in its place.
func (s *subscription) start(ctx context.Context, w wanted) error {
	if w.live {
		s.atLiveEnd()
		return nil
	}
	vec, exact, err := s.r.startAt(ctx, w)
	if err != nil {
		return err
	}
	if vec == nil {
		s.atLiveEnd()
		s.markStart(s.vector(nil))
		return nil
	}
	if !exact {
		var gaps []message.Message
		if vec, gaps, err = s.r.inRange(ctx, vec); err != nil {
			return err
		}
		s.pending = append(s.pending, gaps...)
	}
	s.markStart(append(vector(nil), vec...))
	s.resumeAt(vec)
	return nil
}

// startAt says where to start; nil: at the live end. exact: the position is in the log for certain.
func (r *reader) startAt(ctx context.Context, w wanted) (vec vector, exact bool, err error) {
	f := r.f
	switch w.from.Kind {
	case cursor.Latest:
		return nil, true, nil
	case cursor.Earliest:
		vec, err := r.look(ctx, f.control.starts)
		return vec, true, err
	case cursor.Time:
		vec, err := r.look(ctx, f.control.since(w.from.Time))
		return vec, true, err
	case cursor.At:
		vec, err := r.fromCursor(ctx, w.from.At)
		return vec, false, err
	}
	if w.group != "" {
		saved, err := f.control.committed(ctx, w.group, f.names())
		if err != nil {
			return nil, false, err
		}
		if len(saved) > 0 {
			vec, err := r.fromSaved(ctx, saved, w.reset)
			return vec, false, err
		}
	}
	switch w.reset {
	case resetEarliest:
		vec, err := r.look(ctx, f.control.starts)
		return vec, true, err
	case resetNone:
		return nil, false, noPosition(place{})
	}
	return nil, true, nil
}

// noPosition refuses a client under autoOffsetReset none.
func noPosition(p place) *message.Failure {
	text := textInvalid + ": autoOffsetReset is none, and the client has no position"
	if p.topic != "" {
		text += fmt.Sprintf(" in partition %d of topic %s", p.partition, p.topic)
	}
	return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: text}
}

// fromOffsets makes a vector of what was looked up. Partitions that the reader does not know yet get their numbers here.
func (r *reader) fromOffsets(found offsets) vector {
	lay := r.extend(found.places())
	vec := make(vector, 0, len(lay.places))
	for p, offset := range found.at {
		vec = vec.set(int(lay.number(p.topic, p.partition)), offset)
	}
	return vec
}

// fromCursor makes a vector of a client's positions. A partition that the cursor does not name starts at its beginning:
// the cursor was made before the partition was, or by hand, and nothing of it was seen.
func (r *reader) fromCursor(ctx context.Context, at []cursor.Position) (vector, error) {
	named, err := r.named(ctx, at)
	if err != nil {
		return nil, err
	}
	vec := vector{}
	for i, next := range named {
		vec = vec.set(int(i), next)
	}
	return vec, nil
}

// named reads a client's positions: the next offset by partition number.
func (r *reader) named(ctx context.Context, at []cursor.Position) (map[int32]int64, error) {
	lay := r.lay.Load()
	out := make(map[int32]int64, len(at))
	var looked bool
	for _, p := range at {
		n := lay.number(p.Topic, p.Partition)
		if n < 0 && !looked { // perhaps another worker has seen it already
			looked = true
			names, err := r.f.discover(ctx)
			if err != nil {
				return nil, err
			}
			found, err := r.f.control.ends(ctx, names)
			if err != nil {
				return nil, err
			}
			lay = r.extend(found.places())
			n = lay.number(p.Topic, p.Partition)
		}
		if n < 0 {
			return nil, badCursor(fmt.Sprintf("names partition %d of topic %s, which does not exist", p.Partition, p.Topic))
		}
		out[n] = p.Offset + 1
	}
	return out, nil
}

// fromSaved makes a vector of a group's offsets. Where the group has none for a partition, the start rule decides.
func (r *reader) fromSaved(ctx context.Context, saved map[place]spot, reset string) (vector, error) {
	look := r.f.control.ends
	if reset == resetEarliest {
		look = r.f.control.starts
	}
	lay, names := r.lay.Load(), r.f.names()
	found, err := look(ctx, names)
	if err != nil {
		return nil, err
	}
	for p, at := range saved {
		if _, ok := found.find(p); ok {
			found.at[p] = at.next
		}
	}
	return r.passGone(r.fromOffsets(found), lay, names), nil
}

// inRange checks a client's position against the log. What the log no longer has, or never had, is told in a gap, and read
// from the log's start. A position inside the ring is in range.
func (r *reader) inRange(ctx context.Context, vec vector) (_ vector, gaps []message.Message, err error) {
	f := r.f
	if r.ring.covers(vec) || r.isParked(vec) {
		return vec, nil, nil
	}
	lay, names := r.lay.Load(), f.names()
	starts, err := f.control.starts(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	ends, err := f.control.ends(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	gone, live := f.gone(lay, names), r.live()
	lay = r.lay.Load()
	var before, beyond []lostRange
	for i, p := range lay.places {
		if last := live.at(i); gone(i) && vec.at(i) != elsewhere {
			if at := vec.at(i); at > 0 && at < last {
				before = append(before, lostRange{p.topic, p.partition, at, last})
			}
			vec = vec.set(i, last)
			continue
		}
		start, ok := starts.find(p)
		end, ok2 := ends.find(p)
		if !ok || !ok2 || vec.at(i) == elsewhere {
			continue // it appeared or went just now
		}
		switch at := vec.at(i); {
		case at < start:
			if at > 0 { // 0 is "from the first", whichever that is
				before = append(before, lostRange{p.topic, p.partition, at, start})
			}
			vec = vec.set(i, start)
		case at > end:
			beyond = append(beyond, lostRange{p.topic, p.partition, at, start})
			vec = vec.set(i, start)
		}
	}
	if before != nil {
		gaps = append(gaps, gapMessage(gap{Reason: reasonRetention, Ranges: before}))
	}
	if beyond != nil {
		gaps = append(gaps, gapMessage(gap{Reason: reasonBeyond, Ranges: beyond}))
	}
	return vec, gaps, nil
}
