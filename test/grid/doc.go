// Package grid proves the quality-of-service contract on real processes and real brokers. A cell is one place that the
// matrix serves (qos.Supported), in one direction; a run is a cell under a fault. Each run is recorded as a history, and
// the history is judged by qos/judge: this package has no opinion of its own on what was promised.
//
// # Set-up
//
// A World is a real control plane, two real workers and the real brokers. Each run has an API and a topic (Kafka: six
// partitions; MQTT: six topics) of its own; runs of one fault go side by side, since most faults hit everybody. Workers
// have a small ring, so that a slow client leaves it.
//
// # Who is who
//
// A message is a number of a key; both are its text. In subscribe runs the harness writes straight to the broker, the keys
// of a partition in turn, and notes as stored what the broker acknowledged, with its place (Kafka: the offset; MQTT: the
// order in which the writer's messages were acknowledged). In publish runs clients send one message at a time per key, and
// an answer is noted for what it says:
//
//	202                          stored
//	503                          refused
//	504, a connection cut        neither; the sender goes on with a new key, since a late write may come after what follows
//	WebSocket closed with 1000   everything sent on the connection is stored
//
// Under none no answer says that a message is stored, so that there a sender takes a new key whenever it changes the worker.
// Where the endpoint keeps what it is given (mock does not), a reader of the log is the witness: it is owed what was stored
// (under none only what no producer was refused), and a witness per partition is owed the order of the keys.
//
// A subscriber is a client program. It keeps its identity, X-Gravitee-Client-Identifier, over all its connections and
// workers, and nothing else but its resume point: sse the last id (Last-Event-ID), http-get the last nextCursor, sluice.v1 over
// a websocket the last id, the plain websocket nothing. Where the level counts, what was saved under the identifier says where
// a client is, so that it sends no resume point, except for http-get under at-least-once, where that is the proof of
// receipt. An anonymous client of sse has it the other way round: no identity, and its last id. One with neither, whose
// receipt is what its kernel has acknowledged, closes its side when it leaves, and reads what has come until then.
//
// A webhook's subscriber is a program that both workers call; its subscription is its identity. A call that it answers with 2xx
// is delivered; where the level repeats nothing every call is, whatever the answer, so that none may come twice. It is judged
// by the order of keys: its calls go beside each other. A mock has no identities that a receiver sees: calls are counted, and
// are owed to be as many as both workers' mocks give.
//
// "Delivered" is what such a program has read. It begins at the earliest message of a fresh topic
// (autoOffsetReset earliest), so that nothing is missed before its first connection; under none it begins at the live end, and
// is owed what comes after the first message it gets. A resume point that the client sends is where the judge
// starts the connection: whatever lies behind it and never arrives is a silent gap. Under at-most-once the resume point does
// not say that, since what was saved may be ahead of it. The pages of http-get follow each other without a hole, so they
// are one connection.
//
// When the fault is over and everything is written, one more message per key is written, until the last of every key arrives
// (under auto and at-least-once, until everything stored has). Then the run is judged.
//
// # Checkpoints
//
// Where a client can see its own proof of receipt (http-get: the next request; websocket: the pong, or the ack; webhook: the 2xx), the proof is noted before it
// is sent, the groups' offsets are read from Kafka while the run goes on, and no offset may be above the proof
// (at-least-once). An sse client cannot see its kernel's acknowledgement, and offsets read later cannot show that one was
// saved before a delivery (at-most-once): package simulation judges these.
//
// # Two members
//
// Under the rebalance fault a second program with the same identity joins and leaves. Each is judged for the order in which it got
// messages; what arrived, was lost or came twice is judged of both together.
package grid

//go:generate go run ./cmd -root ../.. -report
