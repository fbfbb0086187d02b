package httpfront

import "github.com/sluice-gateway/sluice/qos/message"

// Framer writes messages as one entrypoint's clients see them. Both methods append to dst and return it.
type Framer interface {
	// AppendMessage frames a Data, Gap or Notice message.
	AppendMessage(dst []byte, m *message.Message) []byte
	// AppendEnd frames the end of the stream, which nothing follows: a GoAway (f nil) with its reason and the exact resume
	// point, empty where there is none, or the failure f.
	AppendEnd(dst []byte, f *message.Failure, reason message.Reason, cursor []byte) []byte
}

// SharedFramer is a Framer whose messages are the same for all clients of one form.
type SharedFramer interface {
	Framer
	// Form names the form: AppendMessage and all that it depends on. It is comparable.
	Form() any
}

// State is what a Fill found.
type State uint8

// States.
const (
	Idle   State = iota // nothing more now: the subscription will call Wake
	More                // there may be more than fitted
	Ended               // the endpoint has no more messages, ever
	Left                // a GoAway was framed
	Failed              // a failure was framed; see Failure
)
