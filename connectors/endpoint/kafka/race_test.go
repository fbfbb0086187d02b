//go:build race

package kafka

// raceEnabled: sync.Pool forgets at random under the race detector.
const raceEnabled = true
