package httpfront

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Framer writes messages as one entrypoint's clients see them. Both methods append to dst and return it.
type Framer interface {
	// AppendMessage frames a Data, Gap or Notice message.
	AppendMessage(dst []byte, m *message.Message) []byte
	// AppendEnd frames the end of the stream, which nothing follows: a GoAway (f nil) with its reason and the exact resume
	// point, empty where there is none, or the failure f.
	AppendEnd(dst []byte, f *message.Failure, reason message.Reason, cursor []byte) []byte
}

// SharedFramer is a Framer whose messages are the same for all clients of one form.
type SharedFramer interface {
	Framer
	// Form names the form: AppendMessage and all that it depends on. It is comparable.
	Form() any
}

// Pump moves one subscription into one connection: what waits is framed up to one write's worth, what does not fit stays
// a view of shared memory, and nothing else is queued. One goroutine uses it.
type Pump struct {
	sub       connectors.Subscription
	framer    Framer
	level     qos.Level
	pending   []message.Message
	err       error            // what Poll said after pending
	delivered *message.Message // the last message from the endpoint that was framed and not yet reported as written
	failure   *message.Failure // after Failed
}

// NewPump returns the pump of an open subscription.
func NewPump(sub connectors.Subscription, framer Framer, level qos.Level) Pump {
	return Pump{sub: sub, framer: framer, level: level}
}

// State is what a Fill found.
type State uint8

// States.
const (
	Idle   State = iota // nothing more now: the subscription will call Wake
	More                // there may be more than fitted
	Ended               // the endpoint has no more messages, ever
	Left                // a GoAway was framed
	Failed              // a failure was framed; see Failure
)

// Fill frames what waits, behind what dst holds, until dst holds one write's worth. After anything but Idle and More it
// must not be called again. ctx is the API's: once it is over nothing more is polled, and the stream ends with a GoAway at
// that point, even where the subscription says none and has more.
func (p *Pump) Fill(ctx context.Context, dst []byte) ([]byte, State) {
	for {
		for len(p.pending) > 0 {
			if len(dst) >= batchBytes {
				return dst, More
			}
			m := &p.pending[0]
			if m.Kind == message.GoAway {
				return p.leave(dst, m.Reason), Left
			}
			dst = p.framer.AppendMessage(dst, m)
			if m.Kind == message.Data { // no endpoint knows the others
				p.delivered = m
			}
			p.pending = p.pending[1:]
		}
		if len(dst) >= batchBytes {
			return dst, More
		}
		if p.err == nil && ctx.Err() != nil {
			return p.leave(dst, StopReason(ctx)), Left
		}
		if p.err == nil {
			p.pending, p.err = p.sub.Poll(batchMessages)
		}
		switch {
		case len(p.pending) > 0:
		case errors.Is(p.err, io.EOF):
			return dst, Ended
		case p.err != nil:
			p.failure = AsFailure(p.err)
			return p.framer.AppendEnd(dst, p.failure, 0, p.sub.AppendCursor(nil)), Failed
		default:
			return dst, Idle
		}
	}
}

func (p *Pump) leave(dst []byte, reason message.Reason) []byte {
	return p.framer.AppendEnd(dst, nil, reason, p.sub.AppendCursor(nil))
}

// Failure is what the subscription ended with; nil unless Fill said Failed.
func (p *Pump) Failure() *message.Failure { return p.failure }

// Written says that all that Fill framed so far is on its way to the client. Under auto a checkpoint may pass it now. Under
// at-least-once that needs proof of receipt: the last message is returned, nil where nothing new was written, and whoever has
// the proof tells the subscription. Under the others nobody needs to know.
func (p *Pump) Written() *message.Message {
	m := p.delivered
	p.delivered = nil
	return written(p.sub, p.level, m)
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
