package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// hardStop bounds how long handlers may take to notice that their context ended, and how long a subscription left open
// may take to save what was delivered. Ours.
const hardStop = time.Second

// ErrCutOff is wrapped by what Run returns where the drain ran out of time with requests or streams still open.
var ErrCutOff = errors.New("drain ran out of time")

// Run serves until ctx ends and then drains: requests and deliveries in flight finish, streams are told to reconnect, and when nothing
// is open any more, or Limits.Drain has passed, the endpoints end. The cause of ctx is what clients are told:
// message.ErrRedeploy, or anything else for a stop. ready is called once, when requests may come. Run returns when
// everything it owns has ended.
func (a *API) Run(ctx context.Context, ready func()) error {
	work, endWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endWork(nil)
	leave, endLeave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endLeave(nil)
	behind, endEndpoints := context.WithCancel(context.WithoutCancel(ctx))
	defer endEndpoints()
	for i := range a.entrypoints {
		e := &a.entrypoints[i]
		e.context = work
		if e.drainer != nil {
			e.context = leave // detached connections say goodbye at once
		}
	}

	for _, e := range a.push {
		e.context = leave
	}

	var running, started sync.WaitGroup
	for _, e := range a.endpoints {
		started.Add(1)
		running.Go(func() {
			started.Done()
			if err := e.Run(behind); err != nil && behind.Err() == nil {
				a.log.Error("endpoint ended", "endpoint", e.name, "err", err)
			}
		})
	}
	started.Wait()
	ready()

	<-ctx.Done()
	err := a.drain(context.Cause(ctx), endLeave, endWork)
	endEndpoints()
	running.Wait()
	a.ended.Store(true)
	a.letGo()
	return err
}

// letGo closes what policies and resources hold, where nothing is left that could run them. What a drain cut off may still be
// running when Run returns: then the last of it does.
func (a *API) letGo() {
	if a.entering.Load()+a.handlers.Load()+a.pushes.Load()+a.streams.Load() == 0 {
		a.held.close(a.log)
	}
}

// drain brings the number of open things to nothing, politely first. Requests that were let in before it began are served
// as if it had not: the context that tells streams to go ends only when the last of them is open.
func (a *API) drain(cause error, endLeave, endWork context.CancelCauseFunc) error {
	a.redeploy.Store(errors.Is(cause, message.ErrRedeploy))
	a.draining.Store(true)
	polite, cancel := context.WithTimeout(context.Background(), a.limits.Drain)
	defer cancel()
	a.awaitNone(polite, &a.entering)
	endLeave(cause)
	a.wake()
	a.awaitNone(polite, &a.handlers)
	a.awaitNone(polite, &a.pushes)
	cut := a.entering.Load() + a.handlers.Load() + a.pushes.Load()
	if cut > 0 { // they learn now that nobody waits any longer
		endWork(cause)
		a.expire()
		a.awaitNoneFor(hardStop, &a.entering)
		a.awaitNoneFor(hardStop, &a.handlers)
		a.awaitNoneFor(hardStop, &a.pushes)
	}
	cut += a.drainEntrypoints(polite)
	a.awaitNone(polite, &a.streams)
	a.closed.Store(true)
	a.awaitNone(polite, &a.streams) // one may have come in just before
	cut = max(cut, a.streams.Load())

	endWork(cause)
	a.expire()
	a.awaitNoneFor(hardStop, &a.streams)
	a.closeLeft()
	if cut > 0 {
		return fmt.Errorf("%w: %d requests or streams were cut off", ErrCutOff, cut)
	}
	return nil
}

// expire tells every subscription that the time is over.
func (a *API) expire() {
	a.expired.Store(true)
	a.wake()
}

// drainEntrypoints waits for the connections that outlive their handlers, or cuts them when ctx ends.
func (a *API) drainEntrypoints(ctx context.Context) int64 {
	var cut atomic.Int64
	var waiting sync.WaitGroup
	for _, e := range a.entrypoints {
		if e.drainer != nil {
			waiting.Go(func() { cut.Add(int64(e.drainer.Drain(ctx))) })
		}
	}
	waiting.Wait()
	return cut.Load()
}

// awaitNone returns when n is 0 or ctx ends. Whoever takes n to 0 says so on idle (see release).
func (a *API) awaitNone(ctx context.Context, n *atomic.Int64) {
	for n.Load() > 0 {
		select {
		case <-a.idle:
		case <-ctx.Done():
			return
		}
	}
}

func (a *API) awaitNoneFor(d time.Duration, n *atomic.Int64) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	a.awaitNone(ctx, n)
}

// wake makes every subscription look at how things stand.
func (a *API) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.subscriptions {
		s.wake()
	}
}

// closeLeft closes the subscriptions that nobody closed, so that their endpoints save what was delivered.
func (a *API) closeLeft() {
	a.mu.Lock()
	left := make([]*subscription, 0, len(a.subscriptions))
	for s := range a.subscriptions {
		left = append(left, s)
	}
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), hardStop)
	defer cancel()
	var closing sync.WaitGroup
	for _, s := range left {
		closing.Go(func() { s.Close(ctx) })
	}
	closing.Wait()
}
