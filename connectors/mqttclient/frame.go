package mqttclient

import (
	"encoding/hex"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

// A PUBLISH is encoded here and not by paho's packets, which takes a dozen allocations and cuts what is too long in
// silence. Tests hold it against paho's decoder.

// maxRemaining bounds a packet after its fixed header, in bytes (MQTT 5, 1.5.5).
const maxRemaining = 268_435_455

// outgoing is what one PUBLISH says.
type outgoing struct {
	topic, responseTopic string
	qos                  byte
	retain               bool
	expiry               uint32
	contentType          []byte
	headers              []message.Header
	span                 trace.SpanContext
	payload              []byte
}

// appendBody appends what of the packet does not depend on the connection: the properties, of which it returns the length,
// and the payload.
func (o *outgoing) appendBody(dst []byte, v Version) (body []byte, props int, err error) {
	ok := true
	if v == V5 {
		dst, ok = o.appendProperties(dst)
		props = len(dst)
	}
	if !ok || len(o.topic) > maxText {
		return dst, props, errTextTooLong
	}
	if len(o.topic)+len(dst)+len(o.payload)+frameExtra > maxRemaining {
		return dst, props, errTooLarge
	}
	return append(dst, o.payload...), props, nil
}

// frameExtra is what a packet may have beside its topic, properties and payload: two lengths, the identifier, the alias.
const frameExtra = 2 + 4 + 2 + aliasBytes

// aliasBytes is what a topic alias takes among the properties.
const aliasBytes = 3

// remaining is the length of the packet behind its fixed header, without an alias.
func (n *pending) remaining(v Version, topic int) int {
	size := 2 + topic + len(n.body)
	if n.qos > 0 {
		size += 2
	}
	if v == V5 {
		size += intLen(n.props)
	}
	return size
}

// length is that of the whole packet.
func (n *pending) length(v Version) int {
	remaining := n.remaining(v, len(n.topic))
	return 1 + intLen(remaining) + remaining
}

// appendFrame appends the packet. alias stands for the topic, where it is not 0; known: the broker knows that.
func (n *pending) appendFrame(dst []byte, v Version, alias uint16, known bool) []byte {
	topic, props := n.topic, n.props
	if known {
		topic = ""
	}
	remaining := n.remaining(v, len(topic))
	if alias != 0 {
		props += aliasBytes
		remaining += aliasBytes + intLen(props) - intLen(n.props)
	}
	first := packets.PUBLISH<<4 | n.qos<<1
	if n.retain {
		first |= 1
	}
	dst = appendInt(append(dst, first), remaining)
	dst = append(dst, byte(len(topic)>>8), byte(len(topic)))
	dst = append(dst, topic...)
	if n.qos > 0 {
		dst = append(dst, byte(n.id>>8), byte(n.id))
	}
	if v == V5 {
		dst = appendInt(dst, props)
	}
	if alias != 0 {
		dst = append(dst, packets.PropTopicAlias, byte(alias>>8), byte(alias))
	}
	return append(dst, n.body...)
}

func (o *outgoing) appendProperties(dst []byte) ([]byte, bool) {
	ok := true
	if o.expiry != noExpiry {
		dst = append(dst, packets.PropMessageExpiry, byte(o.expiry>>24), byte(o.expiry>>16), byte(o.expiry>>8), byte(o.expiry))
	}
	if len(o.contentType) > 0 {
		dst = appendText(append(dst, packets.PropContentType), o.contentType, &ok)
	}
	if o.responseTopic != "" {
		dst = appendText(append(dst, packets.PropResponseTopic), o.responseTopic, &ok)
	}
	traced := o.span.IsValid()
	for i := range o.headers {
		h := &o.headers[i]
		if traced && tracecontext.IsHeader(h.Name) {
			continue // the worker's span is this message's parent now
		}
		dst = appendText(append(dst, packets.PropUser), h.Name, &ok)
		dst = appendText(dst, h.Value, &ok)
	}
	if traced {
		dst = appendTrace(dst, o.span, &ok)
	}
	return dst, ok
}

// W3C trace context names (https://www.w3.org/TR/trace-context/).
const (
	nameTraceParent = "traceparent"
	nameTraceState  = "tracestate"
)

// appendTrace appends the trace context as user properties: version 00, trace id, parent id, flags.
func appendTrace(dst []byte, span trace.SpanContext, ok *bool) []byte {
	traceID, spanID := span.TraceID(), span.SpanID()
	flags := [1]byte{byte(span.TraceFlags())}
	var text [55]byte
	b := append(text[:0], "00-"...)
	b = hex.AppendEncode(b, traceID[:])
	b = hex.AppendEncode(append(b, '-'), spanID[:])
	b = hex.AppendEncode(append(b, '-'), flags[:])
	dst = appendText(append(dst, packets.PropUser), nameTraceParent, ok)
	dst = appendText(dst, b, ok)
	if state := span.TraceState(); state.Len() > 0 {
		dst = appendText(append(dst, packets.PropUser), nameTraceState, ok)
		dst = appendText(dst, state.String(), ok)
	}
	return dst
}

// appendText appends an MQTT text, made clean; ok becomes false where it is too long.
func appendText[T string | []byte](dst []byte, s T, ok *bool) []byte {
	at := len(dst)
	dst = append(dst, 0, 0)
	if isPlain(s) {
		dst = append(dst, s...)
	} else {
		dst = appendClean(dst, string(s))
	}
	n := len(dst) - at - 2
	if n > maxText {
		*ok = false
	}
	dst[at], dst[at+1] = byte(n>>8), byte(n)
	return dst
}

// isPlain tells whether s is printable ASCII, as nearly everything is.
func isPlain[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// clean makes s a text that brokers take. They close the connection, and so fail other clients' messages, for what MQTT
// forbids or advises against (MQTT 5, 1.5.4): bytes that are no UTF-8 are read as Latin-1, which HTTP headers may be;
// control characters and non-characters become U+FFFD, a tab a space.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	return string(appendClean(nil, s))
}

func appendClean(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = rune(s[i])
		}
		i += n
		switch {
		case r == '\t':
			r = ' '
		case r < 0x20, r >= 0x7f && r <= 0x9f, r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// appendInt appends a variable byte integer (MQTT 5, 1.5.5).
func appendInt(dst []byte, n int) []byte {
	for n > 127 {
		dst = append(dst, byte(n)|128)
		n >>= 7
	}
	return append(dst, byte(n))
}

func intLen(n int) int {
	size := 1
	for ; n > 127; n >>= 7 {
		size++
	}
	return size
}
