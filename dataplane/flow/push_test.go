package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// serve builds an API and runs it until the test ends or end is called, which returns what Run does.
func serve(t testing.TB, cfg flow.Config, def *apidef.API) (api *flow.API, end func(cause error) error) {
	t.Helper()
	api, err := flow.New(cfg, flow.Deployment{ID: "a", API: def})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- api.Run(ctx, func() { close(ready) }) }()
	<-ready
	ended := false
	end = func(cause error) error {
		if ended {
			return nil
		}
		ended = true
		cancel(cause)
		return <-done
	}
	t.Cleanup(func() { _ = end(nil) })
	return api, end
}

func push(d *connectors.Dispatch) *flow.Push {
	x := &exchange.Exchange{ClientIdentifier: d.ID, ClientSupplied: true, Subscription: d.ID}
	x.Detach()
	return &flow.Push{Entrypoint: "HTTP-Get", Exchange: x, Dispatch: d}
}

func TestPush_Serves(t *testing.T) {
	t.Parallel()
	def := planetest.PushAPI()
	def.Listeners[0].Entrypoints[0].QoS = "auto"
	api, _ := serve(t, planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{
		DispatchFunc: func(ctx context.Context, x *exchange.Exchange, d *connectors.Dispatch, b connectors.Backend) error {
			if x.API.ID != "a" || x.Entrypoint != planetest.PushType || x.QoS != qos.Auto || d.ID != "s" {
				t.Errorf("exchange %+v", x)
			}
			sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{})
			if err != nil {
				return err
			}
			sub.Close(ctx)
			return &message.Failure{Status: 401}
		}}), def)
	p := push(&connectors.Dispatch{ID: "s", Plan: planetest.PushPlan})
	begun := 0
	p.Begun = func() { begun++ }
	var f *message.Failure
	if err := api.Push(t.Context(), p); !errors.As(err, &f) || f.Retry || begun != 1 {
		t.Errorf("error %v, begun %d times", err, begun)
	}
}

func TestPush_OnlyWhatTheAPIOffers(t *testing.T) {
	t.Parallel()
	api, _ := serve(t, planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{}), planetest.PushAPI())
	if err := api.Push(t.Context(), push(&connectors.Dispatch{ID: "s", Plan: "closed"})); !errors.Is(err, flow.ErrNoPush) {
		t.Errorf("another plan: %v", err)
	}
	p := push(&connectors.Dispatch{ID: "s", Plan: planetest.PushPlan})
	p.Entrypoint = "webhook"
	if err := api.Push(t.Context(), p); !errors.Is(err, flow.ErrNoPush) {
		t.Errorf("another entrypoint: %v", err)
	}
}

// TestPush_WhatFlowsRefuseIsTriedAgain: the flows are the API's, and another revision may have others.
func TestPush_WhatFlowsRefuseIsTriedAgain(t *testing.T) {
	t.Parallel()
	def := planetest.PushAPI()
	def.FlowExecution = &apidef.FlowExecution{MatchRequired: true}
	def.Flows = []apidef.Flow{{Selectors: []apidef.Selector{{Type: "channel", Channel: "/other"}},
		Subscribe: []apidef.Step{{Policy: messagefiltering.Type.ID, Configuration: json.RawMessage(`{"filter":"{#message.content != null}"}`)}}}}
	cfg := planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{})
	cfg.Policies = policies.List(messagefiltering.Type)
	api, _ := serve(t, cfg, def)
	var f *message.Failure
	if err := api.Push(t.Context(), push(&connectors.Dispatch{ID: "s", Plan: planetest.PushPlan, Channel: "orders"})); !errors.As(err, &f) || !f.Retry || f.Status != 404 {
		t.Errorf("error %v", err)
	}
}

func TestPush_APanicIsAFailure(t *testing.T) {
	t.Parallel()
	cfg := planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{
		DispatchFunc: func(context.Context, *exchange.Exchange, *connectors.Dispatch, connectors.Backend) error { panic("oh") }})
	api, _ := serve(t, cfg, planetest.PushAPI())
	var f *message.Failure
	if err := api.Push(t.Context(), push(&connectors.Dispatch{Plan: planetest.PushPlan})); !errors.As(err, &f) || !f.Retry {
		t.Errorf("error %v", err)
	}
	if n := cfg.Counters.For("a", planetest.PushType).Panics.Load(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
}

