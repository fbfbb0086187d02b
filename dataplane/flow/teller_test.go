package flow_test

import (
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestTemplates_WithinAStream: what ends a stream is shown by the template for it, which may read the request that the stream
// let go of long ago.
func TestTemplates_WithinAStream(t *testing.T) {
	t.Parallel()
	templates := map[string]map[string]apidef.ResponseTemplate{
		"TEAPOT": {"text/event-stream": {Status: 503, Body: "{#request.headers['X-Who'][0]}: {#error.message}", Headers: map[string]string{"X-Key": "{#error.key}"}}},
		"BROKEN": {"*/*": {Body: "{#request.headers['none'][0]}"}},
	}
	for _, c := range []struct {
		name    string
		failure error
		shown   string // empty: as the entrypoint shows it
		status  int
	}{
		{"template of the key", &message.Failure{Status: 418, Key: "TEAPOT", Message: "no"}, "you: no", 503},
		{"template that cannot be rendered", &message.Failure{Status: 418, Key: "BROKEN", Message: "no"}, "", 500},
		{"no template of the key", &message.Failure{Status: 418, Key: "OTHER", Message: "no"}, "", 0},
		{"no key", &message.Failure{Status: 418, Message: "no"}, "", 0},
		{"no failure for clients", errors.New("no"), "", 0},
	} {
		s := newStage(t)
		s.def.ResponseTemplates = templates
		s.source = func(connectors.SubscribeOptions) connectors.Subscription {
			return &planetest.Subscription{PollFunc: func(int) ([]message.Message, error) { return nil, c.failure }}
		}
		s.deploy()
		x := planetest.Exchange()
		x.PathInfo = "/"
		x.HTTP.Request.Header.Set("Accept", "text/event-stream")
		x.HTTP.Request.Header.Set("X-Who", "you")
		request := &x.HTTP.Request
		s.api.Serve(x)
		x.HTTP = nil // as detached streams have it
		request.Header.Set("X-Who", "another request")
		_, err := s.sub.Poll(1)
		var f *message.Failure
		switch errors.As(err, &f); {
		case c.status == 0 && err != c.failure:
			t.Errorf("%s: %v", c.name, err)
		case c.status == 0:
		case f == nil || f.Shown == nil || f.Shown.Status != c.status || string(f.Shown.Content) != c.shown || f.Status != 418:
			t.Errorf("%s: %+v", c.name, f)
		case c.shown != "" && (f.Shown.ContentType != "text/event-stream" || len(f.Shown.Headers) != 1 || string(f.Shown.Headers[0].Value) != "TEAPOT"):
			t.Errorf("%s: %+v", c.name, f.Shown)
		}
	}
}
