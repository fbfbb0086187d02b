package push

import "github.com/sluice-gateway/sluice/proto/wire"

// Source is the replicated state as this node has applied it. Its methods are called from the goroutine of Run only.
type Source interface {
	// Snapshot returns what is deployed, at one revision. It is immutable: neither side writes to the slices or
	// the bytes afterwards. It never goes back.
	Snapshot() Snapshot
	// Changed receives after Snapshot or Leader would answer something new. One pending value is enough: Run reads
	// the state after it received.
	Changed() <-chan struct{}
	// Leader says whether this node leads now.
	Leader() Leadership
}

// Incremental is an optional extra of a Source that can say what changed, so that a change costs what changed and not
// what is deployed.
type Incremental interface {
	// Since returns the changes after the position, or false when it no longer knows them all.
	Since(at wire.At) (Changes, bool)
}

// Snapshot is what is deployed at one revision.
type Snapshot struct {
	// At is the revision, the same on every node for the same deployments, and the epoch, which is raised when the
	// cluster is restored from a backup.
	At          wire.At
	Deployments []Deployment
	// Loaded is false until this node has caught up with the cluster once since it started. Until then it answers
	// no worker, so that none takes an empty or old state for its definitions.
	Loaded bool
}

// Changes lead from one revision to the one at At.
type Changes struct {
	At      wire.At
	Changed []Deployment
	Removed []Key
}

// Key names what is deployed.
type Key struct {
	Item wire.Item
	ID   string
}

// Deployment is one API, or one subscription of a served API, as it is to be served.
type Deployment struct {
	Key
	Revision   uint64   // raft index of the change that made it so
	Tags       []string // sharding tags, a subscription's being its API's; none: only workers without tags serve it
	Definition []byte   // opaque here
}

// Leadership is whether this node leads, and since which raft term.
type Leadership struct {
	Leader bool
	Term   uint64
}
