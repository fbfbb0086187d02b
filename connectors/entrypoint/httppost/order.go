package httppost

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// order is what became of the messages of one request. Whoever waits for it may give up: it lives on until the last
// message's fate is known, and may then be the answer to another request.
type order struct {
	slots   []slot
	left    atomic.Int32
	settled chan struct{} // closed when all is known
	batch   bool
	stored  outcome // what an acknowledgement means at this level: stored or buffered
	entry   *entry  // where the answer is kept; nil: nowhere
}

// slot is one message's place in an order. It is its message.Ack.
type slot struct {
	order *order
	known atomic.Bool // the result may be read
	result
}

// result is what became of one message.
type result struct {
	outcome   outcome
	partition int32
	offset    int64
	topic     string // empty: it is not known where the message lies
	status    int    // of a failure
	key, text string // of a failure
}

// outcome is what a client is told of one message.
type outcome uint8

const (
	unknown  outcome = iota // it may be stored or not
	stored                  // the broker has it
	buffered                // it is on its way, and nobody will know (level none)
	refused                 // it is not stored
	outcomes                // how many there are
)

// String returns the outcome as clients see it.
func (o outcome) String() string { return [...]string{"unknown", "stored", "buffered", "refused"}[o] }

func newOrder(n int, batch bool, level qos.Level) *order {
	o := &order{slots: make([]slot, n), settled: make(chan struct{}), batch: batch, stored: stored}
	if level == qos.None {
		o.stored = buffered
	}
	for i := range o.slots {
		o.slots[i].order = o
	}
	o.left.Store(int32(n))
	return o
}

// Acked implements message.Ack. The message ends here.
func (s *slot) Acked(m *message.Message, err error) {
	s.topic, s.partition, s.offset = m.Topic, m.Partition, m.Offset
	m.Release()
	if err == nil {
		s.settle(s.order.stored)
		return
	}
	f := httpfront.AsFailure(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, message.ErrRedeploy) {
		f = httpfront.Stopping()
	}
	s.fail(f)
}

func (s *slot) fail(f *message.Failure) {
	s.topic, s.status, s.key, s.text = "", statusOf(f), f.Key, f.Message
	if f.Unknown {
		s.settle(unknown)
		return
	}
	s.settle(refused)
}

func (s *slot) settle(to outcome) {
	s.outcome = to
	s.known.Store(true)
	o := s.order
	if o.left.Add(-1) > 0 {
		return
	}
	if o.entry != nil {
		o.entry.settle(o, time.Now())
	}
	close(o.settled)
}

// statusOf is the status that a failure is answered with (spec 2.1: the default is 503).
func statusOf(f *message.Failure) int {
	if f.Status < 400 || f.Status > 599 {
		return fasthttp.StatusServiceUnavailable
	}
	return f.Status
}

// fulfil publishes the request's messages and answers. A failure is returned where nothing was published.
func (e *Entrypoint) fulfil(ctx context.Context, x *exchange.Exchange, b connectors.Backend, w wishes) *message.Failure {
	fctx := x.HTTP
	timed := e.deadlines.Context(ctx, time.Now())
	var en *entry
	if w.key != "" {
		var first bool
		var failure *message.Failure
		if en, first, failure = e.answers.begin(x, w.key, e.window, time.Now()); failure != nil {
			return failure
		}
		if !first {
			return e.repeat(ctx, timed, fctx, en, w)
		}
	}
	var o *order
	carried := false
	defer func() {
		if !carried { // a panic behind the entrypoint: nobody knows, and nobody would say
			en.lost(o)
		}
	}()
	r := reader{most: e.config.BatchMaxMessages, topics: e.config.BatchTopics}
	all, failure := r.read(fctx.PostBody(), w.form)
	if failure != nil || len(all) == 0 {
		en.abandon(failure)
		carried = true
		if failure == nil {
			fctx.SetStatusCode(fasthttp.StatusAccepted) // no message, as with an empty body
		}
		return failure
	}
	o = newOrder(len(all), w.form != whole, x.QoS)
	o.entry = en
	en.underway(o)
	e.publish(ctx, timed, x, b, o, all)
	carried = true
	waitFor(o.settled, timed, ctx)
	o.write(fctx, w.representation)
	return nil
}

// publish hands the messages over in their order. Those that it is too late for are refused: nothing of them went out.
func (e *Entrypoint) publish(ctx, timed context.Context, x *exchange.Exchange, b connectors.Backend, o *order, all []element) {
	for i := range all {
		if timed.Err() != nil {
			late := message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: message.KeyRequestTimeout,
				Message: "not stored: the request's time was over before it was its turn"}
			if ctx.Err() != nil {
				late = *httpfront.Stopping()
			}
			for j := range o.slots[i:] {
				o.slots[i+j].fail(&late)
			}
			return
		}
		m := message.Get()
		if e.config.RequestHeadersToMessage {
			httpfront.CopyHeaders(m, &x.HTTP.Request.Header)
		}
		all[i].fill(m)
		m.SetAck(&o.slots[i])
		b.Publish(timed, x, m)
	}
}

// fill copies the element into m.
func (e *element) fill(m *message.Message) {
	switch {
	case len(e.content) > 0:
		m.SetContent(e.content)
	case e.content != nil:
		m.Content = []byte{} // empty, not absent
	}
	if e.key != nil {
		m.Key = m.Copy(e.key)
	}
	for _, h := range e.headers {
		m.Headers = append(m.Headers, message.Header{Name: h.Name, Value: m.Copy(h.Value)})
	}
	if e.topic != "" { // the attributes by which endpoints are told where to publish (spec 6.4)
		m.Attributes = map[string]any{"kafka.topics": []string{e.topic}, "mqtt5.topic": e.topic}
	}
}

// repeat answers with what became of an earlier request, or one that is under way.
func (e *Entrypoint) repeat(ctx, timed context.Context, fctx *fasthttp.RequestCtx, en *entry, w wishes) *message.Failure {
	if !waitFor(en.begun, timed, ctx) {
		return &timeout
	}
	if en.failure != nil {
		return en.failure
	}
	fctx.Response.Header.Set(headerReplayed, "true")
	if en.order == nil {
		fctx.SetStatusCode(fasthttp.StatusAccepted)
		return nil
	}
	waitFor(en.order.settled, timed, ctx)
	en.order.write(fctx, w.representation)
	return nil
}

// waitFor waits for done as long as timed allows; the end of the API does not end the wait, since what was handed on will be
// answered. It tells whether it is done.
func waitFor(done <-chan struct{}, timed, api context.Context) bool {
	select {
	case <-done:
		return true
	case <-timed.Done():
	}
	if api.Err() != nil {
		rest, cancel := untilDeadline(timed)
		defer cancel()
		select {
		case <-done:
		case <-rest.Done():
		}
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}
