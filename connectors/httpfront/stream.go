package httpfront

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Stream moves one subscription into one connection of an event loop. What other clients get too is written from shared
// memory; what does not fit stays a view of it, and nothing else is queued. The loop's goroutine uses it.
type Stream struct {
	sub       connectors.Subscription
	viewer    connectors.Viewer // nil: nothing is shared
	framer    SharedFramer
	form      any
	encode    message.Encode
	level     qos.Level
	view      message.View
	err       error            // what Poll said after view
	delivered *message.Message // the last message from the endpoint that was framed and not yet reported as written
	failure   *message.Failure // after Failed
}

// NewStream returns the stream of an open subscription. encode is the framer's AppendMessage.
func NewStream(sub connectors.Subscription, framer SharedFramer, level qos.Level) Stream {
	s := Stream{sub: sub, framer: framer, form: framer.Form(), encode: framer.AppendMessage, level: level}
	s.viewer, _ = sub.(connectors.Viewer)
	return s
}

// Fill adds what waits to o, about one write's worth. After anything but Idle and More it must not be called again. ctx is
// the API's: once it is over nothing more is polled, and the stream ends with a GoAway at that point, even where the
// subscription says none and has more.
func (s *Stream) Fill(ctx context.Context, o *eventloop.Output) State {
	for {
		for s.view.Len() > 0 {
			if o.Len() >= eventloop.MaxWrite {
				return More
			}
			if m := &s.view.Run[s.view.From]; m.Kind == message.GoAway {
				s.leave(o, m.Reason)
				return Left
			}
			s.take(o)
		}
		s.view = message.View{} // an idle client keeps nothing
		if o.Len() >= eventloop.MaxWrite {
			return More
		}
		if s.err == nil && ctx.Err() != nil {
			s.leave(o, StopReason(ctx))
			return Left
		}
		if s.err == nil {
			s.poll()
		}
		switch {
		case s.view.Len() > 0:
		case errors.Is(s.err, io.EOF):
			return Ended
		case s.err != nil:
			s.failure = AsFailure(s.err)
			o.Commit(s.framer.AppendEnd(o.Buffer(), s.failure, 0, s.sub.AppendCursor(nil)))
			return Failed
		default:
			return Idle
		}
	}
}

func (s *Stream) poll() {
	if s.viewer != nil {
		s.view, s.err = s.viewer.PollView(batchMessages)
		return
	}
	var messages []message.Message
	messages, s.err = s.sub.Poll(batchMessages)
	s.view = message.Alone(messages)
}

// take adds the first messages of the view.
func (s *Stream) take(o *eventloop.Output) {
	if p, _, ok := s.view.Take(s.form, eventloop.MaxWrite-o.Len(), s.encode); ok {
		o.Shared(p)
	} else {
		o.Commit(s.framer.AppendMessage(o.Buffer(), &s.view.Run[s.view.From]))
		s.view.From++
	}
	if m := &s.view.Run[s.view.From-1]; m.Kind == message.Data { // no endpoint knows the others, which come alone
		s.delivered = m
	}
}

func (s *Stream) leave(o *eventloop.Output, reason message.Reason) {
	o.Commit(s.framer.AppendEnd(o.Buffer(), nil, reason, s.sub.AppendCursor(nil)))
}

// Failure is what the subscription ended with; nil unless Fill said Failed.
func (s *Stream) Failure() *message.Failure { return s.failure }

// Framed tells whether Fill added a message that Written has not told of.
func (s *Stream) Framed() bool { return s.delivered != nil }

// Written says that all that Fill framed so far is on its way to the client. Under auto a checkpoint may pass it now. Under
// at-least-once that needs proof of receipt: the last message is returned, nil where nothing new was written, and whoever has
// the proof tells the subscription. Under the others nobody needs to know.
func (s *Stream) Written() *message.Message {
	m := s.delivered
	s.delivered = nil
	return written(s.sub, s.level, m)
}

func written(sub connectors.Subscription, level qos.Level, m *message.Message) *message.Message {
	switch {
	case m == nil:
	case level == qos.Auto:
		sub.DeliveredThrough(m)
	case level == qos.AtLeastOnce:
		return m
	}
	return nil
}
