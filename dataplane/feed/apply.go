package feed

import (
	"context"
	"time"
)

// applyLoop hands what the streams brought to the sink, the latest of each API, until ctx ends.
func (f *Feed) applyLoop(ctx context.Context) {
	have := map[key]*held{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.store.news:
		}
		first := !f.isReady.Load()
		b, ok := f.store.take(have, first)
		if !ok {
			continue
		}
		if !first && b.update.empty() {
			f.reporter.progressed(b, nil, false)
			continue
		}
		began := time.Now()
		results := f.sink.Apply(ctx, b.update)
		if ctx.Err() != nil {
			return // the sink may have stopped half way; say nothing of it
		}
		f.metrics.applied(ctx, &b.update, time.Since(began))
		f.reporter.progressed(b, results, true)
		if first {
			f.isReady.Store(true)
			close(f.ready)
			f.log.Info("serving my definitions", "worker", f.cfg.Worker, "revision", b.update.Revision, "apis", b.total, "subscriptions", len(b.update.Subscriptions))
		}
	}
}
