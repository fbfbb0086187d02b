package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
)

// ConfigError is a connection that cannot be tried as it is configured.
type ConfigError struct{ Message, Hint string }

func (e *ConfigError) Error() string { return e.Message }

// UnreachableError is a server that gave no answer.
type UnreachableError struct {
	Server  string
	Err     error
	Changed bool // the request may have been carried out
}

// Error says what the network said, without the request around it.
func (e *UnreachableError) Error() string {
	reason := e.Err.Error()
	var errno syscall.Errno
	if errors.As(e.Err, &errno) {
		reason = errno.Error()
	} else if i := strings.Index(reason, ": "); i > 0 && strings.Contains(reason[:i], `"`) {
		reason = reason[i+2:] // net/http puts the method and the URL first
	}
	return fmt.Sprintf("cannot reach %s: %s", e.Server, reason)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// TimeoutError is an answer that did not come in time.
type TimeoutError struct {
	Server  string
	Doing   string
	Changed bool // the request may have been carried out
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s did not answer in time (%s)", e.Server, e.Doing)
}

// ProtocolError is an answer that is not one of the management API.
type ProtocolError struct{ Err error }

func (e *ProtocolError) Error() string { return e.Err.Error() }
func (e *ProtocolError) Unwrap() error { return e.Err }

// Refusal is an answer of the management API that is no success (spec 8.2).
type Refusal struct {
	Status      int               `json:"http_status"`
	Message     string            `json:"message"`
	Code        string            `json:"technicalCode"`
	Parameters  map[string]string `json:"-"`
	Details     []Detail          `json:"details"`
	Server      string            `json:"-"`
	TokenSource string            `json:"-"`
}

// Detail is one problem of a refusal; Location points into the body that was sent.
type Detail struct {
	Location string `json:"location"`
	Message  string `json:"message"`
	Code     string `json:"technicalCode"`
	Severity string `json:"severity"`
}

func (e *Refusal) Error() string { return e.Message }

// IsStatus tells whether err is a refusal with one of the statuses.
func IsStatus(err error, statuses ...int) bool {
	var r *Refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, s := range statuses {
		if r.Status == s {
			return true
		}
	}
	return false
}

// refusal reads an error body in the 3.20 form, the 4.x form (httpStatus) or, from something in between such as a
// proxy, none of them.
func (c *Client) refusal(cl call, resp *http.Response, body []byte) error {
	var both struct {
		Refusal
		Parameters map[string]any `json:"parameters"`
		Title      string         `json:"title"`  // RFC 9457
		Detail     string         `json:"detail"` // RFC 9457
	}
	readable := json.Unmarshal(body, &both) == nil
	r := both.Refusal
	r.Status, r.Server, r.TokenSource = resp.StatusCode, c.cfg.Server, c.cfg.TokenSource
	for name, v := range both.Parameters {
		if r.Parameters == nil {
			r.Parameters = map[string]string{}
		}
		r.Parameters[name] = fmt.Sprint(v)
	}
	for _, text := range []string{both.Detail, both.Title} {
		if r.Message == "" {
			r.Message = text
		}
	}
	if r.Message == "" {
		r.Message = fmt.Sprintf("%s answered %s", verb(cl), resp.Status)
		if !readable || resp.StatusCode/100 == 3 {
			r.Message += "; is this a Sluice management API?"
		}
	}
	return &r
}
