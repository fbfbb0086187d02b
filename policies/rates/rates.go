// Package rates counts calls in windows of time: what the policies rate-limit, quota and spike-arrest stand on.
//
// A window begins with the first call of a key and ends after a period; the next call begins another. On one worker a Table
// counts exactly. Workers that serve the same API exchange their counts (package dataplane/rates over NATS, with a Table each)
// or count in one place (Redis, exactly).
//
// With the exchange every worker knows its own calls at once and those of the others a little later. So in one window
//
//	accepted ≤ L + N·(q−1) + R·(g + d + s)
//
// for a limit L, N workers, and R calls per second of that key to all workers together. q = max(1, ⌊L/(20·N)⌋) is how many
// calls a worker counts before it says so at once, and so N·(q−1) is at most 5 % of L; g is MinGap, the shortest time between
// two messages of a worker (2 ms); d is how long a message is on its way and s how far the workers' clocks are apart. Never
// more than N·L, which is also what a cut between the workers leads to. Nothing is refused too early, but where the clocks
// differ: a window may then end up to s early or late. Calls above the limit and counts that may be late (Call.Lazy) are told
// every Interval (100 ms); for the latter the bound is R·(Interval + d + s).
//
// Why this holds: let t be the moment when the calls of all workers together reach L. What was counted before t and not told
// is N·(q−1) calls at most, and what comes after t is told within g and heard within d. When it is heard, everybody refuses.
//
// The package starts no goroutine and does no I/O.
package rates

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrFull is returned where no further window fits into memory.
var ErrFull = errors.New("no further window can be counted: there are as many as memory allows")

// Counters count calls.
type Counters interface {
	// Hit counts one call and returns what the window holds, this call included. It may block where counting is done
	// elsewhere, at most until ctx ends. An error says that the call was not counted. It is called by any number of
	// goroutines.
	Hit(ctx context.Context, c Call) (Count, error)
}

// Call is one call to count.
type Call struct {
	Key Key
	// Limit is how many calls a window may have. It refuses nothing: it says when counts are told to others at once.
	Limit int64
	// Period is how long a window is that this call begins.
	Period Period
	// Lazy counts may reach other workers late (policies.md 2.6, "async").
	Lazy bool
}

// Count is the state of a window.
type Count struct {
	Calls int64
	Reset time.Time // the end of the window
}

// Key stands for the text that tells counters apart: so keys are of one length, and what is in them, such as addresses of
// clients, goes nowhere.
type Key [16]byte

// KeyOf returns the key for a text.
func KeyOf(text []byte) (k Key) {
	sum := sha256.Sum256(text)
	copy(k[:], sum[:])
	return k
}

// Unit is a unit of periods.
type Unit uint8

// Units. Those from Hours on are of the calendar, in the local time zone, where Calendar is set.
const (
	Milliseconds Unit = iota
	Seconds
	Minutes
	Hours
	Days
	Weeks
	Months
)

// Period is the length of windows.
type Period struct {
	N    int64
	Unit Unit
	// Calendar has days, weeks and months end at the same time of day as they began, and months on the same day, or the last
	// of a shorter month. Else a day has 24 hours and a month 30 days.
	Calendar bool
}

// After returns the end of a window that begins at from.
func (p Period) After(from time.Time) time.Time {
	if p.Calendar && p.Unit >= Days {
		return p.inCalendar(from)
	}
	return from.Add(p.Length())
}

// Length is how long a period is, where the calendar is not asked.
func (p Period) Length() time.Duration {
	units := [...]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
	return time.Duration(p.N) * units[p.Unit]
}

func (p Period) inCalendar(from time.Time) time.Time {
	n := int(p.N)
	switch p.Unit {
	case Days:
		return from.AddDate(0, 0, n)
	case Weeks:
		return from.AddDate(0, 0, 7*n)
	}
	year, month, day := from.Date()
	first := time.Date(year, month+time.Month(n), 1, from.Hour(), from.Minute(), from.Second(), from.Nanosecond(), from.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1)
}
