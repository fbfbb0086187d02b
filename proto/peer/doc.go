// Package peer is what control-plane nodes say to one another beside raft: forwarded commands, read barriers and
// membership changes. It is data; controlplane/store carries it over the peers' mutually authenticated connections.
//
// On the wire a message stands behind its length, 4 bytes big-endian, at most MaxBytes. One connection carries one
// request at a time: Request, then Response.
package peer

//go:generate go run github.com/sluice-gateway/sluice/proto/internal/gen peer.proto

// MaxBytes bounds one message: a command of command.MaxBytes and its envelope.
const MaxBytes = 13 << 20
