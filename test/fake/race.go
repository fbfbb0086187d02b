//go:build race

package fake

// Race tells that the race detector is on: sync.Pool then drops items at random, so allocations cannot be counted.
const Race = true
