package websocket

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// batchMessages bounds one Poll, as in httpfront.
const batchMessages = 256

// feed moves a subscription into a connection as httpfront.Stream does, but only as much as the window has room for, and never
// polls more messages than that: what was polled can be sent when the API stops, so that the cursor behind it is the
// client's.
type feed struct {
	sub     connectors.Subscription
	viewer  connectors.Viewer // nil: nothing is shared
	framer  *framer
	form    any            // of the frames that other clients get too; nil: none do
	encode  message.Encode // in that form
	window  *window
	level   qos.Level
	view    message.View
	err     error            // what Poll said after view
	failure *message.Failure // after feedFailed
	last    *message.Message // the last message framed and not yet written
	framed  int              // messages framed and not yet written
}

// newFeed returns the feed of an open subscription to a client that is framed for by fr.
func newFeed(sub connectors.Subscription, fr *framer, w *window, level qos.Level) feed {
	f := feed{sub: sub, framer: fr, window: w, level: level}
	f.form, f.encode = fr.shared()
	if f.form != nil {
		f.viewer, _ = sub.(connectors.Viewer)
	}
	return f
}

// feedState is what a fill found.
type feedState uint8

const (
	feedIdle   feedState = iota // nothing more may be sent now: there will be a wake
	feedMore                    // there may be more than fitted
	feedEnded                   // the endpoint has no more messages, ever
	feedLeft                    // the API stops; see reason
	feedFailed                  // see failure
)

// fill adds what waits to o, until that holds one write's worth. After anything but feedIdle and feedMore it must not be
// called again. ctx is the API's: once it is over, nothing more is polled.
func (f *feed) fill(ctx context.Context, o *eventloop.Output) (feedState, message.Reason) {
	for {
		for f.view.Len() > 0 {
			if o.Len() >= eventloop.MaxWrite {
				return feedMore, 0
			}
			if m := &f.view.Run[f.view.From]; m.Kind == message.GoAway {
				return feedLeft, m.Reason
			}
			if !f.frame(o, ctx.Err() != nil) {
				return feedIdle, 0
			}
		}
		f.view = message.View{} // an idle client keeps nothing
		switch {
		case o.Len() >= eventloop.MaxWrite:
			return feedMore, 0
		case f.err == nil && ctx.Err() != nil:
			return feedLeft, httpfront.StopReason(ctx)
		case f.err == nil:
			room := f.window.room()
			if room == 0 {
				return feedIdle, 0
			}
			f.poll(min(room, batchMessages))
		}
		switch {
		case f.view.Len() > 0:
		case errors.Is(f.err, io.EOF):
			return feedEnded, 0
		case f.err != nil:
			f.failure = httpfront.AsFailure(f.err)
			return feedFailed, 0
		default:
			return feedIdle, 0
		}
	}
}

func (f *feed) poll(most int) {
	if f.viewer != nil {
		f.view, f.err = f.viewer.PollView(most)
		return
	}
	var messages []message.Message
	messages, f.err = f.sub.Poll(most)
	f.view = message.Alone(messages)
}

// frame adds the first messages of the view; false: they have to wait. What was polled must be sent before the API's last word,
// so that its cursor is right.
func (f *feed) frame(o *eventloop.Output, must bool) bool {
	m := &f.view.Run[f.view.From]
	if m.Kind != message.Data {
		o.Commit(f.framer.appendEvent(o.Buffer(), m))
		f.view.From++
		return true
	}
	if f.viewer != nil {
		part := f.view
		part.To = part.From + f.window.fits(part.Messages(), must)
		if part.Len() == 0 {
			return false
		}
		if p, n, ok := part.Take(f.form, eventloop.MaxWrite-o.Len(), f.encode); ok {
			f.window.addAll(part.Run[part.From-n : part.From])
			o.Shared(p)
			f.took(n)
			return true
		}
	}
	number, ok := f.window.add(m, must)
	if !ok {
		return false
	}
	o.Commit(f.framer.appendMessage(o.Buffer(), m, number))
	f.took(1)
	return true
}

// took moves the view behind n messages that were framed.
func (f *feed) took(n int) {
	f.view.From += n
	f.last = &f.view.Run[f.view.From-1]
	f.framed += n
}

// written says that all that was framed is on its way to the client.
func (f *feed) written() {
	if f.last != nil && f.level == qos.Auto {
		f.sub.DeliveredThrough(f.last)
	}
	f.last, f.framed = nil, 0
}

// prove passes on what the client has proved since the last time.
func (f *feed) prove() {
	if m := f.window.take(); m != nil {
		f.sub.DeliveredThrough(m)
	}
}

// unsent is how many messages were polled and not written.
func (f *feed) unsent() int {
	n := f.framed
	for _, m := range f.view.Messages() {
		if m.Kind == message.Data {
			n++
		}
	}
	return n
}

// cursor is the resume point after what was framed; nil where there is none or where more was polled.
func (f *feed) cursor() []byte {
	if f.sub == nil || f.view.Len() > 0 {
		return nil
	}
	return f.sub.AppendCursor(nil)
}
