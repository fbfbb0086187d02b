// Package feed is the worker's side of the push: it follows the streams of the worker's sharding tags over NATS,
// keeps the deployments that they add up to, hands every change to a Sink, and reports what came of it.
//
// A stream is only ever taken further by what carries the cluster's signature for that stream, leads on from where
// the stream is, and gives the digest that it promises. Anything else is refused and counted, what is served stays,
// and the control plane is asked. So a lost, doubled, reordered or altered message costs a question, never a state.
// The feed needs neither NATS nor the control plane to stay up, only to change.
//
// It does not read definitions and serves nothing. It keeps nothing on disk.
//
// Goroutines: Run owns all and waits for them: a follower for each stream, one that applies, one that reports.
package feed
