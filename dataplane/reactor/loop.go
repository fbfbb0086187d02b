package reactor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/table"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Run carries out updates until ctx ends, then drains every API and waits for them.
func (r *Reactor) Run(ctx context.Context) error {
	l := loop{Reactor: r, builder: table.NewBuilder[*flow.API](), live: map[string]*live{}, conflicted: map[string]struct{}{}}
	defer l.running.Wait()
	for {
		select {
		case req := <-r.updates:
			req.answer <- l.apply(ctx, req.update)
		case <-ctx.Done():
			return nil
		}
	}
}

// loop is what only Run's goroutine touches.
type loop struct {
	*Reactor
	builder *table.Builder[*flow.API]
	live    map[string]*live
	running sync.WaitGroup // APIs, the draining ones too
	// conflicted are the APIs whose status has conflicts, so that an update need not look through all.
	conflicted map[string]struct{}
}

// live is an API that runs.
type live struct {
	deployment Deployment
	api        *flow.API
	end        context.CancelCauseFunc
}

// apply carries out one update: everything is built before anything changes.
func (l *loop) apply(ctx context.Context, u Update) []Result {
	wanted, served := l.news(u)
	built := l.build(wanted)

	var changes []table.Change[*flow.API]
	var replaced []*live
	for i, d := range wanted {
		old := l.live[d.ID]
		if built[i].err != nil {
			built[i].result = failed(d, built[i].err, old)
			continue
		}
		next := &live{deployment: d, api: built[i].api}
		l.start(ctx, next)
		changes = append(changes, table.Change[*flow.API]{ID: d.ID, Routes: next.api.Routes, Value: next.api})
		if old != nil {
			replaced = append(replaced, old)
		}
		l.live[d.ID] = next
		built[i].result = Result{ID: d.ID, Revision: d.Revision, State: Serving, Serving: d.Revision}
	}
	removed := l.removed(u)
	for _, id := range removed {
		changes = append(changes, table.Change[*flow.API]{ID: id})
	}
	next, conflicts := l.builder.Apply(changes)
	l.table.Store(next)
	changed := l.serve(changes)

	for _, old := range replaced {
		old.end(message.ErrRedeploy)
	}
	for _, id := range removed {
		if old := l.live[id]; old != nil {
			old.end(nil)
			delete(l.live, id)
		}
	}
	l.record(u, wanted, built, served, removed, conflicts)
	l.watch(changed)
	results := served
	for i := range built {
		results = append(results, built[i].result)
	}
	return results
}

// serve makes the changes known to push subscriptions, before the old revisions end, and returns the ids.
func (l *loop) serve(changes []table.Change[*flow.API]) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(changes))
	for _, c := range changes {
		if ids = append(ids, c.ID); c.Value == nil {
			delete(l.served, c.ID)
		} else {
			l.served[c.ID] = c.Value
		}
	}
	return ids
}

// news returns the deployments that are not served already, and the results of those that are. Of several revisions of
// one API the last one counts.
func (l *loop) news(u Update) (wanted []Deployment, served []Result) {
	last := make(map[string]int, len(u.Changed))
	for i, d := range u.Changed {
		last[d.ID] = i
	}
	for i, d := range u.Changed {
		switch now := l.live[d.ID]; {
		case last[d.ID] != i:
		case now != nil && now.deployment.Revision == d.Revision:
			served = append(served, Result{ID: d.ID, Revision: d.Revision, State: Serving, Serving: d.Revision})
		default:
			wanted = append(wanted, d)
		}
	}
	return wanted, served
}

// removed returns the APIs that go: those named, and in a full update those not named.
func (l *loop) removed(u Update) []string {
	out := append([]string(nil), u.Removed...)
	if !u.Full {
		return out
	}
	wanted := make(map[string]bool, len(u.Changed))
	for _, d := range u.Changed {
		wanted[d.ID] = true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for id := range l.states { // failed ones included
		if !wanted[id] {
			out = append(out, id)
		}
	}
	return out
}

// start runs an API until it is ended and has drained. It returns when requests may come.
func (l *loop) start(ctx context.Context, n *live) {
	ctx, n.end = context.WithCancelCause(ctx)
	ready := make(chan struct{})
	l.running.Go(func() {
		ended := make(chan time.Time, 1)
		defer context.AfterFunc(ctx, func() {
			l.cfg.Counters.Draining.Add(1)
			ended <- time.Now()
		})()
		err := n.api.Run(ctx, func() { close(ready) })
		l.cfg.Counters.Drained(time.Since(<-ended), errors.Is(err, flow.ErrCutOff))
		l.cfg.Counters.Draining.Add(-1)
		if err != nil {
			l.log.Warn("old revision did not end politely", "api", n.deployment.ID, "revision", n.deployment.Revision, "err", err)
		}
	})
	<-ready
}

func failed(d Deployment, err error, old *live) Result {
	out := Result{ID: d.ID, Revision: d.Revision, State: Failed, Err: err}
	if errors.Is(err, errUnreadable) {
		out.State = Rejected
	}
	if old != nil {
		out.Serving = old.deployment.Revision
	}
	return out
}
