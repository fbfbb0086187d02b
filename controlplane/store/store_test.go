package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests: an election on a busy machine takes some seconds at worst.
const patience = 30 * time.Second

// node is one running store.
type node struct {
	*Store
	cfg  Config
	deps Deps
	stop context.CancelFunc
	done chan error
}

// launch runs a store on a listener.
func launch(t *testing.T, cfg Config, secret identity.Secret, ln net.Listener) *node {
	t.Helper()
	id, err := identity.New(secret, identity.Config{Node: cfg.NodeID})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{cfg: cfg, deps: Deps{FSM: fsm.New(), Listener: ln, TLS: id.PeerTLS(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, done: make(chan error, 1)}
	if n.Store, err = New(cfg, n.deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx) }()
	t.Cleanup(func() { n.halt(t) })
	return n
}

// halt stops a node, once.
func (n *node) halt(t *testing.T) {
	t.Helper()
	n.stop()
	if err, open := <-n.done; open {
		close(n.done)
		if err != nil {
			t.Errorf("node %s stopped: %v", n.cfg.NodeID, err)
		}
	}
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// cluster launches n founding nodes.
func cluster(t *testing.T, n int) []*node {
	t.Helper()
	var peers []Peer
	var lns []net.Listener
	for i := range n {
		ln := listen(t, "127.0.0.1:0")
		lns = append(lns, ln)
		peers = append(peers, Peer{ID: fmt.Sprintf("n%d", i), Address: ln.Addr().String()})
	}
	var nodes []*node
	for i, p := range peers {
		nodes = append(nodes, launch(t, Config{NodeID: p.ID, DataDir: t.TempDir(), Peers: peers}, identity.Secret{1}, lns[i]))
	}
	return nodes
}

// leader waits until one of the nodes is ready to lead.
func leader(t *testing.T, nodes ...*node) *node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		changed := make(chan struct{}, len(nodes))
		stop := make(chan struct{})
		for _, n := range nodes {
			l := n.Leadership()
			if l.Ready {
				close(stop)
				return n
			}
			go func() {
				select {
				case <-l.Changed():
					changed <- struct{}{}
				case <-stop:
				}
			}()
		}
		select {
		case <-ctx.Done():
			t.Fatal("no leader")
		case <-changed:
		}
		close(stop)
	}
}

func put(id string) *command.Command {
	return &command.Command{RequestId: "put-" + id, Change: &command.Command_PutApi{PutApi: &command.PutApi{
		ApiId: id, Create: true, Organization: "o", Environment: "e", Name: id, Type: "message", Definition: []byte(`{}`),
	}}}
}

// write proposes on whoever leads until it is through, as a client would.
func write(t *testing.T, cmd *command.Command, nodes ...*node) *command.Result {
	t.Helper()
	for {
		r, err := leader(t, nodes...).Propose(t.Context(), cmd)
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatal(err)
		}
	}
}

func TestStore_SurvivesARestart(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0")
	addr := ln.Addr().String()
	cfg := Config{NodeID: "n0", DataDir: t.TempDir()}
	n := launch(t, cfg, identity.Secret{1}, ln)
	first := write(t, put("a"), n)
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	write(t, put("b"), n)
	n.halt(t)

	n = launch(t, cfg, identity.Secret{1}, listen(t, addr))
	leader(t, n)
	if n.State().API("a") == nil || n.State().API("b") == nil {
		t.Fatalf("%d APIs after a restart, want 2", n.State().Len())
	}
	if again := write(t, put("a"), n); !proto.Equal(first, again) {
		t.Fatalf("the request is applied again after a restart: %v, first %v", again, first)
	}
}

func TestStore_LosesItsLeaderAndNothingElse(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3)
	old := leader(t, nodes...)
	for i := range 20 {
		write(t, put(fmt.Sprint("before-", i)), nodes...)
	}
	old.halt(t)
	var rest []*node
	for _, n := range nodes {
		if n != old {
			rest = append(rest, n)
		}
	}
	last := write(t, put("after"), rest...)
	for _, n := range rest {
		if err := n.WaitApplied(t.Context(), last.GetIndex()); err != nil {
			t.Fatal(err)
		}
		if got := n.State().Len(); got != 21 {
			t.Errorf("node %s has %d APIs, want 21", n.cfg.NodeID, got)
		}
	}
	back := launch(t, old.cfg, identity.Secret{1}, listen(t, old.address)) // with what it had on disk
	if err := back.WaitApplied(t.Context(), last.GetIndex()); err != nil {
		t.Fatal(err)
	}
	if got := back.State().Len(); got != 21 {
		t.Errorf("the old leader has %d APIs after its return, want 21", got)
	}
}

