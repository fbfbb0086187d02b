package flow

import (
	"context"
	"io"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// maxLooked bounds how many messages one Poll looks at while none is kept, so that a filter that drops everything does not
// keep the goroutine of a hundred connections busy for one of them.
const maxLooked = 2048

// outflow is a subscription behind a subscribe flow. What the chain allows is done once for all subscribers:
//
//   - a chain that depends on the message alone runs once per message, and its results are shared, frames included;
//   - a chain that only filters runs per subscriber, who then gets parts of the shared run as it is;
//   - any other chain works on copies of this subscriber;
//   - a chain that may block works on copies too, beside the goroutine that polls (see pipe).
//
// A dropped message is done with as if the client had it, in order: under auto it is reported with the message before it, since a
// report covers all that lies before; under at-least-once it is acknowledged alone. From a message on that is held
// (policies.ErrHold) no report passes: the checkpoint stays before it.
type outflow struct {
	connectors.Subscription
	viewer connectors.Viewer // nil: nothing is shared
	ctx    context.Context   // of the connection, which no call spans
	chain  *chain
	common *policies.Context // of a chain that is shared: it knows no exchange
	level  qos.Level
	wake   func()
	pipe   *pipe // nil: the chain never blocks

	rest  message.View // kept messages, and dropped ones between them, that a filter has not looked at yet
	ended error        // what the next Poll returns, for good

	last    []byte           // the id of the last message that was returned, or where the subscription began
	open    bool             // a message was returned that is not reported as delivered
	newest  place            // the last message that was returned
	dropped *message.Message // the last message behind newest, which was dropped and is not reported; nil: none
	held    bool

	context policies.Context // of this connection
	scratch message.Message  // what a filter looks at
}

// place tells messages apart.
type place struct {
	topic     string
	partition int32
	offset    int64
}

func placeOf(m *message.Message) place { return place{m.Topic, m.Partition, m.Offset} }

// newOutflow puts a chain before a subscription.
func newOutflow(ctx context.Context, inner connectors.Subscription, c *chain, b *backend, uses policies.Uses, x *exchange.Exchange, wake func()) *outflow {
	s := &outflow{Subscription: inner, ctx: ctx, chain: c, level: x.QoS, wake: wake}
	s.context.Init(x, b.guide.surroundings)
	s.context.Keep(uses)
	s.viewer, _ = inner.(connectors.Viewer)
	switch {
	case c.traits.Blocks:
		s.pipe = newPipe(ctx, c, &s.context, b, wake)
	case c.traits.Shared:
		s.common = b.guide.common
	}
	s.last = inner.AppendCursor(nil)
	return s
}

// Poll implements connectors.Subscription.
func (s *outflow) Poll(most int) ([]message.Message, error) {
	v, err := s.PollView(most)
	return v.Messages(), err
}

// PollView implements connectors.Viewer.
func (s *outflow) PollView(most int) (message.View, error) {
	if most <= 0 {
		return message.View{}, nil
	}
	defer s.report()
	for looked := 0; looked < maxLooked; {
		if s.pipe != nil {
			if v, ready := s.piped(most); ready {
				return v, nil
			}
		}
		if s.rest.Len() > 0 {
			n := s.rest.Len()
			if v := s.filter(); v.Len() > 0 {
				return s.hand(v), nil
			}
			looked += n - s.rest.Len()
			continue
		}
		if s.ended != nil {
			return message.View{}, s.ended
		}
		if s.pipe != nil && s.pipe.busy() {
			return message.View{}, nil // it will wake
		}
		v, err := s.inner(most)
		if err != nil || v.Len() == 0 {
			return v, err
		}
		looked += v.Len()
		if v.Run[v.From].Kind != message.Data {
			return v, nil // not for policies: it arrives alone, in its place
		}
		if v = s.pass(v); v.Len() > 0 {
			return s.hand(v), nil
		}
	}
	s.wake() // there may be more, for the next turn
	return message.View{}, nil
}

func (s *outflow) inner(most int) (message.View, error) {
	if s.viewer != nil {
		return s.viewer.PollView(most)
	}
	out, err := s.Subscription.Poll(most)
	return message.Alone(out), err
}

// pass sends new messages of the endpoint through the chain and returns those that may be handed out now.
func (s *outflow) pass(v message.View) message.View {
	switch {
	case s.pipe != nil:
		s.pipe.take(v.Messages())
		return message.View{}
	case s.common != nil:
		if d, ok := v.Derive(s.chain, s.transform); ok {
			return s.shared(v, d)
		}
	}
	if s.chain.traits.Filter {
		s.rest = v
		return s.filter()
	}
	return s.copied(v)
}

// transform is the chain as all subscribers share it: whoever comes first runs it for all, one at a time.
func (s *outflow) transform(m *message.Message) (message.Fate, error) {
	return fate(s.chain.run(context.Background(), s.common, m))
}

// shared takes over what was made of v for all subscribers.
func (s *outflow) shared(v message.View, d message.Derived) message.View {
	for i, f := range d.Fates {
		s.settle(&v.Run[v.From+i], f)
	}
	s.end(d.Err)
	return d.View
}

// filter looks at the rest up to the first message that is dropped behind one that is kept, and returns those that are kept.
func (s *outflow) filter() message.View {
	out := message.View{Batch: s.rest.Batch, Run: s.rest.Run, From: s.rest.From, To: s.rest.From}
	for s.rest.Len() > 0 {
		m := &s.rest.Run[s.rest.From]
		f, err := s.judge(m)
		s.rest.From++
		if err != nil {
			s.end(err)
			s.rest = message.View{}
			return out
		}
		s.settle(m, f)
		switch {
		case f == message.Kept:
			out.To++
		case out.Len() > 0:
			return out
		default:
			out.From, out.To = s.rest.From, s.rest.From
		}
	}
	return out
}

// judge asks a filter about m, which it gets a copy of: the message itself is shared.
func (s *outflow) judge(m *message.Message) (message.Fate, error) {
	scratch := &s.scratch
	*scratch = *m
	return fate(s.chain.run(s.ctx, &s.context, scratch))
}

// copied runs the chain on copies, which belong to this subscriber.
func (s *outflow) copied(v message.View) message.View {
	out := make([]message.Message, 0, v.Len())
	for i := v.From; i < v.To; i++ {
		out = append(out, v.Run[i])
		f, err := fate(s.chain.run(s.ctx, &s.context, &out[len(out)-1]))
		if err == nil {
			s.settle(&v.Run[i], f)
		}
		if f == message.Kept {
			continue
		}
		out[len(out)-1] = message.Message{}
		out = out[:len(out)-1]
		if err != nil {
			s.end(err)
			break
		}
	}
	return message.Alone(out)
}

// piped returns what the pipe has made.
func (s *outflow) piped(most int) (message.View, bool) {
	done := s.pipe.give(most)
	if len(done) == 0 {
		return message.View{}, false
	}
	out := make([]message.Message, 0, len(done))
	for i := range done {
		d := &done[i]
		if d.err != nil {
			s.end(d.err)
			break
		}
		s.settle(&d.Message, d.fate)
		if d.fate == message.Kept {
			out = append(out, d.Message)
		}
	}
	if len(out) == 0 {
		return message.View{}, false
	}
	return s.hand(message.Alone(out)), true
}

// end remembers why nothing more comes.
func (s *outflow) end(err error) {
	switch {
	case err == nil:
	case err == policies.ErrEnd:
		s.ended = io.EOF
	default:
		s.ended = err
	}
}
