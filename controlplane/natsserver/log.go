package natsserver

import (
	"fmt"
	"log/slog"
	"sync"
)

// logger takes the server's log lines into slog. NATS's notices are of no interest to who runs Sluice: debug.
type logger struct {
	log *slog.Logger

	mu sync.Mutex
	// guards the following
	fatal error
}

// failure is the first fatal line: the server ends a process of its own there, Sluice fails to start.
func (l *logger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = fmt.Errorf(format, v...)
	}
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(string, ...any)           {}
