package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
)

// Exit codes. Scripts rely on them; they never change meaning.
const (
	ExitOK           = 0
	ExitRefused      = 1   // a definition has problems, or the server refused what was asked
	ExitUsage        = 2   // unknown command, flag or value; something missing on the command line
	ExitUnreachable  = 3   // no connection to the server, or not to one that is a management API
	ExitUnauthorised = 4   // no token, a wrong one, or one without the right
	ExitTimeout      = 5   // the server, or a worker that was waited for, did not answer in time
	ExitNotFound     = 6   // no API, plan or worker of that name
	ExitServer       = 7   // the server failed (5xx)
	ExitInterrupted  = 130 // Ctrl-C, as shells say it
)

const exitHelp = `Exit codes: 0 done; 1 a definition has problems or the server refused; 2 wrong usage; 3 cannot reach the server;
4 not authorised; 5 timed out; 6 not found; 7 the server failed; 130 interrupted.`

// exit is an error that knows its exit code.
type exit struct {
	code int
	err  error
	hint string // what to do about it
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func usage(message string) error { return &exit{code: ExitUsage, err: errors.New(message)} }

// ExitCode is the exit code of what a command returned.
func ExitCode(err error) int {
	var (
		own     *exit
		problem *problemsError
		config  *rest.ConfigError
		down    *rest.UnreachableError
		late    *rest.TimeoutError
		odd     *rest.ProtocolError
		refusal *rest.Refusal
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &problem):
		return ExitRefused
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &config):
		return ExitUsage
	case errors.As(err, &down), errors.As(err, &odd):
		return ExitUnreachable
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	case errors.As(err, &refusal):
		return exitOfStatus(refusal.Status)
	}
	return ExitRefused
}

func exitOfStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ExitUnauthorised
	case status == http.StatusNotFound:
		return ExitNotFound
	case status == http.StatusGatewayTimeout || status == http.StatusRequestTimeout:
		return ExitTimeout
	case status >= 500:
		return ExitServer
	}
	return ExitRefused
}
