// Package config sets a process up: its logs and what it measures. Nothing here is global: what is made is passed on.
package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Keys of log records. They are fixed, since people search for them; whoever logs uses these and no others for these
// things: the data plane and the control plane spell them as literals, which slog has read at a glance.
const (
	KeyNode       = "node"       // the process
	KeyAPI        = "api"        // an API's id
	KeyRevision   = "revision"   // of a definition
	KeyEntrypoint = "entrypoint" // a connector's type
	KeyEndpoint   = "endpoint"   // an endpoint's name
	KeyErr        = "err"        // what went wrong
)

// Logger returns a logger that writes JSON, one record per line, from the given level ("debug", "info", "warn", "error") up.
func Logger(w io.Writer, level, node string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("log level %q: choose one of debug, info, warn, error", level)
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})).With(KeyNode, node), nil
}
