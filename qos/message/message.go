// Package message is the one currency of the data path: what entrypoints, policies and endpoints hand to each other.
// It says who owns the bytes. It does no I/O and starts no goroutine.
package message

import "errors"

// Kind tells data from the few things that travel in the same order as data.
type Kind uint8

// Kinds. Everything but Data is made by Sluice, never by a broker.
const (
	Data   Kind = iota
	Gap         // messages were lost to this subscriber and it must be told; Content says how many and why
	Notice      // something happened to the endpoint and the stream goes on; Content says what
	GoAway      // the stream ends because the API stops (spec 2.0 stop protocol); the client should reconnect
)

// Reason says why a GoAway was sent.
type Reason uint8

// Reasons of a GoAway.
const (
	ReasonStop     Reason = iota // the API or its worker stops: another worker may serve it, now or later
	ReasonRedeploy               // a new revision of the API serves already: reconnecting at once is right
)

// ErrRedeploy is the cause (context.Cause) of a context that ends because a new revision of the API took over. A context
// that ends for any other cause means ReasonStop.
var ErrRedeploy = errors.New("a new revision of the API took over")

// Message is one message.
//
// Subscribe side: a Message handed out by a Subscription is a view of memory that all subscribers share. It is
// immutable for ever; whoever wants to change it makes a copy. It may be kept as long as wished: the garbage
// collector ends it.
//
// Publish side: a Message comes from Get, has one owner at a time, and goes back by Release exactly once, after Done.
// Publishing hands ownership to the endpoint until Done is called. An endpoint that knows where the message was stored says so
// in Topic, Partition and Offset before it calls Done(nil); where Topic is empty, nobody knows.
type Message struct {
	Kind      Kind
	Reason    Reason // of a GoAway
	Partition int32
	Offset    int64
	Timestamp int64  // Unix milliseconds; 0: unknown
	ID        []byte // the resume point after this message, as clients see it; nil: none here (DESIGN section 5, Cursor)
	Topic     string
	Key       []byte // nil: none
	Content   []byte // nil: absent (a Kafka tombstone), empty: present and empty
	Headers   []Header
	Origin    Origin // describes the message's metadata; nil: it has none

	Attributes map[string]any // policy scratch space, invisible to clients; publish side only

	ack Ack
	buf []byte // backing of the copied bytes, kept by the pool
}

// Header is one header field. Names may repeat; order is kept.
type Header struct {
	Name  string
	Value []byte
}

// Field is one metadata entry: an integer where IsInt, else text (spec 3.4).
type Field struct {
	Name  string
	Text  string
	Int   int64
	IsInt bool
}

// Origin tells the metadata of the messages of one connector. One value serves all its messages, so that a message
// carries no map.
type Origin interface {
	// AppendMetadata appends m's metadata to dst, in a stable order, and returns it. Called from any goroutine.
	AppendMetadata(dst []Field, m *Message) []Field
}

// Ack learns what became of a published message.
type Ack interface {
	// Acked is called exactly once per message, from any goroutine, and must not block. err nil: the broker has it
	// as the level promises; where the endpoint knows at which one place it lies, m has its Topic, Partition and Offset, else
	// Topic is empty. The message may be released once this returns; the callee owns it from here.
	Acked(m *Message, err error)
}

// SetAck names who is told what became of m.
func (m *Message) SetAck(a Ack) { m.ack = a }

// Ack returns who is told; nil where nobody is. A policy that replaces a message moves this to the new one.
func (m *Message) Ack() Ack { return m.ack }

// Done tells the publisher what became of m. The endpoint calls it exactly once and does not touch m afterwards.
func (m *Message) Done(err error) {
	if m.ack != nil {
		m.ack.Acked(m, err)
	}
}

// Metadata appends the message's metadata to dst.
func (m *Message) Metadata(dst []Field) []Field {
	if m.Origin == nil {
		return dst
	}
	return m.Origin.AppendMetadata(dst, m)
}

// Header returns the first value of the named header, compared without case, and whether there is one.
func (m *Message) Header(name string) ([]byte, bool) {
	for i := range m.Headers {
		if equalFold(m.Headers[i].Name, name) {
			return m.Headers[i].Value, true
		}
	}
	return nil, false
}

// Size is what m costs in memory, in bytes, as the bounds of queues count it.
func (m *Message) Size() int {
	const perMessage, perHeader = 160, 40 // sizeof(Message) and sizeof(Header), rounded up
	n := perMessage + len(m.Key) + len(m.Content) + len(m.ID)
	for i := range m.Headers {
		n += perHeader + len(m.Headers[i].Name) + len(m.Headers[i].Value)
	}
	return n
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
