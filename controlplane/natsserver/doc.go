// Package natsserver is the NATS server that a control-plane node embeds: transport only, no JetStream, nothing kept.
//
// Every client proves an nkey, over TLS, and may then do only what its role needs: a worker reads the streams of its
// sharding tags and writes its own status, a control-plane node speaks on all of Sluice's subjects. The nodes' servers
// form one cluster over mutually authenticated TLS. Every listener is on loopback unless it is told otherwise.
//
// Dial is the node's own connection, to the embedded server or to an external cluster (--nats-url).
//
// Goroutines: the server's own, from New until Run returns.
package natsserver
