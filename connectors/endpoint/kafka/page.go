package kafka

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// A page is one request's look at a group's partitions, all of them (http-get). It does not join the group, since that takes
// seconds on most clusters; it saves as an outsider (generation -1), which the broker allows while the group has no members.
// Such a save is not fenced: at-most-once therefore needs a client that asks for one page after the other. Pages of one
// group take turns on a worker, and a page does not give back what it reserved and did not hand out.

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
		r.pages, r.left = true, cmp.Or(s.limit, math.MaxInt)
		if !deadline.IsZero() {
			r.last = deadline.Add(-min(saveMargin, time.Until(deadline)/4))
		}
		release, err := s.r.f.turns.take(ctx, w.group)
		if err != nil {
			return nil, err
		}
		c.release = release
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
	// under at-least-once. It is saved even where the group has it: the answer tells whether the group has members.
	c.mu.Lock()
	for _, l := range c.lanes {
		if l != nil {
			l.saved = spot{next: -1}
		}
	}
	c.mu.Unlock()
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

// outsider is the book of a page.
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

func (o *outsider) run(context.Context) {}
func (o *outsider) end()                {}

// turns lets one page of a group at a time go on.
type turns struct {
	mu  sync.Mutex // guards the following
	all map[string]*turn
}

type turn struct {
	busy    chan struct{} // holds one value while somebody has the turn
	waiting int           // who has it or waits for it; guarded by turns.mu
}

// take waits for the group's turn, at most controlTimeout.
func (t *turns) take(ctx context.Context, group string) (release func(), err error) {
	t.mu.Lock()
	if t.all == nil {
		t.all = map[string]*turn{}
	}
	mine := t.all[group]
	if mine == nil {
		mine = &turn{busy: make(chan struct{}, 1)}
		t.all[group] = mine
	}
	mine.waiting++
	t.mu.Unlock()
	wait := time.NewTimer(controlTimeout)
	defer wait.Stop()
	select {
	case mine.busy <- struct{}{}:
		return sync.OnceFunc(func() { <-mine.busy; t.leave(group, mine) }), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-wait.C:
		err = &message.Failure{Status: statusTaken, Key: message.KeyClientActive,
			Message: "Another request with the same client identifier is under way; ask for one page after the other"}
	}
	t.leave(group, mine)
	return nil, err
}

func (t *turns) leave(group string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.waiting--; mine.waiting == 0 {
		delete(t.all, group)
	}
}

var _ book = (*outsider)(nil)
