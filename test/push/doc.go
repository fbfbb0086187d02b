// Package push holds the tests of the push as a whole: control-plane nodes (controlplane/push), NATS
// (controlplane/natsserver) and workers (dataplane/feed) over real sockets, with faults. It has no code of its own.
package push
