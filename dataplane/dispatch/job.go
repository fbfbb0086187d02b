package dispatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// job runs one subscription, or one of its replays, as long as it is wanted. The fields from wanted on are guarded by
// Dispatcher.mu.
type job struct {
	id, replay string
	served     chan struct{} // one value: its API changed

	wanted *spec              // nil: to be ended
	end    context.CancelFunc // of what is being run; nil: nothing is
	run    int                // counts the runs, so that what an old one says no longer counts
	state  Kind
	cause  string
	since  time.Time
}

// give makes s what is wanted of a job; what is being run ends, and what it still says of itself is not heard. The lock is
// held.
func (d *Dispatcher) give(j *job, s *spec) {
	j.wanted = s
	if j.end != nil {
		j.end()
	}
	if s != nil {
		d.becomeLocked(j, Waiting, startText(s))
	}
}

// serve runs what is wanted of a job, one thing after the other, until nothing is.
func (d *Dispatcher) serve(ctx context.Context, j *job) {
	for {
		run, s := d.next(ctx, j)
		if s == nil {
			d.changed()
			return
		}
		d.deliver(run, j, s)
		<-run.Done() // it has failed or ended, and rests so until it changes
	}
}

// next returns what is wanted of a job, and a context that ends when something else is; nil: nothing is, the job is
// forgotten.
func (d *Dispatcher) next(ctx context.Context, j *job) (context.Context, *spec) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.end != nil {
		j.end()
	}
	if j.wanted == nil || ctx.Err() != nil {
		d.push.States[j.state].Add(-1)
		jobs := d.subscriptions[j.id]
		if delete(jobs, j.replay); len(jobs) == 0 {
			delete(d.subscriptions, j.id)
		}
		return nil, nil
	}
	run, end := context.WithCancel(ctx)
	j.end = end
	return run, j.wanted
}

// deliver serves s, trying again what failed, until ctx ends or there is nothing more to be done.
func (d *Dispatcher) deliver(ctx context.Context, j *job, s *spec) {
	if s.EntrypointID == "" {
		d.become(j, s, Failed, "the subscription's configuration names no entrypoint")
		return
	}
	bounded := ctx
	if !s.EndingAt.IsZero() {
		var cancel context.CancelFunc
		bounded, cancel = context.WithDeadline(ctx, s.EndingAt)
		defer cancel()
	}
	d.try(bounded, j, s)
	if ctx.Err() == nil && bounded.Err() != nil {
		d.become(j, s, Ended, "")
	}
}

// try is deliver within the bounds of ctx.
func (d *Dispatcher) try(ctx context.Context, j *job, s *spec) {
	d.become(j, s, Waiting, startText(s))
	if !sleep(ctx, time.Until(s.StartingAt), nil) {
		return
	}
	until := ""
	if s.replay != nil {
		if until = s.replay.Until; until == "" { // the same for every try
			until = "@" + time.Now().UTC().Format(time.RFC3339Nano)
		}
	}
	for failures := 0; ; {
		begun := time.Now()
		err := d.attempt(ctx, j, s, until)
		var wait time.Duration
		switch f := (*message.Failure)(nil); {
		case ctx.Err() != nil:
			return
		case err == nil:
			d.become(j, s, Ended, "")
			return
		case errors.Is(err, flow.ErrEnded):
			continue // the next revision is there
		case errors.Is(err, reactor.ErrNotDeployed), errors.Is(err, flow.ErrNoPush):
			d.become(j, s, Waiting, err.Error())
			wait = -1
		case errors.As(err, &f) && !f.Retry:
			d.log.Warn("push subscription failed", "subscription", j.id, "replay", j.replay, "api", s.API, "err", err)
			d.become(j, s, Failed, err.Error())
			return
		default:
			if time.Since(begun) >= settled {
				failures = 0
			}
			failures++
			wait = d.backOff(failures)
			d.failedOnce(j, s, failures, wait, err)
		}
		if !sleep(ctx, wait, j.served) {
			return
		}
		if wait >= 0 {
			d.push.Retries.Add(1)
		}
	}
}

