package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of what a delivery holds beside what is under way. Where one is reached it polls no more until half is gone.
const (
	maxHeldBytes = 8 << 20
	maxHeldItems = 8192
	maxPoll      = 256
)

// run is one Dispatch. Its own goroutine polls, waits and ends it; workers, one per call under way, take lanes from the board.
type run struct {
	e       *Entrypoint
	target  *target
	x       *exchange.Exchange
	d       *connectors.Dispatch
	backend connectors.Backend
	level   qos.Level
	log     *slog.Logger
	morgue  *morgue
	client  *client
	call    func(ctx context.Context, request, body []byte, fresh bool, r *reply) error
	ask     tokenCaller

	template *template
	most     int           // items that may be held
	wake     chan struct{} // the goroutine of Dispatch has something to do
	hard     context.Context
	sub      connectors.Subscription
	origin   message.Origin // of the last message
	places   bool           // whether that has positions
	average  int            // size of a message, in bytes
	ended    bool           // there will be no more messages
	workers  sync.WaitGroup
	writers  sync.Pool

	tell  sync.Mutex  // serialises telling of rests; taken before mu
	told  string      // under tell
	rests atomic.Bool // told is not empty

	mu sync.Mutex
	// guards the following
	board     *board
	gaps      [][]byte // to be told with the next message
	stopping  bool     // no lane begins another attempt, except what would be lost otherwise
	hungry    bool     // Dispatch polls when there is room
	armed     time.Time
	failure   *message.Failure
	parked    int // lanes that wait for another attempt
	confirmed uint64
}

func newRun(e *Entrypoint, t *target, x *exchange.Exchange, d *connectors.Dispatch, b connectors.Backend) *run {
	r := &run{e: e, target: t, x: x, d: d, backend: b, level: x.QoS, template: newTemplate(t), wake: make(chan struct{}, 1),
		log: e.log.With("subscription", d.ID), morgue: newMorgue(b, x, d.ID), most: maxHeldItems, average: 1 << 10}
	r.writers.New = func() any { return newWriter(r.template, t.signers) }
	n := e.concurrency(t)
	var batch *batching
	if c := t.config.Batch; c != nil {
		batch = &batching{messages: c.MaxMessages, bytes: c.MaxBytes, delay: millis(*c.MaxDelayMs)}
	}
	r.board = newBoard(n, batch)
	r.board.marks.on = r.level == qos.Auto
	if r.level == qos.AtMostOnce { // what is polled is lost in a crash: no more than can be under way
		r.most = n
		if batch != nil {
			r.most *= batch.messages
		}
	}
	return r
}

// repeats tells whether the level allows a second attempt.
func (r *run) repeats() bool { return r.level == qos.Auto || r.level == qos.AtLeastOnce }

// signal wakes the goroutine of Dispatch.
func (r *run) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deliver runs until ctx ends, there is nothing more, or nothing more can be delivered.
func (r *run) deliver(ctx context.Context) error {
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	r.hard = hard
	if r.client != nil {
		defer context.AfterFunc(hard, r.client.close)()
	}
	sub, err := r.backend.Subscribe(ctx, r.x, connectors.SubscribeOptions{Cursor: r.d.From, Until: r.d.Until, Instance: r.d.Instance, Wake: r.signal})
	if err != nil {
		return ending(err)
	}
	r.sub = sub
	err = r.feed(ctx)
	r.finish(ctx, cut)
	r.rest()
	switch f := r.failed(); {
	case f != nil:
		return f
	case ctx.Err() != nil: // whatever the endpoint says while its API stops
		return nil
	}
	return err
}

// ending is what the endpoint's failure means for trying again. What the endpoint or the flows refuse is theirs to mend, by a
// new revision of the API, another permission or a certificate that is renewed, and the subscription must go on then. Only the
// cursor is its own: that of a replay, which will never be another.
func ending(err error) error {
	var f *message.Failure
	if !errors.As(err, &f) {
		return &message.Failure{Status: http.StatusInternalServerError, Key: message.KeyUnknownError, Message: "Endpoint unknown error", Err: err, Retry: true}
	}
	out := *f
	out.Retry = f.Key != message.KeyInvalidCursor
	return &out
}

// feed polls as long as there is room, and wakes lanes that are due.
func (r *run) feed(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		r.confirm()
		room, idle, due := r.turn()
		switch {
		case r.failed() != nil:
			return nil
		case r.ended && idle:
			return nil
		case !r.ended && room > 0:
			some, err := r.poll(room)
			if err != nil {
				return err
			}
			if some || r.ended {
				continue
			}
		}
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
	}
	return nil
}

