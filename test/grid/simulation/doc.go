// Package simulation judges what moves messages under thousands of random fault schedules, in time that is not real
// (testing/synctest): the entrypoints' real stream on the real event loop (connectors/httpfront, connectors/eventloop), the real
// window and cursors (qos), behind a model of a broker (a log with partitions, retention and consumer groups) and before a model of a connection, of which the bytes under way
// can be lost. qos/judge judges each history, as it does those of real brokers; here it also sees what no client can see: the
// moment at which a checkpoint is saved, and the moment at which bytes are acknowledged.
//
// A client program is let down, or leaves, but does not die: what its kernel has acknowledged it reads. Where the proof of receipt is
// that of a kernel, as with server-sent events, it proves no more than that.
//
// Every actor (producer, connection, client, fault) acts at random instants of its own, so that two hardly ever act at
// the same one, and a seed is a schedule.
//
// Mutations break the model's side of the contract in one way each. Each must be caught: that is how the judge and the schedules
// are judged.
package simulation
