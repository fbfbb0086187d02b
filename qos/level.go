// Package qos is the quality-of-service contract (DESIGN section 5): the levels, the matrix of what is possible
// between an entrypoint and an endpoint, and in its subpackages the currency of the data path (message), the
// context of one connection (exchange) and the machinery that keeps the promises. It does no I/O.
package qos

//go:generate go run ./internal/gendocs ../docs/qos.md

import "strings"

// Level is one quality of service.
type Level uint8

// Levels, from the weakest promise to the strongest.
const (
	None        Level = iota // 0..n, live end only, no state
	Auto                     // 0..n, resumes where it can; the default
	AtMostOnce               // 0..1
	AtLeastOnce              // 1..n
)

var levelNames = [...]string{None: "none", Auto: "auto", AtMostOnce: "at-most-once", AtLeastOnce: "at-least-once"}

// String returns the level as definitions spell it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "invalid"
}

// ParseLevel reads a level in any spelling of the two dialects ("at-least-once", "AT_LEAST_ONCE"); empty is Auto.
func ParseLevel(text string) (Level, bool) {
	if text == "" {
		return Auto, true
	}
	name := strings.ReplaceAll(strings.ToLower(text), "_", "-")
	for l, n := range levelNames {
		if n == name {
			return Level(l), true
		}
	}
	return 0, false
}
