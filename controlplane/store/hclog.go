package store

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// logger gives raft's log lines to slog. hclog's trace level is dropped; its names become the attribute "raft".
type logger struct {
	to   *slog.Logger
	name string
	args []any
}

func newLogger(to *slog.Logger) hclog.Logger { return &logger{to: to.With("component", "raft")} }

func (l *logger) emit(level slog.Level, msg string, args []any) {
	l.to.Log(context.Background(), level, msg, args...) //nolint:contextcheck // hclog has none
}

func (l *logger) Log(level hclog.Level, msg string, args ...any) {
	switch level {
	case hclog.Debug:
		l.Debug(msg, args...)
	case hclog.Info:
		l.Info(msg, args...)
	case hclog.Warn:
		l.Warn(msg, args...)
	case hclog.Error:
		l.Error(msg, args...)
	case hclog.NoLevel, hclog.Trace, hclog.Off:
	}
}

func (l *logger) Trace(string, ...any)           {}
func (l *logger) Debug(msg string, args ...any)  { l.emit(slog.LevelDebug, msg, args) }
func (l *logger) Info(msg string, args ...any)   { l.emit(slog.LevelInfo, msg, args) }
func (l *logger) Warn(msg string, args ...any)   { l.emit(slog.LevelWarn, msg, args) }
func (l *logger) Error(msg string, args ...any)  { l.emit(slog.LevelError, msg, args) }
func (l *logger) IsTrace() bool                  { return false }
func (l *logger) IsDebug() bool                  { return l.enabled(slog.LevelDebug) }
func (l *logger) IsInfo() bool                   { return l.enabled(slog.LevelInfo) }
func (l *logger) IsWarn() bool                   { return l.enabled(slog.LevelWarn) }
func (l *logger) IsError() bool                  { return l.enabled(slog.LevelError) }
func (l *logger) ImpliedArgs() []any             { return l.args }
func (l *logger) Name() string                   { return l.name }
func (l *logger) SetLevel(hclog.Level)           {} // slog's handler decides
func (l *logger) GetLevel() hclog.Level          { return hclog.Debug }
func (l *logger) enabled(level slog.Level) bool  { return l.to.Enabled(context.Background(), level) }
func (l *logger) Named(name string) hclog.Logger { return l.ResetNamed(l.name + name) }

func (l *logger) With(args ...any) hclog.Logger {
	return &logger{to: l.to.With(args...), name: l.name, args: append(l.args[:len(l.args):len(l.args)], args...)}
}

func (l *logger) ResetNamed(name string) hclog.Logger {
	return &logger{to: l.to.With("part", name), name: name, args: l.args}
}

func (l *logger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

func (l *logger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return lineWriter{l} }

// lineWriter logs what is written, a line at a time.
type lineWriter struct{ l *logger }

func (w lineWriter) Write(b []byte) (int, error) {
	w.l.Info(string(bytes.TrimSpace(b)))
	return len(b), nil
}

var _ hclog.Logger = (*logger)(nil)
