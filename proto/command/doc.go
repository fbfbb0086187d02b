// Package command is what the control plane replicates: the commands of the raft log, their results, and the
// snapshot of the state they lead to. It is data: the generated protobuf types, their limits and their codec.
//
// Compatibility: a field number is never used twice and a code never changes meaning. Format is raised when a
// change can no longer be read by a node of the version before; every released format stays in
// controlplane/fsm/testdata so that old logs and snapshots keep restoring.
package command

//go:generate go run github.com/sluice-gateway/sluice/proto/internal/gen command.proto snapshot.proto