// logEvery is how many failures in a row are logged once (spec 7.5, subscriptionEndpointRetry.notificationInterval).
const logEvery = 5

func (d *Dispatcher) failedOnce(j *job, s *spec, failures int, wait time.Duration, err error) {
	d.become(j, s, Retrying, err.Error())
	if failures%logEvery == 1 {
		d.log.Warn("push subscription is tried again", "subscription", j.id, "replay", j.replay, "api", s.API,
			"failures", failures, "next", wait, "err", err)
	}
}

// backOff is how long to wait after so many failures in a row: doubling, and a random time between half of it and all, so
// that subscriptions that failed together do not come back together.
func (d *Dispatcher) backOff(failures int) time.Duration {
	full := min(d.cfg.FirstRetry<<min(failures-1, 30), d.cfg.MaxRetry)
	if full <= 0 { // shifted too far
		full = d.cfg.MaxRetry
	}
	return full/2 + rand.N(full/2+1) //nolint:gosec // not a secret
}

// sleep waits for so long, for ever where d is negative, or until early says that there is news. It returns false where ctx
// ended.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	var due <-chan time.Time
	switch {
	case early == nil && d <= 0:
		return ctx.Err() == nil
	case d >= 0:
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-due:
	}
	return true
}

// attempt has the API serve s once.
func (d *Dispatcher) attempt(ctx context.Context, j *job, s *spec, until string) error {
	select { // what is known of the API from before does not count any more
	case <-j.served:
	default:
	}
	select {
	case d.slots <- struct{}{}:
	default:
		d.become(j, s, Waiting, "this worker runs as many push subscriptions as it may; others must end first")
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	defer func() { <-d.slots }()
	d.mu.Lock()
	j.run++
	run := j.run
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		j.run++
		d.mu.Unlock()
	}()
	return d.apis.Push(ctx, s.API, &flow.Push{
		Entrypoint: s.EntrypointID,
		Exchange:   newExchange(s),
		Dispatch:   d.newDispatch(j, run, s, until),
		Begun:      func() { d.become(j, s, Running, "") },
	})
}

// newExchange makes the context of a run (spec 7.5). A replay is a client of which nothing is saved.
func newExchange(s *spec) *exchange.Exchange {
	x := &exchange.Exchange{
		RequestID: s.ID, TransactionID: s.ID, ClientIdentifier: s.ID, ClientSupplied: s.replay == nil,
		PathInfo: "/" + strings.TrimPrefix(s.Channel, "/"),
		Plan:     s.Plan, Application: s.Application, Subscription: s.ID,
	}
	x.Detach() // no handler waits for it: it is told to go as streams are
	return x
}

func (d *Dispatcher) newDispatch(j *job, run int, s *spec, until string) *connectors.Dispatch {
	out := &connectors.Dispatch{
		ID: s.ID, Application: s.Application, Plan: s.Plan, Metadata: s.Metadata, Channel: s.Channel,
		Configuration: s.Configuration, Instance: d.cfg.Instance, Until: until,
		Attempted: func(a connectors.Attempt) {
			if int(a.Outcome) < len(d.push.Attempts) {
				d.push.Attempts[a.Outcome].Add(1)
			}
			d.history.add(j.id, a)
		},
		Rests: func(text string) { d.rests(j, s, run, text) },
	}
	if s.replay != nil {
		out.From = s.replay.From
	}
	return out
}

// rests takes note of what a run says of itself, while it is the one.
func (d *Dispatcher) rests(j *job, s *spec, run int, text string) {
	state := Running
	if text != "" {
		state = Resting
	}
	d.mu.Lock()
	changed := j.wanted == s && j.run == run && (j.state == Running || j.state == Resting) && d.becomeLocked(j, state, text)
	d.mu.Unlock()
	if changed {
		d.changed()
	}
}

// startText is why a subscription that has not begun waits; empty: it begins now.
func startText(s *spec) string {
	if time.Until(s.StartingAt) <= 0 {
		return ""
	}
	return "starts at " + s.StartingAt.UTC().Format(time.RFC3339)
}
