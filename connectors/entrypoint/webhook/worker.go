package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// spawn starts a worker for each lane that may go. The caller holds mu.
func (r *run) spawn(now time.Time) {
	for {
		l := r.next(now)
		if l == nil {
			return
		}
		r.workers.Add(1)
		go r.work(l)
	}
}

// next takes a lane; nil: none may go. The caller holds mu.
func (r *run) next(now time.Time) *lane {
	if r.stopping && (r.repeats() || r.failure != nil || r.hard.Err() != nil) { // what is polled comes again; under the other levels it would be lost
		return nil
	}
	l := r.board.take(now)
	if l != nil && l.attempts > 1 {
		r.parked--
		r.e.stats.parked.Add(r.hard, -1, r.e.stats.api...)
	}
	return l
}

// work delivers lanes, until none may go.
func (r *run) work(l *lane) {
	defer r.workers.Done()
	w := r.writers.Get().(*writer)
	defer r.writers.Put(w)
	r.e.stats.flying.Add(r.hard, 1, r.e.stats.api...)
	defer r.e.stats.flying.Add(r.hard, -1, r.e.stats.api...)
	for l != nil {
		s := r.attempt(w, l)
		r.logged(w, &s)
		l = r.settle(l, &s)
	}
}

// attempt makes one call for what a lane holds. A token that the receiver does not take any more is replaced once.
func (r *run) attempt(w *writer, l *lane) (s result) {
	s.at = time.Now()
	authorization, err := r.authorization()
	if err == nil {
		err = r.once(w, l, authorization, &s)
	}
	if err == nil && w.reply.status == http.StatusUnauthorized && r.target.auth != nil && r.target.auth.rejected(r.hard, authorization) {
		if authorization, err = r.authorization(); err == nil {
			err = r.once(w, l, authorization, &s)
		}
	}
	s.took = time.Since(s.at)
	if err != nil {
		s.err = err
	} else {
		s.status, s.after = w.reply.status, w.reply.after
	}
	s.explain(w.reply.excerpt)
	return s
}

func (r *run) authorization() (string, error) {
	if r.target.auth == nil {
		return "", nil
	}
	return r.target.auth.authorization(r.hard, r.ask)
}

// once calls the receiver. Where an idle connection was given up by the receiver in the same moment, and the level allows
// that the message was taken nevertheless, a new connection is tried at once.
func (r *run) once(w *writer, l *lane, authorization string, s *result) error {
	w.reply = reply{excerpt: w.reply.excerpt[:0], header: w.reply.header}
	request, rest, size := w.request(l, authorization, s.at)
	s.bytes = size
	err := r.call(r.hard, request, rest, false, &w.reply)
	var e *early
	if errors.As(err, &e) && r.repeats() {
		err = r.call(r.hard, request, rest, true, &w.reply)
	}
	return err
}

// settle draws the consequences of an attempt and takes the next lane.
func (r *run) settle(l *lane, s *result) *lane {
	c, down := s.classify()
	out := connectors.Delivered
	var again time.Time
	var end *message.Failure
	switch c {
	case taken:
		r.acknowledge(l)
	case fatal:
		out, end = connectors.GivenUp, s.failure(c, r.where(l))
	case cut:
		out = connectors.GivenUp
	default:
		out, again, end = r.failedFor(l, s, c)
	}
	r.attempted(l, s, out, again)
	now := time.Now()
	if end != nil {
		r.stop(end)
	}
	r.mu.Lock()
	r.judge(l, s, c, down, now)
	switch {
	case out == connectors.Retried:
		r.parked++
		r.e.stats.parked.Add(r.hard, 1, r.e.stats.api...)
		r.board.park(l, again)
	case c == cut, end != nil:
		r.board.drop()
	default:
		if c != taken { // whoever was called may not have looked at it
			for it := range l.load {
				r.tellOf(it.gaps)
			}
		}
		r.board.finish(l, now)
	}
	next := r.next(now)
	r.spawn(now)
	r.notify()
	rested := r.board.breaker.resting() != "" || c != taken
	r.mu.Unlock()
	if rested || r.rests.Load() {
		r.rest()
	}
	return next
}

// notify wakes Dispatch where it has something to do. The caller holds mu.
func (r *run) notify() {
	b := r.board
	due := b.nextDue()
	switch {
	case b.items == 0, b.flying == 0 && r.stopping:
	case r.hungry && r.spacious():
	case b.marks.last != nil && b.marks.low-r.confirmed >= maxPoll:
	case !due.IsZero() && due.Before(r.armed):
	default:
		return
	}
	r.signal()
}

// failedFor decides what becomes of a message that was not taken (spec 2.5): again, the time of another attempt; end, the end of
// the delivery; neither: it went elsewhere, or the level passes it over.
func (r *run) failedFor(l *lane, s *result, c class) (out connectors.Outcome, again time.Time, end *message.Failure) {
	var token *tokenFailure
	noToken := errors.As(s.err, &token)
	if c == passing && r.repeats() && l.attempts <= r.target.backoff.repetitions {
		return connectors.Retried, r.later(s, l.attempts), nil
	}
	if r.e.env.DeadLetters && !noToken {
		return r.bury(l, s)
	}
	switch {
	case !r.repeats(): // one attempt, by the level
		r.e.stats.lose(r.hard, lostFailed, l.taken)
		return connectors.GivenUp, again, nil
	case c == refused || noToken || r.interrupts(s):
		return connectors.GivenUp, again, s.failure(c, r.where(l))
	case r.level == qos.AtLeastOnce: // never lost: its lane waits
		return connectors.Retried, r.later(s, l.attempts), nil
	}
	r.e.stats.lose(r.hard, lostFailed, l.taken)
	return connectors.GivenUp, again, nil
}

