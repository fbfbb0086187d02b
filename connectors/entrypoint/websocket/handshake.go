package websocket

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 prescribes it; it protects nothing
	"encoding/base64"
	"strconv"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// keyBytes is the size of a decoded Sec-WebSocket-Key (RFC 6455 section 4.1).
const keyBytes = 16

// acceptGUID is appended to the key (RFC 6455 section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// checkHandshake returns the key of an upgrade request, or why it is refused (RFC 6455 section 4.2.1).
func checkHandshake(fctx *fasthttp.RequestCtx) ([]byte, *message.Failure) {
	h := &fctx.Request.Header
	if string(bytes.TrimSpace(h.Peek("Sec-WebSocket-Version"))) != "13" {
		fctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		return nil, &message.Failure{Status: fasthttp.StatusUpgradeRequired, Message: "Unsupported WebSocket version: must be 13"}
	}
	key := bytes.TrimSpace(h.Peek("Sec-WebSocket-Key"))
	var decoded [keyBytes + 2]byte // base64 of 16 bytes has room for 18
	if len(key) == base64.StdEncoding.EncodedLen(keyBytes) {
		if n, err := base64.StdEncoding.Decode(decoded[:], key); err == nil && n == keyBytes {
			return key, nil
		}
	}
	return nil, &message.Failure{Status: fasthttp.StatusBadRequest, Message: "Invalid Sec-WebSocket-Key"}
}

// subprotocol is the one that this entrypoint speaks besides none.
const subprotocol = "sluice.v1"

// offersSubprotocol tells whether the client offers sluice.v1.
func offersSubprotocol(fctx *fasthttp.RequestCtx) bool {
	for _, value := range fctx.Request.Header.PeekAll("Sec-WebSocket-Protocol") {
		for offer := range bytes.SplitSeq(value, []byte{','}) {
			if string(bytes.TrimSpace(offer)) == subprotocol {
				return true
			}
		}
	}
	return false
}

// switchProtocols returns the head of the answer to a client that is framed for by f.
func switchProtocols(fctx *fasthttp.RequestCtx, key []byte, f *framer) []byte {
	sum := sha1.Sum(append(append(make([]byte, 0, 64), key...), acceptGUID...)) //nolint:gosec // see above
	fctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	h := &fctx.Response.Header
	h.SetNoDefaultContentType(true)
	h.Set(fasthttp.HeaderUpgrade, "websocket")
	h.Set(fasthttp.HeaderConnection, "Upgrade")
	h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	if f.v1 {
		h.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	if f.deflate != nil {
		h.Set("Sec-WebSocket-Extensions", f.deflate.answer)
	}
	return append([]byte(nil), h.Header()...)
}

// hasToken tells whether a comma-separated header value has the token, without regard to case.
func hasToken(value []byte, token string) bool {
	for len(value) > 0 {
		var element []byte
		element, value, _ = bytes.Cut(value, []byte{','})
		if bytes.EqualFold(bytes.TrimSpace(element), []byte(token)) {
			return true
		}
	}
	return false
}

func closeAttributes(api *exchange.API, code int) attribute.Set {
	return attribute.NewSet(attribute.String("api", api.ID), attribute.String("code", strconv.Itoa(code)))
}
