// Package wire is what the control plane and its workers say to each other over NATS: the subjects, the protobuf
// envelopes, how they are signed, the digest of a stream and the form of a chunked body. It is data and pure
// functions: no I/O, no clock, no goroutine.
//
// A stream is the unit of order: one for each item (APIs, subscriptions) and sharding tag, and one of everything for the
// workers that have no tag. The
// control plane publishes each change of a stream as a Push, which names the position that it starts from, and the
// digest of the stream after it. A worker that sees a gap, or a digest other than its own, sends an Ask.
//
// Compatibility: Version is in every envelope and a receiver refuses a later one; a field number is never used
// twice; testdata pins each form.
package wire

//go:generate go run github.com/sluice-gateway/sluice/proto/internal/gen wire.proto
