package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// result is what came of one attempt.
type result struct {
	at     time.Time
	took   time.Duration
	status int           // of the answer; 0: there was none
	after  time.Duration // Retry-After; 0: none
	err    error         // why there was no answer
	text   string        // why it failed, for people; empty: it did not
	bytes  int
}

// class says what a result means for the message, and for the delivery.
type class uint8

const (
	taken   class = iota // the receiver has it
	passing              // trying again may help
	refused              // the receiver does not want this message
	fatal                // the receiver does not want any
	cut                  // the delivery ended
)

// classify is the one place that decides what is tried again (spec 2.5). down says that the result shows the receiver, or the
// way to it, to be down.
func (s *result) classify() (c class, down bool) {
	var no *blocked
	var token *tokenFailure
	switch {
	case errors.Is(s.err, errCut):
		return cut, false
	case errors.As(s.err, &no): // the address, wherever it came from, must not be called
		return fatal, false
	case errors.As(s.err, &token):
		if token.refused { // credentials do not become right by themselves
			return fatal, false
		}
		return passing, true
	case s.err != nil: // connection, TLS, time: nobody knows how long
		return passing, true
	case s.status >= 200 && s.status < 300:
		return taken, false
	}
	switch s.status {
	case http.StatusUnauthorized, http.StatusGone: // for every message, not for this one
		return fatal, false
	case http.StatusRequestTimeout, http.StatusTooEarly: // the receiver asks to come again
		return passing, false
	case http.StatusTooManyRequests: // as do receivers that have too much to do
		return passing, true
	}
	if s.status >= http.StatusInternalServerError {
		return passing, true
	}
	return refused, false // other 4xx, and redirects, which are not followed
}

// explain fills text for a result that is not good.
func (s *result) explain(excerpt []byte) {
	switch {
	case s.err != nil:
		s.text = s.err.Error()
	case s.status >= 300 && s.status < 400:
		s.text = fmt.Sprintf("the receiver answers %d, and redirects are not followed; set callbackUrl to where it leads", s.status)
	case s.status < 200 || s.status >= 300:
		s.text = fmt.Sprintf("the receiver answers %d", s.status)
		if len(excerpt) > 0 {
			s.text += fmt.Sprintf(": %q", excerpt)
		}
	}
}

// failure is the end of the delivery because of a result; at names the receiver and the message.
func (s *result) failure(c class, at string) *message.Failure {
	cause := fmt.Errorf("%s: %s", at, s.text)
	var no *blocked
	var token *tokenFailure
	switch {
	case errors.As(s.err, &no):
		return &message.Failure{Status: http.StatusForbidden, Key: message.KeyWebhookRefused, Err: cause, Retry: no.resolved, Message: "Webhook callback url leads where webhooks must not go"}
	case errors.As(s.err, &token):
		return &message.Failure{Status: http.StatusInternalServerError, Key: message.KeyProcessingFailed, Err: cause, Retry: c == passing,
			Message: "No access token for the webhook callback"}
	case s.status == http.StatusUnauthorized:
		return &message.Failure{Status: s.status, Key: message.KeyWebhookUnauthorized, Err: cause, Message: "Webhook receiver refuses the credentials"}
	case s.status == http.StatusGone:
		return &message.Failure{Status: s.status, Key: message.KeyWebhookGone, Err: cause, Message: "Webhook receiver wants no more messages"}
	case c == refused:
		return &message.Failure{Status: http.StatusInternalServerError, Key: message.KeyProcessingFailed, Err: cause, Message: "Webhook receiver refuses a message"}
	}
	status := s.status
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	return &message.Failure{Status: status, Key: message.KeyWebhookUnreachable, Err: cause, Retry: true, Message: "Webhook callback url is unreachable"} // spec 2.5
}
