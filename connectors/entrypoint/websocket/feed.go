package websocket

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of one write, as in httpfront.
const (
	batchBytes    = 32 << 10
	batchMessages = 256
)

// feed moves a subscription into a connection as httpfront.Pump does, but only as much as the window has room for, and never
// polls more messages than that: what was polled can be sent when the API stops, so that the cursor behind it is the
// client's. The writer uses it.
type feed struct {
	sub     connectors.Subscription
	framer  *framer
	window  *window
	level   qos.Level
	pending []message.Message
	err     error            // what Poll said after pending
	failure *message.Failure // after feedFailed
	last    *message.Message // the last message framed and not yet written
	framed  int              // messages framed and not yet written
}

// feedState is what a fill found.
type feedState uint8

const (
	feedIdle   feedState = iota // nothing more may be sent now: the writer will be woken
	feedMore                    // there may be more than fitted
	feedEnded                   // the endpoint has no more messages, ever
	feedLeft                    // the API stops; see reason
	feedFailed                  // see failure
)

// fill frames what waits behind what dst holds, until dst holds one write's worth. After anything but feedIdle and feedMore
// it must not be called again. ctx is the API's: once it is over, nothing more is polled.
func (f *feed) fill(ctx context.Context, dst []byte) ([]byte, feedState, message.Reason) {
	for {
		for len(f.pending) > 0 {
			if len(dst) >= batchBytes {
				return dst, feedMore, 0
			}
			m := &f.pending[0]
			if m.Kind == message.GoAway {
				return dst, feedLeft, m.Reason
			}
			var ok bool
			if dst, ok = f.frame(dst, m, ctx.Err() != nil); !ok {
				return dst, feedIdle, 0
			}
			f.pending = f.pending[1:]
		}
		switch {
		case len(dst) >= batchBytes:
			return dst, feedMore, 0
		case f.err == nil && ctx.Err() != nil:
			return dst, feedLeft, httpfront.StopReason(ctx)
		case f.err == nil:
			room := f.window.room()
			if room == 0 {
				return dst, feedIdle, 0
			}
			f.pending, f.err = f.sub.Poll(min(room, batchMessages))
		}
		switch {
		case len(f.pending) > 0:
		case errors.Is(f.err, io.EOF):
			return dst, feedEnded, 0
		case f.err != nil:
			f.failure = httpfront.AsFailure(f.err)
			return dst, feedFailed, 0
		default:
			return dst, feedIdle, 0
		}
	}
}

// frame appends m; false: it has to wait. What was polled must be sent before the API's last word, so that its cursor is right.
func (f *feed) frame(dst []byte, m *message.Message, must bool) ([]byte, bool) {
	if m.Kind != message.Data {
		return f.framer.appendEvent(dst, m), true
	}
	number, ok := f.window.add(m, must)
	if !ok {
		return dst, false
	}
	f.last = m
	f.framed++
	return f.framer.appendMessage(dst, m, number), true
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
	for i := range f.pending {
		if f.pending[i].Kind == message.Data {
			n++
		}
	}
	return n
}

// cursor is the resume point after what was framed; nil where there is none or where more was polled.
func (f *feed) cursor() []byte {
	if f.sub == nil || len(f.pending) > 0 {
		return nil
	}
	return f.sub.AppendCursor(nil)
}
