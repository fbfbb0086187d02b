package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/circuitbreaker"
	"github.com/sluice-gateway/sluice/policies/retry"
	"github.com/sluice-gateway/sluice/policies/trafficshadowing"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// sink is an endpoint that notes what it gets, and fails as often as it is told.
type sink struct {
	mu    sync.Mutex
	got   []string
	fails int
}

func (s *sink) publish(_ context.Context, _ *exchange.Exchange, m *message.Message) {
	s.mu.Lock()
	text := string(m.Content)
	for _, h := range m.Headers {
		text += " " + h.Name + "=" + string(h.Value)
	}
	s.got = append(s.got, text)
	var err error
	if s.fails > 0 {
		s.fails--
		err = &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: message.KeyConnectionFailed}
	}
	s.mu.Unlock()
	m.Topic, m.Offset = "t", int64(len(s.got))
	m.Done(err)
}

// panics is an invoker that does.
type panics struct{}

func (panics) OnRequest(_ context.Context, c *policies.Context) error {
	c.Wrap(panics{})
	return nil
}

func (panics) Invoke(context.Context, *policies.Context, *message.Message, policies.Next) error {
	panic("here")
}

// outcome is what a publisher is told.
type outcome struct {
	told  int
	err   error
	topic string
}

func (o *outcome) Acked(m *message.Message, err error) {
	o.told++
	o.err, o.topic = err, m.Topic
	m.Release()
}

// TestInvokers: what stands around publishing, alone and nested, on an API of two groups.
func TestInvokers(t *testing.T) {
	t.Parallel()
	const (
		again  = `{"policy":"retry","configuration":{"condition":"{#response.status >= 500}","maxRetries":2,"lastResponse":true}}`
		shadow = `{"policy":"traffic-shadowing","configuration":{"target":"{#endpoints['next']}","headers":[{"name":"shadow","value":"yes"}]}}`
		nobody = `{"policy":"traffic-shadowing","configuration":{"target":"none:"}}`
		fuse   = `{"policy":"policy-circuit-breaker","configuration":{"windowSize":1,"redirectToURL":"other:"}}`
	)
	for _, c := range []struct {
		name, steps         string
		fails, messages     int
		want, next, outcome string
	}{
		{"none", ``, 0, 1, "m host=h", "", ""},
		{"tried again", again, 2, 1, "m host=h|m host=h|m host=h", "", ""},
		{"in vain", again, 3, 1, "m host=h|m host=h|m host=h", "", message.KeyConnectionFailed},
		{"shadowed", shadow, 0, 1, "m host=h", "m shadow=yes", ""},
		{"shadowed once, tried again", again + "," + shadow, 1, 1, "m host=h|m host=h", "m shadow=yes", ""},
		{"shadowed by nobody", nobody, 0, 1, "m host=h", "", ""},
		{"another takes over", fuse, 1, 3, "m host=h", "m host=h|m host=h", ""},
		{"a panic", `{"policy":"panics"}`, 0, 1, "", "", "panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, next := &sink{fails: c.fails}, &sink{}
			last := &outcome{}
			post := &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
				for range c.messages {
					m := message.Get()
					m.SetContent([]byte("m"))
					m.Headers = append(m.Headers, message.Header{Name: "host", Value: m.Copy([]byte("h"))})
					m.SetAck(last)
					b.Publish(ctx, x, m)
				}
			}}
			cfg := planetest.Config(post, nil, &planetest.Endpoint{PublishFunc: first.publish})
			cfg.Endpoints["kafka"] = connectors.EndpointType{Modes: connectors.Publish | connectors.Subscribe,
				New: func(json.RawMessage, json.RawMessage, connectors.Env) (connectors.Endpoint, error) {
					return &planetest.Endpoint{PublishFunc: next.publish}, nil
				}}
			cfg.Policies = policies.List(retry.Type, trafficshadowing.Type, circuitbreaker.Type, policies.Type{ID: "panics", Phases: policies.Request,
				Compile: func(json.RawMessage, policies.Env) (any, apidef.Problems) { return panics{}, nil }})
			def := planetest.API("/a/", "http-post")
			def.EndpointGroups = append(def.EndpointGroups, apidef.EndpointGroup{Name: "next", Type: "kafka", Endpoints: []apidef.Endpoint{{Name: "other", Type: "kafka"}}})
			if err := json.Unmarshal([]byte(`[{"request":[`+c.steps+`]}]`), &def.Flows); err != nil {
				t.Fatal(err)
			}
			api, _ := serve(t, cfg, def)
			x := planetest.Exchange()
			x.HTTP.Request.Header.SetMethod("POST")
			if got := api.Serve(x); got != flow.Served {
				t.Fatalf("outcome %v", got)
			}
			if got := strings.Join(first.got, "|"); got != c.want {
				t.Errorf("the endpoint got %q, want %q", got, c.want)
			}
			if got := strings.Join(next.got, "|"); got != c.next {
				t.Errorf("the other got %q, want %q", got, c.next)
			}
			var f *message.Failure
			told := ""
			if errors.As(last.err, &f) {
				told = f.Key
			} else if last.err != nil {
				told, _, _ = strings.Cut(last.err.Error(), ":")
			}
			if last.told != c.messages || told != c.outcome || last.err == nil && last.topic != "t" {
				t.Errorf("told %d times, at last %v of topic %q; want %d times %q", last.told, last.err, last.topic, c.messages, c.outcome)
			}
		})
	}
}
