package store

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// Leadership is who leads, at one moment.
type Leadership struct {
	Leading bool   // this node leads
	Ready   bool   // this node leads and has applied all that earlier leaders committed
	Term    uint64 // of this node
	ID      string // the leader's id; empty: unknown
	Address string
	changed chan struct{}
}

// Changed is closed when something about the leadership is different; ask the store again then.
func (l *Leadership) Changed() <-chan struct{} { return l.changed }

// Leadership is the latest.
func (s *Store) Leadership() *Leadership { return s.leading.Load() }

// watchLeadership turns raft's notices into Leadership values. It is their only writer.
func (s *Store) watchLeadership(ctx context.Context) {
	var ready uint64 // the term whose log this node, leading it, has applied up to its beginning
	for {
		s.publishLeadership(ready)
		select {
		case <-ctx.Done():
			return
		case <-s.observed:
		case leading := <-s.notify:
			if !leading {
				continue
			}
			s.publishLeadership(ready)
			term := s.raft.CurrentTerm()
			// The barrier ends when everything before it went through the state machine; it fails when leadership is lost.
			if err := s.raft.Barrier(0).Error(); err == nil && s.raft.CurrentTerm() == term {
				ready = term
			}
		}
	}
}

func (s *Store) publishLeadership(ready uint64) {
	address, id := s.raft.LeaderWithID()
	term := s.raft.CurrentTerm()
	next := &Leadership{
		Leading: s.raft.State() == raft.Leader, Term: term, ID: string(id), Address: string(address), changed: make(chan struct{}),
	}
	next.Ready = next.Leading && ready == term
	prev := s.leading.Swap(next)
	close(prev.changed)
}

// ReadIndex returns, on the leader, the index that a linearizable read must have seen applied: every change that was
// acknowledged to anybody before this call is at or below it. The leader is ready only when it has applied what earlier
// leaders acknowledged; it then takes its own applied index first and asks a quorum afterwards whether it still
// leads, so that no later leader can have acknowledged anything before the index was taken.
func (s *Store) ReadIndex(ctx context.Context) (uint64, error) {
	var led *Leadership
	for {
		led = s.Leadership()
		if s.raft.State() != raft.Leader {
			return 0, ErrNotLeader
		}
		if led.Ready && led.Term == s.raft.CurrentTerm() {
			break
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the leader to be ready: %w", ctx.Err())
		case <-led.Changed():
		}
	}
	index := s.State().Index()
	verify := s.raft.VerifyLeader()
	done := make(chan error, 1)
	s.waiting.Go(func() { done <- verify.Error() }) // ends: raft answers every future
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("verify leadership: %w", ctx.Err())
	case err := <-done:
		if err != nil || s.raft.CurrentTerm() != led.Term {
			return 0, fmt.Errorf("%w: leadership was lost", ErrNotLeader)
		}
	}
	return index, nil
}

// WaitApplied waits until the local state holds the command at index.
func (s *Store) WaitApplied(ctx context.Context, index uint64) error {
	for {
		st := s.State()
		if st.Index() >= index {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for index %d: %w", index, ctx.Err())
		case <-st.Superseded():
		}
	}
}
