package mqtt5

import (
	"encoding/hex"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/message"
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

// appendPublish appends the packet to dst. id is where in it the packet identifier belongs, under QoS 1. props is memory
// to build the properties in, returned grown.
func appendPublish(dst, props []byte, o *outgoing) (frame, scratch []byte, id int, err error) {
	props, ok := o.appendProperties(props[:0])
	if !ok || len(o.topic) > maxText {
		return dst, props, 0, errTextTooLong
	}
	idLen := 0
	if o.qos > 0 {
		idLen = 2
	}
	remaining := 2 + len(o.topic) + idLen + intLen(len(props)) + len(props) + len(o.payload)
	if remaining > maxRemaining {
		return dst, props, 0, errTooLarge
	}
	first := packets.PUBLISH<<4 | o.qos<<1
	if o.retain {
		first |= 1
	}
	dst = appendInt(append(dst, first), remaining)
	dst = append(dst, byte(len(o.topic)>>8), byte(len(o.topic)))
	dst = append(dst, o.topic...)
	id = len(dst)
	if o.qos > 0 {
		dst = append(dst, 0, 0)
	}
	dst = append(appendInt(dst, len(props)), props...)
	return append(dst, o.payload...), props, id, nil
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
		if traced && isTraceHeader(h.Name) {
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

func isTraceHeader(name string) bool {
	return equalFold(name, nameTraceParent) || equalFold(name, nameTraceState)
}

// equalFold compares with an ASCII lower-case name.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
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