func (r *run) interrupts(s *result) bool {
	if s.err != nil {
		return r.e.config.InterruptConsumptionOnException
	}
	return r.e.config.InterruptConsumptionOnServerError
}

// later is when a message is tried again: by its back-off, or when the receiver asks for it, if that is later.
func (r *run) later(s *result, attempts int) time.Time {
	return time.Now().Add(max(r.target.backoff.delay(attempts), s.after))
}

func (r *run) bury(l *lane, s *result) (connectors.Outcome, time.Time, *message.Failure) {
	err := r.morgue.bury(r.hard, l, s)
	if err == nil {
		r.acknowledge(l)
		return connectors.DeadLettered, time.Time{}, nil
	}
	s.text += "; and the dead-letter endpoint did not take it: " + err.Error()
	if !r.repeats() {
		r.e.stats.lose(r.hard, lostFailed, l.taken)
		return connectors.GivenUp, time.Time{}, nil
	}
	return connectors.GivenUp, time.Time{}, &message.Failure{Status: http.StatusInternalServerError, Key: message.KeyProcessingFailed, Retry: true,
		Message: "Dead letters cannot be stored", Err: fmt.Errorf("%s: %w", r.where(l), err)}
}

// acknowledge says that what a lane has taken is where it belongs.
func (r *run) acknowledge(l *lane) {
	if r.level != qos.AtLeastOnce {
		return // auto: by the marks; the others: by Poll
	}
	for it := range l.load {
		r.sub.Acknowledge(it.m)
	}
}

// judge tells the breaker of a result. The caller holds mu.
func (r *run) judge(l *lane, s *result, c class, down bool, now time.Time) {
	b := &r.board.breaker
	was := b.resting() != ""
	first := l.attempts == 1
	switch {
	case c == cut:
	case down:
		b.failed(first, s.text, now)
	default:
		b.succeeded(first) // it answers
	}
	if s.after > 0 && (s.status == http.StatusTooManyRequests || s.status == http.StatusServiceUnavailable) {
		b.pause(now.Add(s.after), fmt.Sprintf("the receiver answers %d and asks for a pause", s.status))
	}
	if is := b.resting() != ""; is != was {
		n := int64(1)
		if was {
			n = -1
		}
		r.e.stats.open.Add(r.hard, n, r.e.stats.api...)
	}
}

// rest tells whether deliveries rest, where that changed.
func (r *run) rest() {
	r.tell.Lock()
	defer r.tell.Unlock()
	r.mu.Lock()
	text := r.board.breaker.resting()
	if r.stopping {
		text = ""
	}
	r.mu.Unlock()
	if text != r.told {
		r.told = text
		r.rests.Store(text != "")
		r.d.Rests(text)
	}
}

func (r *run) attempted(l *lane, s *result, out connectors.Outcome, again time.Time) {
	r.e.stats.attempted(r.hard, out, s.took)
	r.d.Attempted(connectors.Attempt{At: s.at, Took: s.took, Message: l.name(), Number: l.attempts, Status: s.status, Err: s.text,
		Next: again, Outcome: out, Messages: l.taken, Bytes: s.bytes})
}

// name is the first message of a lane, for people.
func (l *lane) name() string {
	switch m := l.head.m; {
	case l.head.positional:
		return string(appendPosition(make([]byte, 0, len(m.Topic)+24), m))
	case len(m.ID) > 0:
		return string(m.ID)
	}
	return l.id
}

func (r *run) where(l *lane) string {
	return fmt.Sprintf("deliver %s to %s", l.name(), place(r.target.url))
}

// finish waits for what is under way, within the drain time, and closes the subscription.
func (r *run) finish(ctx context.Context, cut context.CancelFunc) {
	drain := time.NewTimer(r.e.env.Limits.Drain)
	defer drain.Stop()
	r.mu.Lock()
	r.stopping = true
	r.board.wakeAll()
	r.spawn(time.Now())
	r.mu.Unlock()
	for r.busy() {
		select {
		case <-r.wake:
		case <-drain.C:
			cut()
		}
		if r.hard.Err() != nil {
			break
		}
	}
	r.workers.Wait()
	r.confirm()
	r.mu.Lock()
	left := r.board.items
	r.e.stats.parked.Add(r.hard, int64(-r.parked), r.e.stats.api...)
	if r.board.breaker.resting() != "" {
		r.e.stats.open.Add(r.hard, -1, r.e.stats.api...)
	}
	r.mu.Unlock()
	if left > 0 && !r.repeats() {
		r.e.stats.lose(r.hard, lostStopped, left)
		r.log.Warn("messages were polled and not sent: the delivery ended", "level", r.level.String(), "messages", left)
	}
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), r.e.env.Limits.Drain)
	defer done()
	r.sub.Close(closing)
}

func (r *run) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.board.flying > 0
}
