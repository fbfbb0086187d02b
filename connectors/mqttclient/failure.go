package mqttclient

import (
	"errors"
	"fmt"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/connectors/tlsstore"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Statuses of failures. Connecting fails with 500 (spec 3.7); a publish says what the client should do next.
const (
	statusBadCursor = 400
	statusConflict  = 409 // somebody else has what we had
	statusTooLarge  = 413
	statusInvalid   = 500 // the definition or the broker's permissions must change
	statusRetry     = 503 // known not to be stored: send it again later
	statusUnknown   = 504 // may be stored
)

// Texts of spec 3.6 and 3.7.
const (
	textInvalid = "Endpoint configuration invalid"
	textFailed  = "Endpoint connection failed"
	// textDismissed is of our own: see member.quit.
	textDismissed = message.TextConnectionClosed +
		": messages come again that were in the hands of another connection of the client, reconnect to get them in order"
)

var (
	// errTimeout: the broker did not take or acknowledge a message in time.
	errTimeout = errors.New("no answer in time")
	// errRepeated: the connection broke every time that the message was sent.
	errRepeated = errors.New("the broker closes the connection whenever it gets this message")
	// errTooLarge: larger than the broker takes, as it said when we connected.
	errTooLarge = errors.New("larger than the broker takes")
	// errTextTooLong: a header or topic beyond what MQTT can express.
	errTextTooLong = errors.New("a header is longer than MQTT can send")
	// errNoQoS2: what the broker said it cannot when we connected.
	errNoQoS2 = errors.New("the broker takes no QoS 2 (producer.qos)")
	// errContested: the broker does not say so, but nothing else ends a connection like this (session.isContested).
	errContested = errors.New("the broker ends the session's connection and takes others")
	// errWeakGrant: the broker granted less than the level needs.
	errWeakGrant = errors.New("the broker grants no QoS 1, which this level needs")
	// errNoQoS1 and errNoRetain: what the broker said it cannot when we connected.
	errNoQoS1   = errors.New("the broker takes no QoS 1, which auto needs")
	errNoRetain = errors.New("the broker keeps no retained messages")
)

// refusal is a reason code by which the broker refuses something (MQTT 5, 2.4).
type refusal struct {
	packet string // what was refused: CONNECT, SUBSCRIBE, PUBLISH
	code   byte
	text   string // the broker's own words
}

func (r *refusal) Error() string {
	return fmt.Sprintf("broker refuses %s with reason 0x%02X %s", r.packet, r.code, r.text)
}

// isLasting tells whether a refusal of a connection is one that no retry changes.
func isLasting(err error) bool {
	var r *refusal
	var insecure *tlsstore.Refused
	if errors.As(err, &insecure) {
		return true
	}
	if !errors.As(err, &r) || r.packet != packetConnect {
		return false
	}
	switch r.code {
	case packets.ConnackUnsupportedProtocolVersion, packets.ConnackInvalidClientID, packets.ConnackBadUsernameOrPassword,
		packets.ConnackNotAuthorized, packets.ConnackBanned, packets.ConnackBadAuthenticationMethod,
		packets.ConnackUseAnotherServer, packets.ConnackServerMoved:
		return true
	}
	return false
}

// classify says what a failed publish to topic means. It is the one place that does. written: the whole packet went out at
// least once without a refusal, so that what failed later does not tell whether the broker has it.
func classify(topic string, err error, written bool) *message.Failure {
	is := func(status int, key, text string) *message.Failure {
		return &message.Failure{Status: status, Key: key, Message: text, Err: err}
	}
	var r *refusal
	refused := errors.As(err, &r)
	switch {
	case refused && r.packet == packetPublish: // a PUBACK is about this very packet
		return refusedPublish(topic, r, is)
	case errors.Is(err, errTooLarge), errors.Is(err, errTextTooLong):
		return is(statusTooLarge, message.KeyPublishFailed, "not stored: "+err.Error())
	case written:
		f := is(statusUnknown, message.KeyOutcomeUnknown, "topic "+topic+" may or may not have stored it")
		f.Unknown = true
		return f
	case errors.Is(err, errNoQoS1), errors.Is(err, errNoQoS2), errors.Is(err, errNoRetain):
		return is(statusInvalid, message.KeyConfigurationInvalid, textInvalid+": "+err.Error())
	case isLasting(err): // wrong password and the like (spec 3.7)
		return is(statusInvalid, message.KeyConnectionFailed, textFailed+": "+adviceOn(err))
	case errors.Is(err, supervise.ErrEnded):
		return is(statusRetry, message.KeyConnectionClosed, message.TextConnectionClosed)
	}
	return is(statusRetry, message.KeyConnectionFailed, textFailed+": not stored in topic "+topic)
}

// adviceOn is what a lasting refusal tells the definition's author.
func adviceOn(err error) string {
	var insecure *tlsstore.Refused
	if errors.As(err, &insecure) {
		return insecure.Check
	}
	return "the broker refuses us: check security.auth and the broker's access rules"
}

// isTakenOver: the broker gave our session to another connection with the same client id.
func isTakenOver(err error) bool {
	var r *refusal
	return errors.Is(err, errContested) || errors.As(err, &r) && r.packet == packetAny && r.code == packets.DisconnectSessionTakenOver
}

func refusedPublish(topic string, r *refusal, is func(int, string, string) *message.Failure) *message.Failure {
	switch r.code {
	case packets.PubackNotAuthorized:
		return is(statusInvalid, message.KeyConfigurationInvalid, textInvalid+": the broker denies access to topic "+topic)
	case packets.PubackTopicNameInvalid:
		return is(statusInvalid, message.KeyConfigurationInvalid, textInvalid+": the broker takes no topic "+topic)
	case packets.PubackQuotaExceeded, packets.PubackUnspecifiedError, packets.PubackImplementationSpecificError:
		return is(statusRetry, message.KeyPublishFailed, "not stored: topic "+topic+" refuses it for now")
	}
	return is(statusInvalid, message.KeyPublishFailed, "topic "+topic+" refuses it")
}

// subscribeFailure says what a failure to subscribe means (spec 3.7: whatever keeps us from connecting is a 500).
func subscribeFailure(err error) *message.Failure {
	var f *message.Failure
	var r *refusal
	switch {
	case errors.As(err, &f):
		return f
	case isTakenOver(err):
		return &message.Failure{Status: statusConflict, Key: message.KeyConnectionClosed, Err: err,
			Message: message.TextConnectionClosed + ": another connection with the same client identifier has taken the session over"}
	case errors.Is(err, errWeakGrant):
		return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Err: err, Message: textInvalid + ": " + err.Error()}
	case isLasting(err):
		return &message.Failure{Status: statusInvalid, Key: message.KeyConnectionFailed, Err: err, Message: textFailed + ": " + adviceOn(err)}
	case errors.As(err, &r) && r.packet == packetSubscribe:
		return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Err: err,
			Message: textInvalid + ": the broker refuses the subscription"}
	case errors.Is(err, supervise.ErrEnded):
		return &message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed, Err: err}
	}
	return &message.Failure{Status: statusInvalid, Key: message.KeyConnectionFailed, Message: textFailed, Err: err}
}

// misconfigured is a failure for the definition's author.
func misconfigured(text string) *message.Failure {
	return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: textInvalid + ": " + text}
}
