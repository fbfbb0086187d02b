//go:build !race

package fake

// Race tells that the race detector is on.
const Race = false
