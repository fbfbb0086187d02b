package controlplane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
)

// Source is what there is to push: the deployed APIs, who leads, and a notice when either changes. Its methods may be
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

// newSource takes a linearizable read, by which it finds out when this node has caught up.
func newSource(s *store.Store, read func(context.Context) (*fsm.State, error)) *Source {
	return &Source{store: s, read: read, changed: make(chan struct{}, 1)}
}

// CaughtUp tells whether this node has held, once since it started, all that the cluster had acknowledged. Until then its
// view may be empty or old, and nobody must take it for the truth.
func (s *Source) CaughtUp() bool { return s.caughtUp.Load() }

// Snapshot is what is to be served at one revision, by id: every API that is started and deployed. The revision is the
// same on every node for the same deployments and never goes back.
func (s *Source) Snapshot() (revision uint64, all []Deployed) {
	st := s.store.State()
	for a := range st.Serving {
		all = append(all, deployed(a))
	}
	return st.Revision(), all
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