func TestStore_ReadIndexCoversEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3)
	for i := range 10 {
		r := write(t, put(fmt.Sprint(i)), nodes...)
		index, err := leader(t, nodes...).ReadIndex(t.Context())
		if err != nil || index < r.GetIndex() {
			t.Fatalf("read index %d (%v) after a write at %d", index, err, r.GetIndex())
		}
	}
	led := leader(t, nodes...)
	for _, n := range nodes {
		if n == led {
			continue
		}
		if _, err := n.ReadIndex(t.Context()); !errors.Is(err, ErrNotLeader) {
			t.Errorf("a follower gives a read index: %v", err)
		}
		if _, err := n.Propose(t.Context(), put("x")); !errors.Is(err, ErrNotLeader) {
			t.Errorf("a follower takes a command: %v", err)
		}
	}
}

func TestStore_JoinAndRemove(t *testing.T) {
	t.Parallel()
	first := launch(t, Config{NodeID: "n0", DataDir: t.TempDir()}, identity.Secret{1}, listen(t, "127.0.0.1:0"))
	write(t, put("a"), first)
	second := launch(t, Config{NodeID: "n1", DataDir: t.TempDir(), Joining: true}, identity.Secret{1}, listen(t, "127.0.0.1:0"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Join(ctx, first.Address()); err != nil {
		t.Fatal(err)
	}
	r := write(t, put("b"), first)
	if err := second.WaitApplied(ctx, r.GetIndex()); err != nil {
		t.Fatal(err)
	}
	st, err := first.Status()
	if err != nil || len(st.Members) != 2 || st.State != "leader" {
		t.Fatalf("status %+v, %v", st, err)
	}
	if err := first.Remove(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	write(t, put("c"), first)
	if st, _ := first.Status(); len(st.Members) != 1 {
		t.Fatalf("members %+v after a removal", st.Members)
	}
}

func TestStore_RefusesStrangers(t *testing.T) {
	t.Parallel()
	n := launch(t, Config{NodeID: "n0", DataDir: t.TempDir()}, identity.Secret{1}, listen(t, "127.0.0.1:0"))
	leader(t, n)
	stranger, err := identity.New(identity.Secret{2}, identity.Config{Node: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	other := &Store{clients: newClients(stranger.PeerTLS())}
	defer other.clients.close()
	if _, err := other.Ask(t.Context(), n.Address(), &peer.Request{Ask: &peer.Request_Read{}}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("another cluster's node is answered: %v", err)
	}
	bare := stranger.ClientTLS() // no certificate at all, and a server it takes on trust
	bare.InsecureSkipVerify = true
	other.clients.tls = bare
	if _, err := other.Ask(t.Context(), n.Address(), &peer.Request{Ask: &peer.Request_Read{}}); err == nil {
		t.Error("a client without a certificate is answered")
	}
	friend := &Store{clients: newClients(n.deps.TLS)}
	defer friend.clients.close()
	for range 2 { // the second time on the kept connection
		if _, err := friend.Ask(t.Context(), n.Address(), &peer.Request{}); !errors.Is(err, ErrRefused) {
			t.Errorf("a request for nothing: %v", err)
		}
		if resp, err := friend.Ask(t.Context(), n.Address(), &peer.Request{Ask: &peer.Request_Propose{Propose: put("p")}}); err != nil || resp.GetResult().GetError() != nil {
			t.Errorf("a request of a node: %v %v", resp, err)
		}
	}
}

func TestStore_ProposeLeavesWithItsCaller(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3)
	led := leader(t, nodes...)
	for _, n := range nodes {
		if n != led {
			n.halt(t) // no quorum is left
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := led.Propose(ctx, put("lost"))
	if !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrNotLeader) {
		t.Fatalf("without a quorum: %v", err)
	}
}

func TestConfig_AllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Peers: []Peer{{ID: "a", Address: "x:1"}, {ID: "a", Address: "x:1"}}, Joining: true}, Deps{})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) < 5 {
		t.Fatalf("got %v", err)
	}
}

// FuzzReadFrame feeds a connection with what a broken peer might send.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 2, 8, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := net.Pipe()
		go func() {
			_, _ = near.Write(data)
			near.Close()
		}()
		req := &peer.Request{}
		if err := readFrame(far, req); err == nil && proto.Size(req) > len(data) {
			t.Fatalf("%d bytes came out of %d", proto.Size(req), len(data))
		}
		far.Close()
	})
}
