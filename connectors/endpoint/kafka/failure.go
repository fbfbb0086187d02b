package kafka

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka/security"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Statuses of failures. Streams fail with 500 (spec 3.6); a publish says what the client should do next.
const (
	statusBadCursor = 400
	statusTaken     = 409 // somebody else has what this one wants
	statusTooLarge  = 413
	statusInvalid   = 500 // the definition or the cluster's permissions must change
	statusRetry     = 503 // known not to be stored: send it again later
	statusUnknown   = 504 // may be stored
)

// Texts of spec 3.6.
const (
	textInvalid = "Endpoint configuration invalid"
	textFailed  = "Endpoint connection failed"
	textUnknown = "Endpoint unknown error"
)

// classify says what a failed publish to topic means. It is the one place that does. sent: a produce request went out since
// the record was handed over, perhaps with it. What is not known to be refused may be stored: then sending it again may
// store it twice, and only the client can tell whether that matters.
func classify(topic string, err error, sent bool) *message.Failure {
	f := &message.Failure{Status: statusUnknown, Key: message.KeyOutcomeUnknown, Unknown: true, Err: err,
		Message: "topic " + topic + " may or may not have stored it"}
	refused := func(status int, key, text string) {
		f.Status, f.Key, f.Message, f.Unknown = status, key, text, false
	}
	switch {
	// The leader has it, not yet the others.
	case errors.Is(err, kerr.NotEnoughReplicasAfterAppend), errors.Is(err, kerr.RequestTimedOut):

	// No way in. What went out before over an older connection may be stored.
	case !sent && isRefused(err):
		refused(statusInvalid, message.KeyConfigurationInvalid, invalid(err))

	// Given up after ProduceTimeout, or at the end of Run, whatever was known. A retriable error is that of the last try only.
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, kgo.ErrClientClosed),
		errors.Is(err, kgo.ErrAborting), isConnection(err), kerr.IsRetriable(err) && !isMissing(err):
		if !sent {
			refused(statusRetry, message.KeyConnectionFailed, textFailed+": not stored in topic "+topic)
		}

	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		refused(statusTooLarge, message.KeyPublishFailed, "larger than topic "+topic+" takes")

	// The topic does not exist and the broker does not make it, or it was deleted.
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID),
		errors.Is(err, kerr.InvalidTopicException):
		refused(statusInvalid, message.KeyConfigurationInvalid, textInvalid+": topic "+topic+" does not exist")

	case !isRefused(err) && isDenied(err):
		refused(statusInvalid, message.KeyConfigurationInvalid, textInvalid+": the broker denies access to topic "+topic)

	// The broker's own rules, or a record that it will never take: not for trying again, but not ours to change.
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.PolicyViolation),
		errors.Is(err, kerr.UnsupportedCompressionType), errors.Is(err, kerr.InvalidRequiredAcks):
		refused(statusInvalid, message.KeyPublishFailed, "topic "+topic+" refuses it")
	}
	return f
}

// closedFailure is that of an ended subscription.
func closedFailure(err error) *message.Failure {
	return &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed, Err: err}
}

// subscribeFailure says what a failed look-up, while a subscription starts, means.
func subscribeFailure(err error) *message.Failure {
	var f *message.Failure
	switch {
	case errors.As(err, &f):
		return f
	case isDenied(err):
		return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: invalid(err), Err: err}
	case errors.Is(err, supervise.ErrEnded):
		return closedFailure(err)
	}
	return &message.Failure{Status: statusRetry, Key: message.KeyConnectionFailed, Message: textFailed, Err: err}
}

// invalid is the text of a refusal, with what to check where that is known.
func invalid(err error) string {
	if advice, ok := security.Advice(err); ok {
		return textInvalid + ": " + advice
	}
	return textInvalid
}

// isRefused: TLS or SASL came to no end, so that nothing was asked of the broker.
func isRefused(err error) bool {
	_, refused := security.Advice(err)
	return refused
}

// isDenied: authentication and authorization, which no retry changes.
func isDenied(err error) bool {
	if isRefused(err) {
		return true
	}
	for _, denied := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed,
	} {
		if errors.Is(err, denied) {
			return true
		}
	}
	return false
}

// isConnection: no broker was reached, or it went away.
func isConnection(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}
