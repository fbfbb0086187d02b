package controlplane

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/proxy"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/command"
)

// Reports is what workers say of subscriptions and has to be recorded. Its methods are called from one goroutine.
type Reports interface {
	// Changed returns a channel that is closed when one of the others would answer something new.
	Changed() <-chan struct{}
	// Failed lists the subscriptions that a worker has given up.
	Failed() []push.SubscriptionState
	// Ended lists the replays that are over on a worker.
	Ended() []push.ReplayEnd
	// Candidates lists the live workers that should serve a subscription, and tells whether they are all.
	Candidates(subscription string) (workers []string, settled bool)
}

const (
	// recordEvery bounds how often reports are looked through: each worker sends one a second, and more in a burst.
	recordEvery = 100 * time.Millisecond
	// recordWithin bounds the recording of one report; what is not recorded is reported again.
	recordWithin = 5 * time.Second
)

// recorder has what workers report recorded while this node leads: failures and the ends of replays. It also gives each
// replay to a worker, and to another one when that is gone. Reports are levels, not events: what could not be recorded is
// still reported the next time, and what was is not any more.
type recorder struct {
	store   *store.Store
	proxy   *proxy.Proxy
	reports Reports
	log     *slog.Logger
}

func (r *recorder) run(ctx context.Context) error {
	for {
		l, st, news := r.store.Leadership(), r.store.State(), r.reports.Changed() // before the look at what they tell of
		if l.Ready {
			r.record(ctx, st)
		}
		rest := time.NewTimer(recordEvery)
		select {
		case <-ctx.Done():
			rest.Stop()
			return nil
		case <-rest.C:
		}
		superseded := st.Superseded()
		if !l.Ready {
			superseded = nil // others record
		}
		select {
		case <-ctx.Done():
			return nil
		case <-superseded:
		case <-news:
		case <-l.Changed():
		}
	}
}

// record proposes what the reports add to the state.
func (r *recorder) record(ctx context.Context, st *fsm.State) {
	for _, f := range r.reports.Failed() {
		if s := st.Subscription(f.ID); s != nil && s.Dispatched() && f.Revision >= s.ActivatedFrom {
			r.propose(ctx, f.Worker, &command.Command{Change: &command.Command_FailSubscription{FailSubscription: &command.FailSubscription{
				SubscriptionId: f.ID, Revision: f.Revision, Cause: f.Cause,
			}}})
		}
	}
	for _, e := range r.reports.Ended() {
		if s := st.Subscription(e.Subscription); s != nil && slices.ContainsFunc(s.Replays, func(o fsm.Replay) bool { return runs(o) && o.ID == e.Replay && o.Worker == e.Worker }) {
			r.propose(ctx, e.Worker, &command.Command{Change: &command.Command_EndReplay{EndReplay: &command.EndReplay{
				SubscriptionId: e.Subscription, ReplayId: e.Replay, Worker: e.Worker, Error: e.Error,
			}}})
		}
	}
	for s := range st.Replaying {
		r.assign(ctx, s)
	}
}

func runs(r fsm.Replay) bool { return r.State == command.ReplayState_REPLAY_STATE_RUNNING }

// assign gives the replays that no live worker has to one.
func (r *recorder) assign(ctx context.Context, s *fsm.Subscription) {
	workers, settled := r.reports.Candidates(s.ID)
	if !settled || len(workers) == 0 {
		return
	}
	for _, one := range s.Replays {
		if !runs(one) || slices.Contains(workers, one.Worker) {
			continue
		}
		r.propose(ctx, "", &command.Command{Change: &command.Command_AssignReplay{AssignReplay: &command.AssignReplay{
			SubscriptionId: s.ID, ReplayId: one.ID, From: one.Worker, Worker: choose(workers, one.ID),
		}}})
	}
}

// choose spreads replays over workers.
func choose(workers []string, replay string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(replay))                      // never fails, says its documentation
	return workers[int(h.Sum32()%uint32(len(workers)))] //nolint:gosec // far below 2^31
}

func (r *recorder) propose(ctx context.Context, worker string, cmd *command.Command) {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	cmd.Actor = "control plane"
	if worker != "" {
		cmd.Actor = "worker " + worker
	}
	result, err := r.proxy.Propose(ctx, cmd)
	switch {
	case err != nil:
		r.log.Warn("a worker's report is not recorded, it will be tried again", "subscription", cmd.SubscriptionID(), "worker", worker, "err", err)
	case result.GetError() != nil: // it was changed in the same moment
		r.log.Debug("a worker's report is out of date", "subscription", cmd.SubscriptionID(), "worker", worker, "err", result.GetError().GetMessage())
	}
}
