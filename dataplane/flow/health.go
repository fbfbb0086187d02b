package flow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// How long an endpoint that could not be reached is left alone where there are others: doubling from the first to the
// last. Then one exchange tries it, and the others follow where that goes well. Ours.
const (
	firstRest = time.Second
	longRest  = 30 * time.Second
)

// member is one endpoint of the API in use, as the pools that it belongs to see it. Its methods may be called from many
// goroutines.
type member struct {
	name      string
	place     int // see exchange.Exchange.Endpoint
	weight    int
	publisher connectors.Publisher // nil: it takes no messages
	source    connectors.Source    // nil: it gives none
	// watched: another endpoint could take its place, so it matters how it is. Else watching would only cost.
	watched bool
	health  health
}

// health is what the last attempts to reach an endpoint say of it. Nobody asks the endpoint: what clients met is the proof.
type health struct {
	failures atomic.Int32 // in a row; of those that came while it rested only that of the one that tried
	retryAt  atomic.Int64 // Unix nanoseconds: until then it rests
	trying   atomic.Bool  // one exchange tries it, since its rest was over
}

// up tells whether the endpoint can be expected to work.
func (h *health) up(now time.Time) bool {
	return h.failures.Load() == 0 || now.UnixNano() >= h.retryAt.Load()
}

// claim is asked before an endpoint that is up is used. Of those who come when its rest is over only the first may.
func (h *health) claim(now time.Time) bool {
	n := h.failures.Load()
	if n == 0 {
		return true
	}
	until := h.retryAt.Load()
	if now.UnixNano() < until || !h.retryAt.CompareAndSwap(until, now.Add(restOf(n)).UnixNano()) {
		return false
	}
	h.trying.Store(true)
	return true
}

// saw takes note of how an attempt to use the endpoint ended. Only failures of the connection, and answers that did not come
// in time, say that it is away: any other may be the client's fault, and says nothing.
func (h *health) saw(err error) {
	if err == nil {
		if h.failures.Load() != 0 {
			h.failures.Store(0)
		}
		return
	}
	var f *message.Failure
	if !errors.As(err, &f) || !f.Unknown && f.Key != message.KeyConnectionFailed && f.Key != message.KeyConnectionClosed {
		return
	}
	now := time.Now()
	if h.failures.Load() != 0 && now.UnixNano() < h.retryAt.Load() && !h.trying.Swap(false) {
		return // one of many that failed for one reason
	}
	h.retryAt.Store(now.Add(restOf(h.failures.Load() + 1)).UnixNano())
	h.failures.Add(1)
}

// restOf is how long an endpoint rests after so many failures in a row.
func restOf(failures int32) time.Duration {
	return min(firstRest<<min(max(failures-1, 0), 8), longRest)
}

// publish hands m to the endpoint.
func (m *member) publish(ctx context.Context, x *exchange.Exchange, msg *message.Message) {
	if m.watched {
		w := watches.Get().(*watch)
		w.member, w.inner = m, msg.Ack()
		msg.SetAck(w)
	}
	m.publisher.Publish(ctx, x, msg)
}

// subscribe opens a subscription at the endpoint.
func (m *member) subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	s, err := m.source.Subscribe(ctx, x, o)
	if m.watched {
		m.health.saw(err)
	}
	return s, err
}

// watch learns what became of one message, and passes it on.
type watch struct {
	member *member
	inner  message.Ack // nil: nobody else is told
}

var watches = sync.Pool{New: func() any { return new(watch) }}

// Acked implements message.Ack.
func (w *watch) Acked(m *message.Message, err error) {
	member, inner := w.member, w.inner
	*w = watch{}
	watches.Put(w)
	member.health.saw(err)
	m.SetAck(inner)
	m.Done(err)
}
