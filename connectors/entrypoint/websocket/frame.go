package websocket

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/qos/message"
)

// opcode is the kind of a frame (RFC 6455 section 5.2).
type opcode byte

const (
	opContinuation opcode = 0
	opText         opcode = 1
	opBinary       opcode = 2
	opClose        opcode = 8
	opPing         opcode = 9
	opPong         opcode = 10
)

// Close codes (RFC 6455 section 7.4.1 and the IANA registry).
const (
	codeNormal      = 1000
	codeProtocol    = 1002
	codeUnsupported = 1003
	codeNoStatus    = 1005 // never sent: a close frame without a code
	codeAbnormal    = 1006 // never sent: no close frame at all
	codeInvalidData = 1007
	codePolicy      = 1008
	codeTooBig      = 1009
	codeServerError = 1011
	codeRestart     = 1012
	codeTryAgain    = 1013
)

// Stable codes of error frames (sluice.v1). Failures of an endpoint have codes of their own (message.Failure).
const (
	keyInvalidFrame = "INVALID_FRAME"      // not the JSON that it should be
	keyViolation    = "PROTOCOL_VIOLATION" // against a rule of WebSocket or of sluice.v1
	keyTooBig       = "FRAME_TOO_BIG"
	keyServerError  = "SERVER_ERROR"
	keyNotPublisher = "PUBLISHER_DISABLED" // of a refused publish
)

// faultKey is the stable code of a closing that has none of its own.
func (c *closing) faultKey() string {
	switch {
	case c.key != "":
		return c.key
	case c.code == codeInvalidData:
		return keyInvalidFrame
	case c.code == codeTooBig:
		return keyTooBig
	case c.fault:
		return keyViolation
	}
	return keyServerError
}

// detail is the text of an error frame.
func (c *closing) detail() string {
	if c.text != "" {
		return c.text
	}
	return c.reason
}

// Parts of a frame header (RFC 6455 section 5.2).
const (
	finBit       = 0x80
	maskBit      = 0x80
	reservedBits = 0x30 // RSV2 and RSV3; no extension gives them a meaning
	deflatedBit  = 0x40 // RSV1: the message is compressed (RFC 7692 section 6)
	lengthBits   = 0x7f
	payload16    = 126 // the length follows in 2 bytes
	payload64    = 127 // in 8
	maxControl   = 125 // bytes of a control frame's payload (section 5.5)
)

// How kinds of message that raw frames cannot carry are told.
const (
	contentType  = "Content-Type"
	octetStream  = "application/octet-stream"
	gapPrefix    = "gap "
	noticePrefix = "notice "
)

// Reasons that go with the close codes (spec 2.4).
const (
	reasonBye     = "Bye"
	reasonError   = "Server error"
	reasonRestart = "Service Restart"
	reasonTry     = "Try Again Later"
)

// closing is how a connection ends.
type closing struct {
	code   int
	reason string
	key    string // stable code of an error frame (sluice.v1); empty: see faultKey
	text   string // of an error frame; empty: the reason
	err    error  // for the log; nil: nothing went wrong
	fault  bool   // the client broke the protocol
}

// Error makes a closing what reading a bad frame returns.
func (c *closing) Error() string { return c.reason }

// appendHeader appends the header of an unfragmented, unmasked frame: a server's frames are the same for all clients.
func appendHeader(dst []byte, op opcode, size int) []byte {
	dst = append(dst, finBit|byte(op))
	switch {
	case size < payload16:
		return append(dst, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, payload16), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, payload64), uint64(size))
}

// isBinary tells how a message is framed: as it says itself, else by what it holds.
func isBinary(m *message.Message) bool {
	if len(m.Headers) > 0 {
		if v, ok := m.Header(contentType); ok && string(v) == octetStream {
			return true
		}
	}
	return !utf8.Valid(m.Content)
}

// appendControl appends a control frame with as much of the payload as it can carry.
func appendControl[T string | []byte](dst []byte, op opcode, prefix string, payload T) []byte {
	if room := maxControl - len(prefix); len(payload) > room {
		payload = payload[:room]
	}
	dst = appendHeader(dst, op, len(prefix)+len(payload))
	dst = append(dst, prefix...)
	return append(dst, payload...)
}

// maxReason bounds the reason in a close frame, in bytes: a control frame less the code (RFC 6455 section 5.5.1).
const maxReason = maxControl - 2

// appendClose appends a close frame; codeNoStatus means one without a code. What does not fit of the reason is left out, at the
// end of a character, since it must be UTF-8.
func appendClose(dst []byte, code int, reason string) []byte {
	if code == codeNoStatus {
		return appendHeader(dst, opClose, 0)
	}
	reason = reason[:runeEnd(reason, maxReason)]
	dst = appendHeader(dst, opClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// parseClose reads the payload of a client's close frame and returns the answer to it: the same code, or 1002 or 1007 for
// one that breaks the protocol (RFC 6455 sections 5.5.1, 7.4).
func parseClose(payload []byte) closing {
	switch {
	case len(payload) == 0:
		return closing{code: codeNoStatus}
	case len(payload) == 1:
		return closing{code: codeProtocol}
	}
	code := int(binary.BigEndian.Uint16(payload))
	switch {
	case !validCode(code):
		return closing{code: codeProtocol}
	case !utf8.Valid(payload[2:]):
		return closing{code: codeInvalidData}
	}
	return closing{code: code}
}

// validCode tells whether a close code may stand in a frame: registered ones that are not reserved for local use, and those
// of libraries and applications (RFC 6455 section 7.4.2).
func validCode(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != codeNoStatus && code != codeAbnormal
	}
	return false
}

// unmask applies the client's mask; at is how many bytes of the frame came before b.
func unmask(b []byte, mask [4]byte, at int) {
	for ; len(b) > 0 && at&3 != 0; at++ {
		b[0] ^= mask[at&3]
		b = b[1:]
	}
	word := binary.NativeEndian.Uint32(mask[:])
	wide := uint64(word)<<32 | uint64(word)
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(b, binary.NativeEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// validText tells how far text, which may still grow, is known to be UTF-8: the bytes from the result on are the beginning of a
// character. It is false as soon as no continuation could make it valid.
func validText(text []byte, from int) (int, bool) {
	rest := text[from:]
	if end := lastStart(rest); utf8.Valid(rest[:end]) {
		rest = rest[end:]
		if len(rest) == 0 || !utf8.FullRune(rest) {
			return len(text) - len(rest), true
		}
		_, size := utf8.DecodeRune(rest) // 1 for a byte that begins no character, too
		return len(text), size == len(rest) && (size > 1 || rest[0] < utf8.RuneSelf)
	}
	return 0, false
}

// lastStart returns where the last character of b begins, as far as its last bytes tell.
func lastStart(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return len(b)
}
