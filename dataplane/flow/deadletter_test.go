package flow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// withLetters is an API that pushes, with a second group "letters" of the endpoints "dead" and "late", and a third,
// "source", that takes nothing.
func withLetters(dlq string) *apidef.API {
	def := planetest.PushAPI()
	def.Listeners[0].Entrypoints[0].DLQ = &apidef.DLQ{Endpoint: dlq}
	def.EndpointGroups = append(def.EndpointGroups,
		apidef.EndpointGroup{Name: "letters", Type: "mock", Endpoints: []apidef.Endpoint{{Name: "dead", Type: "mock"}, {Name: "late", Type: "mock"}}},
		apidef.EndpointGroup{Name: "sources", Type: "source", Endpoints: []apidef.Endpoint{{Name: "source", Type: "source"}}})
	return def
}

func lettersConfig(p *planetest.Dispatcher, taken *[]string) flow.Config {
	cfg := planetest.WithPush(planetest.Config(nil, nil, &planetest.Endpoint{
		PublishFunc: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
			*taken = append(*taken, string(m.Content))
			m.Done(nil)
		}}), p)
	source := cfg.Endpoints["mock"]
	source.Modes = connectors.Subscribe
	cfg.Endpoints["source"] = source
	return cfg
}

func TestDeadLetters_AreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, dlq, pointer, code string }{
		{"an endpoint", "late", "", ""},
		{"a group", "letters", "", ""},
		{"nothing of the API", "elsewhere", "/listeners/0/entrypoints/0/dlq/endpoint", "listeners.entrypoints.dlq.invalid"},
		{"nothing at all", "", "/listeners/0/entrypoints/0/dlq/endpoint", "listeners.entrypoints.dlq.invalid"},
		{"an endpoint that takes nothing", "source", "/listeners/0/entrypoints/0/dlq/endpoint", "listeners.entrypoints.dlq.invalid"},
		{"a group that takes nothing", "sources", "/listeners/0/entrypoints/0/dlq/endpoint", "listeners.entrypoints.dlq.invalid"},
	} {
		p := &planetest.Dispatcher{}
		_, err := flow.New(lettersConfig(p, new([]string)), flow.Deployment{ID: "a", API: withLetters(c.dlq)})
		var ps apidef.Problems
		errors.As(err, &ps)
		switch {
		case c.code == "" && (err != nil || !p.Env.DeadLetters):
			t.Errorf("%s: %v, told of dead letters: %v", c.name, err, p.Env.DeadLetters)
		case c.code != "" && (len(ps) != 1 || ps[0].Pointer != c.pointer || ps[0].Code != c.code):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	def := planetest.API("/a/", "http-post")
	def.Listeners[0].Entrypoints[0].DLQ = &apidef.DLQ{Endpoint: "only"}
	_, err := flow.New(planetest.Config(nil, nil, nil), flow.Deployment{API: def})
	var ps apidef.Problems
	if !errors.As(err, &ps) || len(ps) != 1 || ps[0].Code != "listeners.entrypoints.dlq.unsupported" {
		t.Errorf("an entrypoint that does not push: %v", err)
	}
}

func TestDeadLetters_ArePublished(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		def  *apidef.API
		want string // key of the failure; empty: taken
	}{{"to a group", withLetters("letters"), ""}, {"to an endpoint", withLetters("dead"), ""}, {"nowhere", planetest.PushAPI(), message.KeyNoEndpoint}} {
		var taken []string
		a := &ack{}
		p := &planetest.Dispatcher{DispatchFunc: func(ctx context.Context, x *exchange.Exchange, _ *connectors.Dispatch, b connectors.Backend) error {
			m := message.Get()
			m.SetContent([]byte("undeliverable"))
			m.SetAck(a)
			b.DeadLetter(ctx, x, m)
			return nil
		}}
		cfg := lettersConfig(p, &taken)
		api, _ := serve(t, cfg, c.def)
		if err := api.Push(t.Context(), push(&connectors.Dispatch{Plan: planetest.PushPlan})); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		key := ""
		var f *message.Failure
		if len(a.errs) == 1 && errors.As(a.errs[0], &f) {
			key = f.Key
		}
		if len(a.errs) != 1 || key != c.want || (len(taken) == 1) != (c.want == "") {
			t.Errorf("%s: told %v, taken %q", c.name, a.errs, taken)
		}
		if n := cfg.Counters.For("a", planetest.PushType).DeadLetters.Load(); int(n) != len(taken) {
			t.Errorf("%s: %d counted", c.name, n)
		}
	}
}
