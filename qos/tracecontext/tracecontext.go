// Package tracecontext reads and writes the W3C trace context (https://www.w3.org/TR/trace-context/) as it travels in HTTP
// and record headers. It allocates nothing except for a tracestate. The propagator of OpenTelemetry does the same by way of
// strings and maps, which is too much for something done with every message.
package tracecontext

import (
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
)

// Names of the headers, as they are written. HTTP compares them without case.
const (
	Parent = "traceparent"
	State  = "tracestate"
)

// IsHeader tells whether name is that of a header of the trace context, compared without case.
func IsHeader(name string) bool { return equalFold(name, Parent) || equalFold(name, State) }

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

// Size is how long a traceparent of version 00 is, in bytes: version, trace id, parent id and flags, with dashes between.
const Size = 2 + 1 + 32 + 1 + 16 + 1 + 2

// known are the flags that have a meaning; the standard asks for zeros in place of the others.
const known = trace.FlagsSampled | trace.FlagsRandom

// Parse reads a traceparent; false where it is malformed. One of a later version is read as if it were 00, as the standard
// asks for.
func Parse(parent []byte) (trace.SpanContext, bool) {
	if len(parent) < Size || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return trace.SpanContext{}, false
	}
	var version, flags [1]byte
	c := trace.SpanContextConfig{Remote: true}
	if !decode(version[:], parent[:2]) || !decode(c.TraceID[:], parent[3:35]) || !decode(c.SpanID[:], parent[36:52]) ||
		!decode(flags[:], parent[53:Size]) {
		return trace.SpanContext{}, false
	}
	more := len(parent) > Size
	if version[0] == 0xff || more && (version[0] == 0 || parent[Size] != '-') {
		return trace.SpanContext{}, false
	}
	c.TraceFlags = trace.TraceFlags(flags[0]) & known
	span := trace.NewSpanContext(c)
	return span, span.IsValid()
}

// WithState adds what a tracestate says to span. A malformed one is dropped: it must not cost the trace.
func WithState(span trace.SpanContext, state []byte) trace.SpanContext {
	if len(state) == 0 {
		return span
	}
	s, err := trace.ParseTraceState(string(state))
	if err != nil {
		return span
	}
	return span.WithTraceState(s)
}

// Append appends the traceparent of span, in version 00.
func Append(dst []byte, span trace.SpanContext) []byte {
	traceID, spanID, flags := span.TraceID(), span.SpanID(), [1]byte{byte(span.TraceFlags() & known)}
	dst = hex.AppendEncode(append(dst, "00-"...), traceID[:])
	dst = hex.AppendEncode(append(dst, '-'), spanID[:])
	return hex.AppendEncode(append(dst, '-'), flags[:])
}

// decode reads lower-case hexadecimal digits, two for each byte of dst. encoding/hex takes capitals too, which the standard
// forbids.
func decode(dst, digits []byte) bool {
	for i := range dst {
		high, low := digit(digits[2*i]), digit(digits[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digit is the value of a hexadecimal digit; over 15: it is none.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
