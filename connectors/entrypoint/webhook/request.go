package webhook

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/qos/message"
)

// headerGap tells a receiver that messages were lost before this one: a JSON object that says how many and why.
const headerGap = "sluice-gap"

// oursOnly are headers that neither messages nor subscriptions set: those that frame a request or concern one connection, and
// those that Sluice vouches for.
var oursOnly = [...]string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect", headerID, headerTimestamp, headerSignature, headerGap}

func ours(name string) bool {
	for _, h := range oursOnly {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// template is what all requests of a delivery have in common.
type template struct {
	start   []byte // request line, Host and User-Agent
	headers []Header
	auth    bool // Authorization is ours
	format  string
	signed  bool
}

func newTemplate(t *target) *template {
	host := t.url.Host
	start := "POST " + t.url.RequestURI() + " HTTP/1.1\r\nHost: " + host + "\r\n"
	p := &template{headers: t.headers, auth: t.auth != nil, signed: len(t.signers) > 0}
	if !hasHeader(t.headers, fasthttp.HeaderUserAgent) {
		start += "User-Agent: sluice\r\n"
	}
	if t.config.Batch != nil {
		p.format = t.config.Batch.Format
	}
	p.start = []byte(start)
	return p
}

func hasHeader(headers []Header, name string) bool {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return true
		}
	}
	return false
}

// writer makes requests, one at a time. What it made is valid until the next.
type writer struct {
	template *template
	scribe   *scribe
	head     []byte
	body     []byte // of a batch
	prefix   []byte // what is signed before the body
	sums     []byte
	sent     []byte // the body, for logs
	id       []byte
	reply    reply
	header   fasthttp.ResponseHeader
}

func newWriter(p *template, signers []signer) *writer {
	w := &writer{template: p, scribe: newScribe(signers)}
	w.reply.header = &w.header
	return w
}

// smallBody is sent together with the head, in one write; a larger one is not copied. In bytes.
const smallBody = 16 << 10

// request makes the request for what a lane holds: its head, with a small body, and the body that is left.
func (w *writer) request(l *lane, authorization string, now time.Time) (request, rest []byte, size int) {
	w.id = appendID(w.id[:0], l)
	body := l.head.m.Content
	if w.template.format != "" {
		w.body = appendBatch(w.body[:0], w.template.format, l)
		body = w.body
	}
	w.sent = body
	dst := append(w.head[:0], w.template.start...)
	dst = w.appendHeaders(dst, l)
	dst = appendHeader(dst, headerID, w.id)
	dst = append(dst, headerTimestamp+": "...)
	dst = strconv.AppendInt(dst, now.Unix(), 10)
	dst = append(dst, "\r\n"...)
	if w.template.signed {
		w.prefix = append(append(w.prefix[:0], w.id...), '.')
		w.prefix = append(strconv.AppendInt(w.prefix, now.Unix(), 10), '.')
		w.sums = w.scribe.appendSignatures(w.sums[:0], w.prefix, body)
		dst = appendHeader(dst, headerSignature, w.sums)
	}
	if authorization != "" {
		dst = append(append(append(dst, "Authorization: "...), authorization...), "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	w.head = dst
	if len(body) <= smallBody {
		w.head = append(dst, body...)
		return w.head, nil, len(body)
	}
	return dst, body, len(body)
}

// appendHeaders appends the message's headers, then those of the subscription whose names the message has not (spec 2.5).
func (w *writer) appendHeaders(dst []byte, l *lane) []byte {
	m := l.head.m
	contentType := w.template.format == ""
	if w.template.format == "" {
		for i := range m.Headers {
			h := &m.Headers[i]
			if w.sendable(h) {
				dst = appendHeader(dst, h.Name, h.Value)
			}
		}
	}
	for i := range w.template.headers {
		h := &w.template.headers[i]
		if w.template.format == "" {
			if _, has := m.Header(h.Name); has {
				continue
			}
		}
		contentType = contentType || strings.EqualFold(h.Name, fasthttp.HeaderContentType)
		if !w.template.auth || !strings.EqualFold(h.Name, fasthttp.HeaderAuthorization) {
			dst = append(append(append(append(dst, h.Name...), ": "...), h.Value...), "\r\n"...)
		}
	}
	if !contentType {
		dst = append(append(append(dst, "Content-Type: "...), mediaTypes[w.template.format]...), "\r\n"...)
	}
	for it := range l.load {
		for _, gap := range it.gaps {
			dst = appendHeader(dst, headerGap, gap)
		}
	}
	return dst
}

// sendable tells whether a message's header can be one of HTTP. Brokers take any name and any bytes; what would break the request
// apart is left out.
func (w *writer) sendable(h *message.Header) bool {
	if !httpguts.ValidHeaderFieldName(h.Name) || ours(h.Name) || w.template.auth && strings.EqualFold(h.Name, fasthttp.HeaderAuthorization) {
		return false
	}
	for _, c := range h.Value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func appendHeader(dst []byte, name string, value []byte) []byte {
	return append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
}

// appendID appends the value of webhook-id: the same at each attempt, and, where the endpoint has positions, for ever, so that a
// receiver knows a message again. Where it has none it is made up for this delivery.
func appendID(dst []byte, l *lane) []byte {
	if !l.head.positional {
		if l.id == "" {
			l.id = "msg_" + uuid.NewString()
		}
		return append(dst, l.id...)
	}
	dst = appendPosition(dst, l.head.m)
	if l.taken > 1 {
		dst = append(dst, '+')
		dst = strconv.AppendInt(dst, int64(l.taken-1), 10)
	}
	return dst
}

// appendPosition appends topic@partition#offset. Full stops in the topic, which are the signature's separators, and what a header
// cannot hold are percent-encoded.
func appendPosition(dst []byte, m *message.Message) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(m.Topic) {
		if c := m.Topic[i]; c <= ' ' || c >= 0x7f || c == '.' || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	dst = strconv.AppendInt(append(dst, '@'), int64(m.Partition), 10)
	return strconv.AppendInt(append(dst, '#'), m.Offset, 10)
}

// place is an address for people: without a query, which may hold secrets.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
