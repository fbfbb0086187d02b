package flow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	off := false
	for _, c := range []struct {
		name   string
		change func(*apidef.API)
		want   []string // pointer and part of the text, each
	}{
		{"nothing wrong", func(*apidef.API) {}, nil},
		{"empty flows", func(a *apidef.API) { a.Flows = []apidef.Flow{{}}; a.Plans[0].Flows = []apidef.Flow{{}} }, nil},
		{"disabled policy", func(a *apidef.API) {
			a.Flows = []apidef.Flow{{Publish: []apidef.Step{{Policy: "groovy", Enabled: &off}}}}
		}, nil},
		{"disabled flow", func(a *apidef.API) {
			a.Flows = []apidef.Flow{{Enabled: &off, Publish: []apidef.Step{{Policy: "groovy"}}}}
		}, nil},
		{"closed plan of another kind", func(a *apidef.API) {
			a.Plans = append(a.Plans, apidef.Plan{Name: "old", Status: apidef.PlanClosed, Security: &apidef.PlanSecurity{Type: "jwt"}})
		}, nil},
		{"policy of the API", func(a *apidef.API) {
			a.Flows = []apidef.Flow{{}, {Subscribe: []apidef.Step{{Policy: "message-filtering"}}}}
		},
			[]string{`/flows/1/subscribe/0/policy  policy "message-filtering" is not served by this version`}},
		{"policy of a plan", func(a *apidef.API) {
			a.Plans[0].Flows = []apidef.Flow{{Request: []apidef.Step{{Policy: "rate-limit"}}}}
		},
			[]string{`/plans/0/flows/0/request/0/policy  policy "rate-limit" is not served by this version`}},
		{"match required", func(a *apidef.API) { a.FlowExecution = &apidef.FlowExecution{MatchRequired: true} }, nil},
		{"shared policy group", func(a *apidef.API) {
			a.Flows = []apidef.Flow{{Request: []apidef.Step{{SharedPolicyGroupRef: json.RawMessage(`{"name":"g"}`)}}}}
		}, []string{"/flows/0/request/0/sharedPolicyGroupRef  the steps of the shared policy group are missing"}},
		{"condition of a flow", func(a *apidef.API) {
			a.Flows = []apidef.Flow{{Selectors: []apidef.Selector{{Type: "condition", Condition: "{#request.}"}}}}
		}, []string{"/flows/0/selectors/0/condition  is no expression: at 1:"}},
		{"no plan", func(a *apidef.API) { a.Plans = nil }, []string{"/plans  has no published plan"}},
		{"staging plan only", func(a *apidef.API) { a.Plans[0].Status = apidef.PlanStaging }, []string{"/plans  has no published plan"}},
		{"key plan only", func(a *apidef.API) { a.Plans[0].Security.Type = "api-key" }, []string{`/plans/0/security/type  plan "open": security "api-key" is not enforced yet`}},
		{"keyless beside another", func(a *apidef.API) {
			a.Plans = append(a.Plans, apidef.Plan{Name: "paid", Status: apidef.PlanDeprecated, Security: &apidef.PlanSecurity{Type: "jwt"}})
		}, []string{`/plans/1/security/type  plan "paid": security "jwt" is not enforced yet`}},
		{"push plan", func(a *apidef.API) { a.Plans[0].Security, a.Plans[0].Mode = nil, "push" }, []string{`/plans/0/mode  plan "open": mode "push"`}},
		{"selection rule", func(a *apidef.API) { a.Plans[0].SelectionRule = "{#request.headers != null}" }, []string{"/plans/0/selectionRule"}},
		{"level", func(a *apidef.API) { a.Listeners[0].Entrypoints[0].QoS = "at-least-once" },
			[]string{"/listeners/0/entrypoints/0/qos  at-least-once is not possible between http-post and mock; choose one of: none, auto"}},
		{"no such level", func(a *apidef.API) { a.Listeners[0].Entrypoints[0].QoS = "best" }, []string{`/listeners/0/entrypoints/0/qos  "best" is no`}},
		{"unknown connectors, both", func(a *apidef.API) {
			a.Listeners[0].Entrypoints[0].Type, a.EndpointGroups[0].Endpoints[0].Type = "carrier-pigeon", "rabbitmq"
		}, []string{`/listeners/0/entrypoints/0/type  entrypoint "carrier-pigeon" is not served by this version; known are http-post, sse`,
			`/endpointGroups/0/endpoints/0/type  endpoint "rabbitmq" is not served by this version; known are mock`}},
		{"listener of another type", func(a *apidef.API) { a.Listeners[0].Type = apidef.ListenerSubscription }, []string{"/plans  has no published push plan", "/listeners/0/entrypoints/0/type"}},
		{"path", func(a *apidef.API) { a.Listeners[0].Paths[0].Path = "/a" }, []string{"/listeners/0/paths/0  unusable path"}},
		{"no endpoint", func(a *apidef.API) { a.EndpointGroups = nil }, []string{"/listeners/0/entrypoints/0/type  no endpoint of this API"}},
		{"endpoints of two types", func(a *apidef.API) {
			a.EndpointGroups[0].Endpoints = append(a.EndpointGroups[0].Endpoints, apidef.Endpoint{Name: "other", Type: "kafka"})
		}, []string{"/endpointGroups/0/endpoints/1/type  must be mock, the type of its group, not kafka", `/endpointGroups/0/endpoints/1/type  endpoint "kafka" is not served`}},
		{"no such load balancer", func(a *apidef.API) { a.EndpointGroups[0].LoadBalancer = &apidef.LoadBalancer{Type: "best"} },
			[]string{`/endpointGroups/0/loadBalancer/type  "best" is no load balancer`}},
		{"endpoint configuration", func(a *apidef.API) { a.EndpointGroups[0].Endpoints[0].Configuration = json.RawMessage(`{"bad":1}`) },
			[]string{"/endpointGroups/0/endpoints/0/configuration/bad  is bad"}},
		{"inherited configuration", func(a *apidef.API) {
			a.EndpointGroups[0].SharedConfiguration = json.RawMessage(`{"bad":1}`)
			a.EndpointGroups[0].Endpoints[0].InheritConfiguration = true
		}, []string{"/endpointGroups/0/sharedConfiguration/bad  is bad"}},
		{"shared configuration that is not inherited", func(a *apidef.API) { a.EndpointGroups[0].SharedConfiguration = json.RawMessage(`{"bad":1}`) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := planetest.Config(nil, nil, nil)
			mock := cfg.Endpoints["mock"]
			mock.Check = func(cfg, shared json.RawMessage) (out apidef.Problems) {
				for at, raw := range map[string]json.RawMessage{"": cfg, "/shared": shared} {
					if strings.Contains(string(raw), "bad") {
						out = append(out, connectors.Invalid(at+"/bad", "is bad"))
					}
				}
				return out
			}
			cfg.Endpoints["mock"] = mock
			def := planetest.API("/a/", "http-post")
			c.change(def)
			_, err := flow.New(cfg, flow.Deployment{ID: "a", API: def})
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			var ps apidef.Problems
			if c.want != nil && !errors.As(err, &ps) {
				t.Fatalf("error %v", err)
			}
			if len(ps) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(ps), len(c.want), err)
			}
			for i, want := range c.want {
				if got := ps[i].Pointer + "  " + ps[i].Message; !strings.HasPrefix(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

func TestNew_OtherKindsAreNotServed(t *testing.T) {
	t.Parallel()
	for _, kind := range []apidef.Type{apidef.TypeProxy, apidef.TypeNative} {
		def := planetest.API("/a/", "http-post")
		def.Type = kind
		if _, err := flow.New(planetest.Config(nil, nil, nil), flow.Deployment{API: def}); !errors.Is(err, flow.ErrNotServed) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestNew_FirstGroupThatFits(t *testing.T) {
	t.Parallel()
	cfg := planetest.Config(nil, nil, nil)
	var built []string
	remember := func(_, _ json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
		built = append(built, env.API.ID)
		return &planetest.Endpoint{}, nil
	}
	cfg.Endpoints["kafka"] = connectors.EndpointType{Modes: connectors.Publish, New: remember}
	def := planetest.API("/a/", "sse", "http-post")
	def.EndpointGroups = append([]apidef.EndpointGroup{{Name: "out", Type: "kafka", Endpoints: []apidef.Endpoint{{Name: "k", Type: "kafka"}}}}, def.EndpointGroups...)
	api, err := flow.New(cfg, flow.Deployment{ID: "a", DeployedAt: time.UnixMilli(42), API: def})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, built); diff != "" {
		t.Errorf("kafka endpoints built (-want +got):\n%s", diff)
	}
	if api.Info.DeployedAt != "42" {
		t.Errorf("deployed at %q", api.Info.DeployedAt)
	}
}

func TestNew_WarnsOfWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	def := planetest.API("/a/", "http-post")
	def.Failover = &apidef.Failover{Enabled: true}
	api, err := flow.New(planetest.Config(nil, nil, nil), flow.Deployment{API: def})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/failover has no effect yet in this version"}, api.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAPI_EntrypointsAreAskedByCriteria(t *testing.T) {
	t.Parallel()
	var asked []string
	match := func(name string) *planetest.Entrypoint {
		return &planetest.Entrypoint{MatchFunc: func(*fasthttp.RequestCtx) bool { asked = append(asked, name); return false }}
	}
	api, err := flow.New(planetest.Config(match("http-post"), match("sse"), nil), flow.Deployment{API: planetest.API("/a/", "http-post", "sse")})
	if err != nil {
		t.Fatal(err)
	}
	x := planetest.Exchange()
	if got := api.Serve(x); got != flow.NoEntrypoint {
		t.Errorf("outcome %v", got)
	}
	if diff := cmp.Diff([]string{"sse", "http-post"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