// turn sends on what is due. It returns how many messages may be polled, whether none is held, and when the next is due.
func (r *run) turn() (room int, idle bool, due time.Time) {
	now := time.Now()
	expire := time.Time{}
	if r.client != nil {
		expire = r.client.expire(now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.board.wake(now)
	r.spawn(now)
	due = earlier(earlier(r.board.nextDue(), expire), now.Add(time.Hour))
	r.armed = due
	room = r.room()
	r.hungry = room == 0
	return room, r.board.items == 0, due
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// room returns how many messages may be polled.
func (r *run) room() int {
	b := r.board
	if b.items == 0 {
		return min(maxPoll, r.most)
	}
	return max(min(maxPoll, r.most-b.items, b.marks.room(), (maxHeldBytes-b.bytes)/r.average), 0)
}

// spacious tells whether it is time to poll again.
func (r *run) spacious() bool {
	b := r.board
	return b.items <= r.most/2 && b.bytes <= maxHeldBytes/2 && b.marks.room() >= maxMarks/2
}

// poll takes messages from the subscription and tells whether there were any.
func (r *run) poll(room int) (some bool, err error) {
	msgs, err := r.sub.Poll(room)
	if errors.Is(err, io.EOF) {
		r.ended = true
		err = nil
	}
	if err != nil {
		return false, ending(err)
	}
	if len(msgs) == 0 {
		return false, nil
	}
	if msgs[0].Kind != message.Data {
		return true, r.event(&msgs[0])
	}
	r.take(msgs)
	return true, nil
}

// event handles what travels between data. Receivers get messages alone; they are told of a gap with the next of them.
func (r *run) event(m *message.Message) error {
	switch m.Kind {
	case message.Gap:
		gap := oneLine(m.Content)
		r.mu.Lock()
		r.tellOf([][]byte{gap})
		r.mu.Unlock()
		r.e.stats.lose(r.hard, lostGap, 1)
		r.log.Warn("messages were lost before they came to the webhook", "gap", string(gap))
	case message.Notice:
		r.log.Info("the endpoint says", "notice", string(m.Content))
	case message.GoAway:
		return &message.Failure{Status: http.StatusServiceUnavailable, Key: message.KeyGoAway, Message: message.StoppingText, Retry: true}
	}
	return nil
}

// Bounds of what one message tells of gaps: together less than the 8 KiB of headers that many servers take. Of more gaps the
// oldest are in the log alone.
const (
	maxGaps     = 4
	maxGapBytes = 1 << 10
)

// tellOf has the next messages tell of gaps. The caller holds mu.
func (r *run) tellOf(gaps [][]byte) {
	r.gaps = append(r.gaps, gaps...)
	r.gaps = r.gaps[max(0, len(r.gaps)-maxGaps):]
}

// oneLine is JSON as a header can hold it: of a gap in many partitions, without what is lost of each.
func oneLine(content []byte) []byte {
	raw, err := json.Marshal(json.RawMessage(content)) // compact, without control characters
	if len(raw) > maxGapBytes {
		var parts map[string]json.RawMessage
		if err = json.Unmarshal(content, &parts); err == nil {
			delete(parts, "partitions")
			raw, err = json.Marshal(parts)
		}
	}
	if err != nil || len(raw) > maxGapBytes {
		return []byte("{}")
	}
	return raw
}

// take puts messages on the board.
func (r *run) take(msgs []message.Message) {
	now := time.Now()
	items := make([]item, len(msgs))
	size := 0
	for i := range msgs {
		m := &msgs[i]
		items[i] = item{m: m, size: m.Size(), at: now, positional: r.positional(m)}
		size += items[i].size
	}
	r.average = max(size/len(msgs), 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	items[0].gaps, r.gaps = r.gaps, nil
	for i := range items {
		items[i].seq = r.board.marks.track(items[i].m)
	}
	r.board.add(items, now)
	r.spawn(now)
}

// positional tells whether a message's offset names it for ever: whether the endpoint tells offsets to people at all.
func (r *run) positional(m *message.Message) bool {
	if m.Origin == nil {
		return false
	}
	if m.Origin != r.origin {
		r.origin, r.places = m.Origin, false
		for _, f := range m.Metadata(nil) {
			r.places = r.places || f.Name == "offset" && f.IsInt
		}
	}
	return r.places
}

// confirm tells the endpoint what may be saved.
func (r *run) confirm() {
	r.mu.Lock()
	m := r.board.marks.take()
	r.confirmed = r.board.marks.low
	r.mu.Unlock()
	if m != nil {
		r.sub.DeliveredThrough(m)
	}
}

// stop ends the delivery because of a failure, once.
func (r *run) stop(f *message.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = f
	}
	r.stopping = true
	r.signal()
}

func (r *run) failed() *message.Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}
