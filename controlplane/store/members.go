package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sluice-gateway/sluice/proto/peer"
)

// Member is one node of the cluster as this node knows it.
type Member struct {
	ID      string
	Address string
	Voter   bool
	Leader  bool
}

// Status is this node's view of the cluster.
type Status struct {
	NodeID       string
	State        string // leader, follower, candidate, shutdown
	Term         uint64
	LeaderID     string
	LastIndex    uint64
	CommitIndex  uint64
	AppliedIndex uint64 // of the state machine: the last command
	LastContact  time.Time
	Members      []Member
}

// Status reads the local view; it asks nobody.
func (s *Store) Status() (Status, error) {
	led := s.Leadership()
	st := Status{
		NodeID: s.cfg.NodeID, State: stateName(s.raft.State()), Term: s.raft.CurrentTerm(), LeaderID: led.ID,
		LastIndex: s.raft.LastIndex(), CommitIndex: s.raft.CommitIndex(), AppliedIndex: s.State().Index(), LastContact: s.raft.LastContact(),
	}
	future := s.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return st, fmt.Errorf("read membership: %w", err)
	}
	for _, m := range future.Configuration().Servers {
		st.Members = append(st.Members, Member{
			ID: string(m.ID), Address: string(m.Address), Voter: m.Suffrage == raft.Voter, Leader: string(m.ID) == led.ID,
		})
	}
	return st, nil
}

func stateName(s raft.RaftState) string {
	return map[raft.RaftState]string{raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "shutdown"}[s]
}

// Join asks the cluster, through any of its nodes, to take this node in. It returns when the leader has; the log
// follows by itself. Asking again is harmless.
func (s *Store) Join(ctx context.Context, through string) error {
	req := &peer.Request{Ask: &peer.Request_Join{Join: &peer.Join{Id: s.cfg.NodeID, Address: s.address}}}
	resp, err := s.Ask(ctx, through, req)
	if errors.Is(err, ErrNotLeader) && resp.GetLeader() != "" {
		_, err = s.Ask(ctx, resp.GetLeader(), req)
	}
	if err != nil {
		return fmt.Errorf("join through %s: %w", through, err)
	}
	return nil
}

// AddVoter makes p a member, on the leader.
func (s *Store) AddVoter(ctx context.Context, p Peer) error {
	if _, _, err := net.SplitHostPort(p.Address); err != nil || p.ID == "" {
		return fmt.Errorf("%w: a member has an id and an address host:port", ErrRefused)
	}
	return s.member(ctx, "add member "+p.ID, func(wait time.Duration) raft.Future {
		return s.raft.AddVoter(raft.ServerID(p.ID), raft.ServerAddress(p.Address), 0, wait)
	})
}

// Remove ends the membership of the node with this id, on the leader.
func (s *Store) Remove(ctx context.Context, id string) error {
	if id == "" {
		return fmt.Errorf("%w: the id of a member is required", ErrRefused)
	}
	return s.member(ctx, "remove member "+id, func(wait time.Duration) raft.Future {
		return s.raft.RemoveServer(raft.ServerID(id), 0, wait)
	})
}

// member runs a change of the membership.
func (s *Store) member(ctx context.Context, what string, change func(time.Duration) raft.Future) error {
	if s.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	future := change(ioTimeout)
	done := make(chan error, 1)
	s.waiting.Go(func() { done <- future.Error() }) // ends: raft answers every future
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: %w", ErrOutcomeUnknown, what, ctx.Err())
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, proposeError(err))
		}
		return nil
	}
}