// TestPush_DrainsPolitely: what is under way ends before the endpoints do, and a GoAway tells who polls.
func TestPush_DrainsPolitely(t *testing.T) {
	t.Parallel()
	polling, endpoints := make(chan struct{}), make(chan struct{})
	var cause error
	cfg := planetest.WithPush(planetest.Config(nil, nil, &planetest.Endpoint{RunFunc: func(ctx context.Context) error {
		<-ctx.Done()
		close(endpoints)
		return nil
	}}), &planetest.Dispatcher{
		DispatchFunc: func(ctx context.Context, x *exchange.Exchange, _ *connectors.Dispatch, b connectors.Backend) error {
			wake := make(chan struct{}, 1)
			sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Wake: func() {
				select {
				case wake <- struct{}{}:
				default:
				}
			}})
			if err != nil {
				return err
			}
			defer sub.Close(context.Background())
			close(polling)
			for {
				ms, err := sub.Poll(1)
				if err != nil {
					return err
				}
				if len(ms) == 1 && ms[0].Kind == message.GoAway {
					<-ctx.Done()
					cause = context.Cause(ctx)
					select {
					case <-endpoints:
						t.Error("the endpoint ended before the delivery under way")
					default:
					}
					return errors.New("told to go")
				}
				<-wake
			}
		}})
	api, end := serve(t, cfg, planetest.PushAPI())
	done := make(chan error, 1)
	go func() { done <- api.Push(t.Context(), push(&connectors.Dispatch{Plan: planetest.PushPlan})) }()
	<-polling
	if err := end(message.ErrRedeploy); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, flow.ErrEnded) || !errors.Is(cause, message.ErrRedeploy) {
		t.Errorf("error %v, cause %v", err, cause)
	}
	if err := api.Push(t.Context(), push(&connectors.Dispatch{Plan: planetest.PushPlan})); !errors.Is(err, flow.ErrDraining) {
		t.Errorf("after the end: %v", err)
	}
}

// TestPush_WhoDoesNotEndIsCutOff: a connector that breaks its promise does not keep the revision alive.
func TestPush_WhoDoesNotEndIsCutOff(t *testing.T) {
	t.Parallel()
	begun, leave := make(chan struct{}), make(chan struct{})
	cfg := planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{
		DispatchFunc: func(context.Context, *exchange.Exchange, *connectors.Dispatch, connectors.Backend) error {
			close(begun)
			<-leave
			return nil
		}})
	cfg.Limits.Drain = 10 * time.Millisecond
	api, end := serve(t, cfg, planetest.PushAPI())
	done := make(chan error, 1)
	go func() { done <- api.Push(t.Context(), push(&connectors.Dispatch{Plan: planetest.PushPlan})) }()
	<-begun
	if err := end(nil); !errors.Is(err, flow.ErrCutOff) {
		t.Errorf("error %v", err)
	}
	close(leave)
	if err := <-done; !errors.Is(err, flow.ErrEnded) {
		t.Errorf("error %v", err)
	}
}

func TestNew_PlansOfListeners(t *testing.T) {
	t.Parallel()
	open := apidef.Plan{ID: "open", Name: "open", Status: apidef.PlanPublished, Security: &apidef.PlanSecurity{Type: "key-less"}}
	jwt := apidef.Plan{ID: "jwt", Name: "jwt", Status: apidef.PlanPublished, Security: &apidef.PlanSecurity{Type: "jwt"}}
	pushed := apidef.Plan{ID: "push", Name: "push", Status: apidef.PlanPublished, Mode: "push"}
	ruled := pushed
	ruled.SelectionRule = "{#x}"
	both := append(planetest.API("/a/", "http-post").Listeners, planetest.PushAPI().Listeners...)
	for _, c := range []struct {
		name      string
		listeners []apidef.Listener
		plans     []apidef.Plan
		want      string // pointer of the one problem; empty: none
	}{
		{"push for a subscription listener", both[1:], []apidef.Plan{pushed}, ""},
		{"key-less does not let anybody subscribe", both[1:], []apidef.Plan{open}, "/plans"},
		{"what is for HTTP has no way in", both[1:], []apidef.Plan{pushed, jwt}, ""},
		{"push lets nobody in over HTTP", both[:1], []apidef.Plan{pushed}, "/plans/0/mode"},
		{"both listeners, both plans", both, []apidef.Plan{pushed, open}, ""},
		{"both listeners, push only", both, []apidef.Plan{pushed}, "/plans"},
		{"both listeners, key-less only", both, []apidef.Plan{open}, "/plans"},
		{"a rule on a push plan", both[1:], []apidef.Plan{ruled}, "/plans/0/selectionRule"},
	} {
		def := planetest.PushAPI()
		def.Listeners, def.Plans = c.listeners, c.plans
		_, err := flow.New(planetest.WithPush(planetest.Config(nil, nil, nil), &planetest.Dispatcher{}), flow.Deployment{ID: "a", API: def})
		var ps apidef.Problems
		errors.As(err, &ps)
		if c.want == "" && err != nil || c.want != "" && (len(ps) != 1 || ps[0].Pointer != c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
