package message

import "fmt"

// Failure is an error that a client is told of: a status, a stable key (spec 5.8, 5.9) and a text. It travels from
// endpoints and policies to the entrypoint, which renders it in its own way (spec 2.9, 5.7).
type Failure struct {
	Status  int    // HTTP status
	Key     string // stable; empty: none
	Message string // for the client
	Err     error  // the cause, for logs; nil: none
	// Parameters are what response templates may show beside Message (spec 5.7); nil: none.
	Parameters map[string]any
	// Unknown says that a publish may or may not have been stored: the broker's answer did not come in time.
	Unknown bool
	// Retry says, of the end of a push delivery, that trying again later could help (connectors.Dispatcher).
	Retry bool
	// Shown is how a stream shows the failure where a response template of the API says so; nil: by Message.
	Shown *Shown
}

// Shown is a failure as a response template renders it for a stream (spec 2.9).
type Shown struct {
	Status      int
	Content     []byte
	ContentType string
	Headers     []Header
}

// Error renders the failure for logs.
func (f *Failure) Error() string {
	switch {
	case f.Err != nil && f.Key != "":
		return fmt.Sprintf("%s (%s): %v", f.Message, f.Key, f.Err)
	case f.Err != nil:
		return fmt.Sprintf("%s: %v", f.Message, f.Err)
	case f.Key != "":
		return fmt.Sprintf("%s (%s)", f.Message, f.Key)
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Failure keys (spec 3.6, 5.8, 5.9). They never change meaning.
const (
	KeyConnectionFailed     = "FAILURE_ENDPOINT_CONNECTION_FAILED"
	KeyConnectionClosed     = "FAILURE_ENDPOINT_CONNECTION_CLOSED"
	KeyConfigurationInvalid = "FAILURE_ENDPOINT_CONFIGURATION_INVALID"
	KeyUnknownError         = "FAILURE_ENDPOINT_UNKNOWN_ERROR"
	KeyPublishFailed        = "FAILURE_ENDPOINT_PUBLISH_FAILED"
	KeyOutcomeUnknown       = "FAILURE_ENDPOINT_PUBLISH_OUTCOME_UNKNOWN" // ours: sent, but not answered in time
	KeyBufferFull           = "FAILURE_ENDPOINT_BUFFER_FULL"             // ours: the bounded producer buffer is full, not stored
	KeyNoEndpoint           = "NO_ENDPOINT_FOUND"
	KeyPlanUnresolvable     = "GATEWAY_PLAN_UNRESOLVABLE"
	KeyRequestTimeout       = "REQUEST_TIMEOUT"
	KeyIncompatibleQoS      = "INCOMPATIBLE_QOS"
	KeyInvalidCursor        = "INVALID_CURSOR"           // ours: malformed, foreign or impossible resume point
	KeyClientActive         = "CLIENT_IDENTIFIER_IN_USE" // ours: the client's positions are in the hands of another connection of it
	KeyGoAway               = "goaway"
	KeyProcessingFailed     = "MESSAGE_PROCESSING_FAILED"
	KeyWebhookUnreachable   = "WEBHOOK_UNREACHABLE"
	KeyWebhookUnauthorized  = "WEBHOOK_UNAUTHORIZED"    // ours: the receiver answers 401
	KeyWebhookGone          = "WEBHOOK_GONE"            // ours: the receiver answers 410
	KeyWebhookRefused       = "WEBHOOK_ADDRESS_REFUSED" // ours: callbacks must not go to this address
)

// UserValue is the key under which an entrypoint leaves the failure that it answered a request with, as a user value of fasthttp's
// context, for the response templates of the API (spec 5.7).
const UserValue = "sluice.failure"

// StoppingText is what clients of a stopping API are told (spec 2.0).
const StoppingText = "Stopping, please reconnect"
