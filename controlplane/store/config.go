package store

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
)

// Timings of raft. A killed leader costs: until a follower misses it, heartbeatTimeout to twice that (raft draws it
// at random); one election round, some milliseconds on a LAN; and where two candidates split the vote, electionTimeout
// to twice that once more. So writes are accepted again after 0.5 to 1.1 s, 2.1 s with a split vote, which pre-vote
// makes rare.
// Lower values are not safe on a small busy machine: a leader that cannot reach a quorum for leaderLease steps down, and
// a process on 2 loaded cores does lose 100 ms to its neighbours and some 10 ms to a slow fsync.
const (
	heartbeatTimeout = 500 * time.Millisecond
	electionTimeout  = 500 * time.Millisecond
	leaderLease      = 350 * time.Millisecond
	// commitTimeout is how long a follower may be behind in learning what is committed when nothing else is written,
	// which is what the first read on a follower after a write waits for; raft's default is 50 ms.
	commitTimeout = 25 * time.Millisecond
)

// Bounds of the log and of what is sent.
const (
	// maxAppendEntries bounds one replication message to 16 entries, of command.MaxBytes at most each.
	maxAppendEntries = 16
	// snapshotThreshold and trailingLogs keep the log to some thousand entries; a follower further behind gets a snapshot.
	snapshotThreshold = 2048
	trailingLogs      = 1024
	snapshotInterval  = 30 * time.Second
	keptSnapshots     = 2
	// segmentBytes is the size of a log segment, allocated at once; raft-wal's default of 64 MiB is much for a laptop.
	segmentBytes = 16 << 20
	// ioTimeout bounds one raft message on the wire, and a TLS handshake.
	ioTimeout = 5 * time.Second
	// maxPool is how many idle connections to a peer are kept, by raft and by the peer client each.
	maxPool = 4
)

// Peer is a member of the cluster: a name that never changes and where it is reached.
type Peer struct {
	ID      string
	Address string // host:port
}

// Config is one node's place in the cluster.
type Config struct {
	NodeID  string
	DataDir string // holds the log and the snapshots; made 0700
	// Advertise is the address at which peers reach this node, host:port; empty: the listener's.
	Advertise string
	// Peers are the first members, the same list on every node; empty: this node alone. It counts at the very first
	// start only: afterwards the membership is in the log.
	Peers []Peer
	// Joining starts a node that waits to be added to a cluster by Join instead of founding one.
	Joining bool
}

// Deps are what the store is given.
type Deps struct {
	FSM *fsm.FSM
	// Listener takes the peers' connections, raft's and forwarded requests; the store closes it.
	Listener net.Listener
	// TLS is both ends of a connection between nodes; it must verify the other end.
	TLS *tls.Config
	Log *slog.Logger
	Now func() time.Time // stamps commands that this node takes as leader; nil: time.Now
}

// Errors of the configuration.
var errConfig = errors.New("store configuration")

func (c *Config) validate(d *Deps) error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %s", errConfig, what))
		}
	}
	need(c.NodeID != "", "the node id is required")
	need(c.DataDir != "", "the data directory is required")
	need(d.FSM != nil && d.Listener != nil && d.TLS != nil && d.Log != nil, "state machine, listener, TLS and log are required")
	need(!c.Joining || len(c.Peers) == 0, "a joining node is given no peers")
	seen := map[string]bool{}
	for _, p := range c.Peers {
		need(p.ID != "" && p.Address != "", "each peer has an id and an address")
		need(!seen[p.ID] && !seen[p.Address], fmt.Sprintf("peer %s (%s) stands twice", p.ID, p.Address))
		seen[p.ID], seen[p.Address] = true, true
	}
	need(len(c.Peers) == 0 || seen[c.NodeID], fmt.Sprintf("node %s is not among its peers", c.NodeID))
	return errors.Join(errs...)
}

// advertise is the address peers use, which must not be a wildcard.
func (c *Config) advertise(ln net.Listener) (string, error) {
	for _, p := range c.Peers {
		if p.ID == c.NodeID {
			return p.Address, nil
		}
	}
	addr := c.Advertise
	if addr == "" {
		addr = ln.Addr().String()
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("advertised address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return "", fmt.Errorf("%w: peers cannot reach %s: name the address to advertise", errConfig, addr)
	}
	return addr, nil
}
