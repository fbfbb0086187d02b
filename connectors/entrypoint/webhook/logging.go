package webhook

import (
	"bytes"
	"log/slog"
	"strings"
)

// maxLogged bounds a logged request, in bytes.
const maxLogged = 4 << 10

// logged writes what the API's logging asks for.
func (r *run) logged(w *writer, s *result) {
	c := &r.e.config.Logging
	if !c.Enabled {
		return
	}
	pairs := []any{"url", place(r.target.url), "status", s.status, "took", s.took, "error", s.text}
	head, _, _ := bytes.Cut(w.head, []byte("\r\n\r\n"))
	if c.Request.Headers {
		pairs = append(pairs, "requestHeaders", withoutSecrets(string(head)))
	}
	if c.Request.Payload {
		pairs = append(pairs, "requestPayload", string(w.sent[:min(len(w.sent), maxLogged)]))
	}
	if s.status != 0 && c.Response.Headers {
		pairs = append(pairs, "responseHeaders", withoutSecrets(w.header.String()))
	}
	if s.status != 0 && c.Response.Payload {
		pairs = append(pairs, "responsePayload", string(w.reply.excerpt))
	}
	r.log.Info("webhook call", pairs...)
}

// withoutSecrets is a head whose headers that carry secrets have lost their values.
func withoutSecrets(head string) slog.Value {
	lines := strings.Split(strings.TrimRight(head[:min(len(head), maxLogged)], "\r\n"), "\r\n")
	for i, line := range lines {
		name, _, ok := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "authorization", "cookie", "set-cookie", headerSignature, "x-api-key", "x-gravitee-api-key":
			if ok {
				lines[i] = name + ": ***"
			}
		}
	}
	return slog.StringValue(strings.Join(lines[1:], "; "))
}
