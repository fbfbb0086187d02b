package kafka

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// A page is one request's look at a group's partitions, all of them (http-get). It does not join the group, since that takes
// seconds on most clusters; it saves as an outsider (generation -1), which the broker allows while the group has no members.
// At-most-once has it save behind a fence, so that of two pages of one group at two workers, one alone hands out what both have
// read; the other fails (fence.go). Pages of one group take turns on a worker. What a page reserved and did not hand out,
// it gives back, unless another has begun by then.

// saveMargin is how long before its end a page begins no reservation any more, at most: one that is saved after the end is
// of messages that nobody gets.
const saveMargin = time.Second

// startPage makes s the place of a page.
func (s *subscription) startPage(ctx context.Context, level qos.Level, deadline time.Time, w wanted) (*counted, error) {
	once := level == qos.AtMostOnce
	c := newCounted(s, w.group, once)
	c.book = &outsider{c: c}
	if p, ok := c.ledger.(*proofs); ok {
		p.pages = true
	}
	if r, ok := c.ledger.(*reservations); ok {
		book := &fencedBook{}
		c.book = book
		r.pages, r.left = true, cmp.Or(s.limit, math.MaxInt)
		if !deadline.IsZero() {
			r.last = deadline.Add(-min(saveMargin, time.Until(deadline)/4))
		}
		release, err := s.r.f.turns.Take(ctx, w.group, controlTimeout)
		if err != nil {
			return nil, err
		}
		c.release = release
		if book.fence, err = s.r.f.control.fence(ctx, w.group); err != nil {
			release()
			return nil, err
		}
	}
	if err := c.startPage(ctx, w); err != nil {
		if c.release != nil {
			c.release()
		}
		return nil, err
	}
	s.r.f.counted.enter(c)
	return c, nil
}

func (c *counted) startPage(ctx context.Context, w wanted) error {
	if err := c.prepare(ctx, w); err != nil {
		return err
	}
	f := c.place.r.f
	given := map[place]spot{}
	for _, p := range c.place.r.lay.Load().places {
		given[p] = spot{next: -1}
	}
	saved, err := f.control.committed(ctx, c.group, f.names())
	if err != nil {
		return err
	}
	for p, at := range saved {
		given[p] = at
	}
	if err := c.seat(ctx, given); err != nil {
		return err
	}
	// The cursor proves what lies before it, and a client that begins comes back to here; nothing else is saved by a page
	// under at-least-once.
	if err := c.book.(pageBook).alone(ctx); err != nil {
		return pageFailure(err)
	}
	if err := c.saveNow(ctx, false); err != nil {
		return pageFailure(err)
	}
	return f.e.tasks.Start(ctx, c.run)
}

// pageFailure says why a page was refused.
func pageFailure(err error) *message.Failure {
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) {
		return &message.Failure{Status: statusTaken, Key: message.KeyClientActive, Err: err,
			Message: "A stream with the same client identifier is open, or ended a moment ago; close it, or use another identifier"}
	}
	return subscribeFailure(err)
}

// outsider is the book of a page at least once.
type outsider struct{ c *counted }

func (o *outsider) save(ctx context.Context, current func() []commitment) ([]commitment, error) {
	due := current()
	if len(due) == 0 {
		return nil, nil
	}
	if err := o.c.place.r.f.control.commitSpots(ctx, o.c.group, due); err != nil {
		if isPassing(err) {
			return nil, err
		}
		return nil, pageFailure(err)
	}
	return due, nil
}

// alone has everything saved, also where the group has it: the answer tells whether the group has members.
func (o *outsider) alone(context.Context) error {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	for _, l := range o.c.lanes {
		if l != nil {
			l.saved = spot{next: -1}
		}
	}
	return nil
}

func (o *outsider) run(context.Context) {}
func (o *outsider) end()                {}

// fencedBook is the book of a page at most once.
type fencedBook struct{ fence *fence }

func (b *fencedBook) save(ctx context.Context, current func() []commitment) ([]commitment, error) {
	due := current()
	if len(due) == 0 {
		return nil, nil
	}
	if err := b.fence.save(ctx, due); err != nil {
		return nil, err
	}
	return due, nil
}

func (b *fencedBook) alone(ctx context.Context) error { return b.fence.c.empty(ctx, b.fence.group) }
func (b *fencedBook) run(context.Context)             {}
func (b *fencedBook) end()                            {}

// pageBook is the book of a page.
type pageBook interface {
	book
	// alone fails, or has the next save fail, where the group has members.
	alone(ctx context.Context) error
}

var (
	_ pageBook = (*outsider)(nil)
	_ pageBook = (*fencedBook)(nil)
)
