package httppost

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// Headers of requests and answers beyond the plain case.
const (
	headerPrefer         = "Prefer"                // RFC 7240
	headerApplied        = "Preference-Applied"    // RFC 7240 section 3
	headerKey            = "Idempotency-Key"       // draft-ietf-httpapi-idempotency-key-header
	headerReplayed       = "Idempotency-Replayed"  // ours: the answer is that of an earlier request
	returnRepresentation = "return=representation" // RFC 7240 section 4.2
	returnMinimal        = "return=minimal"
)

// prefersRepresentation reads the client's wish to get its messages described; without one it is what the entrypoint says.
func prefersRepresentation(h *fasthttp.RequestHeader, otherwise bool) bool {
	first := h.Peek(headerPrefer)
	if len(first) == 0 {
		return otherwise
	}
	for _, line := range h.PeekAll(headerPrefer) {
		if wish, ok := returnOf(line); ok {
			return wish
		}
	}
	return otherwise
}

// returnOf finds the first "return" among preferences; ok: there is one that we know.
func returnOf(line []byte) (wanted, ok bool) {
	for len(line) > 0 {
		var preference []byte
		preference, line, _ = bytes.Cut(line, []byte{','})
		preference, _, _ = bytes.Cut(preference, []byte{';'})
		switch preference = bytes.TrimSpace(preference); {
		case bytes.EqualFold(preference, []byte(returnRepresentation)):
			return true, true
		case bytes.EqualFold(preference, []byte(returnMinimal)):
			return false, true
		}
	}
	return false, false
}
