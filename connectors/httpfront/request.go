package httpfront

import (
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos/message"
)

// CopyHeaders copies every field of the request into m, in fasthttp's order, names in their canonical form. It makes one
// allocation: all names are parts of one string, which outlives the message and so may be kept by anybody.
func CopyHeaders(m *message.Message, h *fasthttp.RequestHeader) {
	b := GetBuffer()
	defer PutBuffer(b)
	for name := range h.All() {
		*b = append(*b, name...)
	}
	names := string(*b)
	for name, value := range h.All() {
		m.Headers = append(m.Headers, message.Header{Name: names[:len(name)], Value: m.Copy(value)})
		names = names[len(name):]
	}
}
