package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/message"
)

// run saves what is due, every Limits.CheckpointEvery and when asked, until Close or the end of ctx. Then it gives up the
// membership.
func (c *counted) run(ctx context.Context) {
	defer close(c.done)
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	book := c.book
	defer book.end()
	parts.Go(func() { book.run(ctx) })
	e := c.place.r.f.e
	tick := time.NewTicker(e.limits.CheckpointEvery)
	defer tick.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for fails := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-c.over:
			return
		case <-c.kick:
		case <-again.C:
		case <-tick.C:
		}
		err := c.save(ctx, false)
		if err == nil {
			fails = 0
			continue
		}
		if f := saveFailure(err); f != nil {
			c.fail(f)
			continue
		}
		fails++
		again.Reset(backoff(fails))
		if fails > 1 { // once is a rebalance
			e.lost.Warn(e.log, "save positions", "group", c.group, "err", err)
		}
	}
}

// save saves what is due.
func (c *counted) save(ctx context.Context, last bool) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	ctx, cancel := context.WithTimeout(ctx, saveWait)
	defer cancel()
	var due []commitment
	saved, err := c.book.save(ctx, func() []commitment {
		c.mu.Lock()
		defer c.mu.Unlock()
		due = c.ledger.due(last)
		return due
	})
	if err != nil {
		c.forget(due)
		return err
	}
	c.mu.Lock()
	for _, s := range saved {
		s.lane.saved = s.spot
	}
	more := c.ledger.settled()
	c.mu.Unlock()
	if more {
		c.place.wake()
	}
	return nil
}

// forget: a save of which nobody knows whether it went well leaves nothing known of what the group holds.
func (c *counted) forget(due []commitment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range due {
		d.lane.saved = spot{next: -1}
	}
}

// saveNow saves, until ctx ends or it is in vain.
func (c *counted) saveNow(ctx context.Context, last bool) error {
	return repeat(ctx, isPassing, func() error { return c.save(ctx, last) })
}

// isPassing: saving may succeed on the same terms later.
func isPassing(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.StaleMemberEpoch) || kerr.IsRetriable(err) || isConnection(err)
}

// saveFailure says which errors of a save end the subscription; nil: it goes on, either as before or, where the membership
// was lost, with the partitions of the next one.
func saveFailure(err error) *message.Failure {
	switch {
	case isPassing(err), errors.Is(err, context.Canceled), errors.Is(err, supervise.ErrEnded),
		errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedMemberEpoch),
		errors.Is(err, errNoMember):
		return nil
	case errors.Is(err, kerr.FencedInstanceID):
		return fenced(err)
	}
	var f *message.Failure
	if errors.As(err, &f) {
		return f
	}
	return subscribeFailure(err)
}

// fenced is the failure of who was replaced.
func fenced(err error) *message.Failure {
	return &message.Failure{Status: statusTaken, Key: message.KeyConnectionClosed, Err: err,
		Message: message.TextConnectionClosed + ": another subscriber of the same name took over"}
}

// Close implements connectors.Subscription.
func (c *counted) Close(ctx context.Context) {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		return
	}
	if err := c.saveNow(ctx, true); err != nil && saveFailure(err) != nil {
		c.place.r.f.e.lost.Warn(c.place.r.f.e.log, "save positions at the end", "group", c.group, "err", err)
	}
	c.overOnce.Do(func() { close(c.over) })
	select {
	case <-c.done:
	case <-ctx.Done(): // run goes on to leave the group
	}
	c.place.Close(ctx)
	if c.release != nil {
		c.release()
	}
	c.place.r.f.counted.leave(c)
}
