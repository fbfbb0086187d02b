package httpfront

import (
	"sync/atomic"
	"time"
)

// logEvery is how often one entrypoint may log a repeated failure.
const logEvery = 10 * time.Second

// LogLimit keeps a failure that repeats from filling the log. The zero value allows one at once.
type LogLimit struct {
	last    atomic.Int64 // Unix nanoseconds of the last line allowed
	skipped atomic.Int64
}

// Allow tells whether a line may be written now.
func (l *LogLimit) Allow(now time.Time) bool {
	last := l.last.Load()
	if now.UnixNano()-last < int64(logEvery) || !l.last.CompareAndSwap(last, now.UnixNano()) {
		l.skipped.Add(1)
		return false
	}
	return true
}

// Suppressed returns how many lines were not written since it was last asked.
func (l *LogLimit) Suppressed() int64 { return l.skipped.Swap(0) }
