package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
)

// applier lets raft drive the state machine.
type applier struct {
	fsm *fsm.FSM
}

func (a applier) Apply(l *raft.Log) any { return a.fsm.Apply(l.Index, l.Data) }

func (a applier) Snapshot() (raft.FSMSnapshot, error) { return persister{a.fsm.Snapshot()}, nil }

func (a applier) Restore(r io.ReadCloser) error {
	return errors.Join(a.fsm.Restore(r), r.Close())
}

// persister writes a snapshot to raft's store, which syncs it before it counts.
type persister struct {
	snapshot *fsm.Snapshot
}

func (p persister) Persist(sink raft.SnapshotSink) error {
	if err := p.snapshot.Write(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("close snapshot: %w", err)
	}
	return nil
}

func (persister) Release() {}

var _ raft.FSM = applier{}
