package supervise

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// logEvery is how often a failure that repeats may be logged.
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

// Warn logs at most one line per 10 s, with how many were not written since the last.
func (l *LogLimit) Warn(log *slog.Logger, text string, pairs ...any) {
	l.Log(log, slog.LevelWarn, text, pairs...)
}

// Log is Warn at any level.
func (l *LogLimit) Log(log *slog.Logger, level slog.Level, text string, pairs ...any) {
	if l.Allow(time.Now()) {
		log.Log(context.Background(), level, text, append(pairs, "suppressed", l.Suppressed())...)
	}
}
