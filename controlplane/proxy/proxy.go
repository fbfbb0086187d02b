// Package proxy lets any node take any request: it does here what the leader may do here, and asks the leader for the
// rest, for as long as the caller waits. A command carries one request id through all attempts and the state machine
// answers an id it knows with the first result, so a change whose answer was lost is made once.
//
// It starts no goroutine.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/peer"
)

// retryWait is how long to wait for news of a leader before asking again; an election takes some 100 ms.
const retryWait = 50 * time.Millisecond

// attemptTimeout bounds one attempt at the leader, so that a leader that hangs does not use up the caller's time.
const attemptTimeout = 5 * time.Second

// Errors of the proxy.
var (
	// ErrNoLeader: no leader was found in the caller's time; nothing was changed.
	ErrNoLeader = errors.New("the cluster has no leader")
	// ErrOutcomeUnknown: the change was sent and no answer came in the caller's time.
	ErrOutcomeUnknown = store.ErrOutcomeUnknown
)

// Node is the local member of the cluster, a *store.Store.
type Node interface {
	// Propose applies a command on the leader.
	Propose(ctx context.Context, cmd *command.Command) (*command.Result, error)
	// ReadIndex is the index that a linearizable read must have seen, on the leader.
	ReadIndex(ctx context.Context) (uint64, error)
	// WaitApplied waits for the local state to hold an index.
	WaitApplied(ctx context.Context, index uint64) error
	// Leadership is who leads, with a notice of change.
	Leadership() *store.Leadership
	// Ask sends a request to a peer.
	Ask(ctx context.Context, address string, req *peer.Request) (*peer.Response, error)
	// State is the local view.
	State() *fsm.State
}

// Proxy reaches the leader from this node.
type Proxy struct {
	node Node
}

// New returns the proxy of a node.
func New(node Node) *Proxy { return &Proxy{node: node} }

// Propose applies cmd once, wherever the leader is, and waits until the local state holds it, so that the caller reads
// its own write. It sets the command's request id. ctx should have a deadline: it is how long to look for a leader.
func (p *Proxy) Propose(ctx context.Context, cmd *command.Command) (*command.Result, error) {
	cmd.RequestId = uuid.NewString()
	var result *command.Result
	err := p.retry(ctx, func(ctx context.Context, leader *store.Leadership) error {
		if leader.Leading {
			var err error
			result, err = p.node.Propose(ctx, cmd)
			return err
		}
		resp, err := p.ask(ctx, leader, &peer.Request{Ask: &peer.Request_Propose{Propose: cmd}})
		if err == nil && resp.GetResult() == nil {
			return fmt.Errorf("%w: the leader's answer is empty", store.ErrOutcomeUnknown)
		}
		result = resp.GetResult()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("propose: %w", err)
	}
	if err := p.node.WaitApplied(ctx, result.GetIndex()); err != nil {
		return result, fmt.Errorf("propose: the change is made and not here yet: %w", err)
	}
	return result, nil
}

// Read returns a state that holds every change acknowledged to anybody before the call.
func (p *Proxy) Read(ctx context.Context) (*fsm.State, error) {
	var index uint64
	err := p.retry(ctx, func(ctx context.Context, leader *store.Leadership) error {
		var err error
		if leader.Leading {
			index, err = p.node.ReadIndex(ctx)
			return err
		}
		resp, err := p.ask(ctx, leader, &peer.Request{Ask: &peer.Request_Read{Read: &peer.Read{}}})
		index = resp.GetIndex()
		return err
	})
	if err == nil {
		err = p.node.WaitApplied(ctx, index)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return p.node.State(), nil
}

// AddMember makes a node a voting member.
func (p *Proxy) AddMember(ctx context.Context, id, address string) error {
	return p.tell(ctx, &peer.Request{Ask: &peer.Request_Join{Join: &peer.Join{Id: id, Address: address}}})
}

// RemoveMember ends a membership.
func (p *Proxy) RemoveMember(ctx context.Context, id string) error {
	return p.tell(ctx, &peer.Request{Ask: &peer.Request_Remove{Remove: &peer.Remove{Id: id}}})
}

// tell sends a request without an answer's content; the leader may be this node, which then asks itself.
func (p *Proxy) tell(ctx context.Context, req *peer.Request) error {
	return p.retry(ctx, func(ctx context.Context, leader *store.Leadership) error {
		_, err := p.ask(ctx, leader, req)
		return err
	})
}

func (p *Proxy) ask(ctx context.Context, leader *store.Leadership, req *peer.Request) (*peer.Response, error) {
	if leader.Address == "" {
		return nil, store.ErrNotLeader
	}
	return p.node.Ask(ctx, leader.Address, req) //nolint:wrapcheck // retry sorts these errors
}

// retry runs try until it succeeds, fails for good, or the caller's time is over.
func (p *Proxy) retry(ctx context.Context, try func(context.Context, *store.Leadership) error) error {
	unknown := false // an earlier attempt may have reached the log
	for {
		leader := p.node.Leadership()
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := try(attempt, leader)
		cancel()
		if err == nil || errors.Is(err, store.ErrRefused) {
			return err
		}
		unknown = unknown || errors.Is(err, store.ErrOutcomeUnknown)
		timer := time.NewTimer(retryWait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return gaveUp(ctx, unknown, err)
		case <-leader.Changed():
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return gaveUp(ctx, unknown, err)
		}
	}
}

// gaveUp is the answer to a caller whose time is over.
func gaveUp(ctx context.Context, unknown bool, last error) error {
	if unknown {
		return fmt.Errorf("%w: %w (%w)", ErrOutcomeUnknown, ctx.Err(), last)
	}
	return fmt.Errorf("%w: %w (%w)", ErrNoLeader, ctx.Err(), last)
}

var _ Node = (*store.Store)(nil)
