package proxy

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is a member whose leader is whatever a test makes of it.
type fakeNode struct {
	fsm     *fsm.FSM
	lead    *store.Leadership
	propose func(cmd *command.Command) (*command.Result, error)
	ask     func(address string, req *peer.Request) (*peer.Response, error)
	waited  uint64
}

func (f *fakeNode) Propose(_ context.Context, cmd *command.Command) (*command.Result, error) {
	return f.propose(cmd)
}
func (f *fakeNode) ReadIndex(context.Context) (uint64, error) { return 7, nil }
func (f *fakeNode) WaitApplied(_ context.Context, index uint64) error {
	f.waited = index
	return nil
}
func (f *fakeNode) Leadership() *store.Leadership { return f.lead }
func (f *fakeNode) Ask(_ context.Context, address string, req *peer.Request) (*peer.Response, error) {
	return f.ask(address, req)
}
func (f *fakeNode) State() *fsm.State { return f.fsm.State() }

func TestProxy_LostAnswerIsAskedForAgainUnderOneID(t *testing.T) {
	t.Parallel()
	var ids []string
	n := &fakeNode{fsm: fsm.New(), lead: &store.Leadership{ID: "n1", Address: "n1:1"}}
	n.ask = func(_ string, req *peer.Request) (*peer.Response, error) {
		ids = append(ids, req.GetPropose().GetRequestId())
		switch len(ids) {
		case 1:
			return nil, store.ErrOutcomeUnknown
		case 2:
			return nil, store.ErrNotLeader
		default:
			return &peer.Response{Result: &command.Result{Index: 9}}, nil
		}
	}
	r, err := New(n).Propose(t.Context(), &command.Command{})
	if err != nil || r.GetIndex() != 9 || n.waited != 9 {
		t.Fatalf("result %v, %v, waited for %d", r, err, n.waited)
	}
	if len(ids) != 3 || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Fatalf("request ids %q", ids)
	}
}

func TestProxy_GivesUpWithItsCaller(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		err  error
		want error
	}{
		{"no leader", store.ErrNotLeader, ErrNoLeader},
		{"leader not reached", store.ErrUnreachable, ErrNoLeader},
		{"answer lost", store.ErrOutcomeUnknown, ErrOutcomeUnknown},
		{"refused", store.ErrRefused, store.ErrRefused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			n := &fakeNode{fsm: fsm.New(), lead: &store.Leadership{Leading: true}, propose: func(*command.Command) (*command.Result, error) { return nil, c.err }}
			if _, err := New(n).Propose(ctx, &command.Command{}); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestProxy_ReadWaitsForTheLeadersIndex(t *testing.T) {
	t.Parallel()
	n := &fakeNode{fsm: fsm.New(), lead: &store.Leadership{ID: "n1", Address: "n1:1"}}
	n.ask = func(address string, req *peer.Request) (*peer.Response, error) {
		if address != "n1:1" || req.GetRead() == nil {
			t.Errorf("asked %s for %v", address, req)
		}
		return &peer.Response{Index: 5}, nil
	}
	if _, err := New(n).Read(t.Context()); err != nil || n.waited != 5 {
		t.Fatalf("waited for %d, %v", n.waited, err)
	}
	n.lead = &store.Leadership{Leading: true}
	if _, err := New(n).Read(t.Context()); err != nil || n.waited != 7 {
		t.Fatalf("waited for %d, %v", n.waited, err)
	}
}
