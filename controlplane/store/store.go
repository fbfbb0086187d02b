// Package store replicates the state machine: hashicorp/raft over an fsynced write-ahead log, file snapshots and
// mutually authenticated TLS. One listener carries raft and the peers' requests to one another.
//
// New recovers the log and joins the election; Run serves until its context ends, hands leadership over and releases
// everything: it must be called once New has returned. Run owns every goroutine; raft's own end with it.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/command"
)

// Errors of the store. Whoever asks decides whether to ask again.
var (
	// ErrNotLeader: nothing was done; the leader would.
	ErrNotLeader = errors.New("this node is not the leader")
	// ErrOutcomeUnknown: the command may be applied later, or not. Asking again with the same request id is safe.
	ErrOutcomeUnknown = errors.New("the outcome of the change is not known")
	// ErrRefused: a peer could not make sense of the request.
	ErrRefused = errors.New("the peer refused the request")
	// ErrUnreachable: the peer was not reached; nothing was done.
	ErrUnreachable = errors.New("the peer cannot be reached")
)

// Store is one member of the cluster.
type Store struct {
	cfg       Config
	deps      Deps
	address   string // advertised
	raft      *raft.Raft
	transport *raft.NetworkTransport
	log       *diskLog
	mux       *mux
	notify    chan bool
	observed  chan raft.Observation
	observer  *raft.Observer
	leading   atomic.Pointer[Leadership]
	waiting   sync.WaitGroup // calls that outlive their caller, see Propose
	clients   *clients
}

// New opens the log and starts raft.
func New(cfg Config, deps Deps) (*Store, error) {
	if err := cfg.validate(&deps); err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	address, err := cfg.advertise(deps.Listener)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, deps: deps, address: address,
		notify: make(chan bool, 16), observed: make(chan raft.Observation, 16),
		clients: newClients(deps.TLS),
	}
	s.leading.Store(&Leadership{changed: make(chan struct{})})
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// diskLog is the log with all it holds open: WAL.Close leaves its metadata store open (raft-wal v0.4.0, wal.go).
type diskLog struct {
	*wal.WAL
	meta *metadb.BoltMetaDB
	held *os.File
}

func openLog(dir string, logger hclog.Logger) (*diskLog, error) {
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	meta := &metadb.BoltMetaDB{}
	log, err := wal.Open(dir, wal.WithSegmentSize(segmentBytes), wal.WithLogger(logger), wal.WithMetaStore(meta))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), meta.Close(), held.Close())
	}
	return &diskLog{WAL: log, meta: meta, held: held}, nil
}

func (l *diskLog) Close() error { return errors.Join(l.WAL.Close(), l.meta.Close(), l.held.Close()) }

// open recovers what is on disk and starts raft on it.
func (s *Store) open() error {
	dir := filepath.Join(s.cfg.DataDir, "raft")
	for _, d := range []string{s.cfg.DataDir, dir, filepath.Join(dir, "log")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("create data directory: %w", err)
		}
		if err := os.Chmod(d, 0o700); err != nil { //nolint:gosec // a directory needs its x bit
			return fmt.Errorf("protect data directory: %w", err)
		}
	}
	logger := newLogger(s.deps.Log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, logger)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	if s.log, err = openLog(filepath.Join(dir, "log"), logger); err != nil {
		return err
	}
	s.mux = newMux(s)
	s.transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s.mux, MaxPool: maxPool, Timeout: ioTimeout, Logger: logger,
	})
	if err := s.startRaft(snapshots); err != nil {
		return errors.Join(err, s.mux.Close(), s.transport.Close(), s.log.Close())
	}
	s.observer = raft.NewObserver(s.observed, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	s.raft.RegisterObserver(s.observer)
	return nil
}

func (s *Store) startRaft(snapshots raft.SnapshotStore) error {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(s.cfg.NodeID)
	rc.HeartbeatTimeout, rc.ElectionTimeout, rc.LeaderLeaseTimeout = heartbeatTimeout, electionTimeout, leaderLease
	rc.CommitTimeout, rc.MaxAppendEntries = commitTimeout, maxAppendEntries
	rc.SnapshotThreshold, rc.TrailingLogs, rc.SnapshotInterval = snapshotThreshold, trailingLogs, snapshotInterval
	rc.NotifyCh = s.notify
	rc.NoLegacyTelemetry = true
	rc.Logger = newLogger(s.deps.Log)
	known, err := raft.HasExistingState(s.log, s.log, snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if !known && !s.cfg.Joining {
		if err := raft.BootstrapCluster(rc, s.log, s.log, snapshots, s.transport, s.founders()); err != nil {
			return fmt.Errorf("found cluster: %w", err)
		}
	}
	s.raft, err = raft.NewRaft(rc, applier{s.deps.FSM}, s.log, s.log, snapshots, s.transport)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// founders is the first membership.
func (s *Store) founders() raft.Configuration {
	peers := s.cfg.Peers
	if len(peers) == 0 {
		peers = []Peer{{ID: s.cfg.NodeID, Address: s.address}}
	}
	var c raft.Configuration
	for _, p := range peers {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	return c
}

// Address is where peers reach this node.
func (s *Store) Address() string { return s.address }

// State is the local view, which may be behind the leader's.
func (s *Store) State() *fsm.State { return s.deps.FSM.State() }

// Run serves peers until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(s.mux.serve)
	watching, stop := context.WithCancel(ctx)
	group.Go(func() { s.watchLeadership(watching) })
	<-ctx.Done()
	s.handOver()
	err := s.raft.Shutdown().Error()
	s.raft.DeregisterObserver(s.observer)
	stop()
	err = errors.Join(err, s.mux.Close(), s.transport.Close())
	s.transport.CloseStreams()
	s.clients.close()
	group.Wait()
	s.waiting.Wait()
	if err = errors.Join(err, s.log.Close()); err != nil {
		return fmt.Errorf("stop raft: %w", err)
	}
	return nil
}

// handOver gives leadership away, so that a planned stop costs clients no election.
func (s *Store) handOver() {
	if s.raft.State() != raft.Leader {
		return
	}
	if f := s.raft.GetConfiguration(); f.Error() != nil || len(f.Configuration().Servers) < 2 {
		return
	}
	if err := s.raft.LeadershipTransfer().Error(); err != nil {
		s.deps.Log.Warn("leadership is not handed over", "err", err)
	}
}

// Propose appends a command to the log, as leader, and returns what applying it led to. It stamps the leader's time
// on cmd, which the caller must not use elsewhere meanwhile. A command that ctx leaves behind may still be applied.
func (s *Store) Propose(ctx context.Context, cmd *command.Command) (*command.Result, error) {
	if s.raft.State() != raft.Leader {
		return nil, ErrNotLeader
	}
	cmd.AtMs = s.deps.Now().UnixMilli()
	data, err := command.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	future := s.raft.Apply(data, ioTimeout)
	done := make(chan error, 1)
	s.waiting.Go(func() { done <- future.Error() }) // ends: raft answers every future, at the latest when it stops
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	case err = <-done:
	}
	if err != nil {
		return nil, proposeError(err)
	}
	result, ok := future.Response().(*command.Result)
	if !ok {
		return nil, fmt.Errorf("%w: the state machine gave no result", ErrOutcomeUnknown)
	}
	return result, nil
}

// proposeError sorts raft's errors by whether the command may still be applied.
func proposeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), // never appended
		errors.Is(err, raft.ErrLeadershipTransferInProgress), // refused while handing over
		errors.Is(err, raft.ErrEnqueueTimeout):               // never taken from the queue
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	default: // leadership lost with the entry in the log, stopping, disk errors: a later leader may commit it
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}
