// Package push takes what is deployed to the workers over NATS, and brings back what they do with it.
//
// Every node keeps an index of the source's deployments by stream (a sharding tag, or everything) with digests, and
// answers the asks of workers. The leader besides publishes each change and heartbeats. Every node hears the status
// of every worker, so each can Await and list. What a worker serves never depends on this package being reachable.
//
// It does not store anything, does not read definitions and does not choose what is deployed: Source does.
//
// Goroutines: Run owns all and waits for them: one that publishes, one that hears status, and a fixed few that answer.
// Locks (index.mu, bodies.mu, slots.mu, tracker.mu) are never held together.
package push
