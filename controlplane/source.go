package controlplane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/proto/command"
)

// Source is what there is to push: the deployed APIs and their subscriptions, who leads, and a notice when either changes. Its methods may be
// called from any goroutine; Changed is for one reader.
type Source struct {
	store    *store.Store
	read     func(context.Context) (*fsm.State, error)
	changed  chan struct{}
	caughtUp atomic.Bool
}

// catchUpWithin bounds one attempt to read what the leader has.
const catchUpWithin = 5 * time.Second

// Deployed is one API as workers are to serve it. Nobody writes to its slices.
type Deployed struct {
	ID           string
	Organization string
	Environment  string
	Tags         []string // sharding tags as deployed; none: every worker
	Revision     uint64   // raft index of the deployment, or of the start that put it back
	Definition   []byte   // proto/apidef normal form as JSON, with the plans to serve
	DeployedAt   time.Time
}

// Subscribed is one push subscription as workers are to know of it.
type Subscribed struct {
	ID       string
	Tags     []string // of its API, as deployed
	Revision uint64   // raft index of its last change, or of its API's coming to where it is served
	record   *fsm.Subscription
}

// Bundle is what workers are sent.
func (s Subscribed) Bundle() *bundle.Subscription {
	r := s.record
	out := &bundle.Subscription{
		ID: r.ID, API: r.API, Plan: r.Plan, Application: r.Application, Metadata: r.Metadata,
		EntrypointID: r.Consumer.EntrypointID, Channel: r.Consumer.Channel, Configuration: r.Consumer.Configuration,
		Dispatch: r.Dispatched(), StartingAt: moment(r.StartingAtMS), EndingAt: moment(r.EndingAtMS),
	}
	for _, one := range r.Replays {
		if one.State == command.ReplayState_REPLAY_STATE_RUNNING && one.Worker != "" {
			out.Replays = append(out.Replays, bundle.Replay{ID: one.ID, From: one.From, Until: one.Until, Worker: one.Worker})
		}
	}
	return out
}

// moment is a time in milliseconds since 1970, zero for 0.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Changes lead from one revision to Revision.
type Changes struct {
	Revision             uint64
	APIs                 []Deployed
	Subscriptions        []Subscribed
	RemovedAPIs          []string // or served no more
	RemovedSubscriptions []string
}

// newSource takes a linearizable read, by which it finds out when this node has caught up.
func newSource(s *store.Store, read func(context.Context) (*fsm.State, error)) *Source {
	return &Source{store: s, read: read, changed: make(chan struct{}, 1)}
}

// CaughtUp tells whether this node has held, once since it started, all that the cluster had acknowledged. Until then its
// view may be empty or old, and nobody must take it for the truth.
func (s *Source) CaughtUp() bool { return s.caughtUp.Load() }

// Snapshot is what is to be served at one revision, by id: every API that is started and deployed, and its subscriptions.
// The revision is the same on every node for the same deployments and never goes back.
func (s *Source) Snapshot() Changes {
	st := s.store.State()
	out := Changes{Revision: st.Revision()}
	for a := range st.Serving {
		out.APIs = append(out.APIs, deployed(a))
	}
	for sub, a := range st.Known {
		out.Subscriptions = append(out.Subscriptions, subscribed(sub, a))
	}
	return out
}

// Since is what leads from a revision to what Snapshot would answer; false where that is no longer known.
func (s *Source) Since(revision uint64) (Changes, bool) {
	st := s.store.State()
	apis, subs, ok := st.ChangedSince(revision)
	if !ok {
		return Changes{}, false
	}
	out := Changes{Revision: st.Revision()}
	for _, id := range apis {
		if a := st.API(id); a != nil && a.Started && a.Deployed != nil {
			out.APIs = append(out.APIs, deployed(a))
		} else {
			out.RemovedAPIs = append(out.RemovedAPIs, id)
		}
	}
	for _, id := range subs {
		if sub := st.Subscription(id); sub != nil {
			if a := st.KnownAt(sub); a != nil {
				out.Subscriptions = append(out.Subscriptions, subscribed(sub, a))
				continue
			}
		}
		out.RemovedSubscriptions = append(out.RemovedSubscriptions, id)
	}
	return out, true
}

func subscribed(s *fsm.Subscription, a *fsm.API) Subscribed {
	return Subscribed{ID: s.ID, Tags: a.Deployed.Tags, Revision: s.PushedAs(a), record: s}
}

// Revision is the one that Snapshot would answer.
func (s *Source) Revision() uint64 { return s.store.State().Revision() }

func deployed(a *fsm.API) Deployed {
	d := a.Deployed
	return Deployed{
		ID: a.ID, Organization: a.Organization, Environment: a.Environment, Tags: d.Tags, Revision: d.Revision,
		Definition: d.Definition, DeployedAt: time.UnixMilli(d.AtMS).UTC(),
	}
}

// Leader tells whether this node leads and has applied all that earlier leaders committed, and its raft term.
func (s *Source) Leader() (leads bool, term uint64) {
	l := s.store.Leadership()
	return l.Ready, l.Term
}

// Changed receives after Snapshot or Leader would answer something new. One pending notice stands for any number.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// catchUp reads until one read succeeds.
func (s *Source) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, catchUpWithin)
		_, err := s.read(bounded)
		cancel()
		if err == nil {
			s.caughtUp.Store(true)
			s.notify()
			return
		}
	}
}

// run gives the notices until ctx ends.
func (s *Source) run(ctx context.Context) error {
	var catching sync.WaitGroup
	catching.Go(func() { s.catchUp(ctx) })
	defer catching.Wait()
	var told uint64
	for {
		st, l := s.store.State(), s.store.Leadership()
		if st.Revision() != told {
			told = st.Revision()
			s.notify()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-st.Superseded():
		case <-l.Changed():
			s.notify()
		}
	}
}

func (s *Source) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
