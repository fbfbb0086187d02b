package apidef_test

import (
	"encoding/json"
	"strconv"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// drawAPI makes an API in normal form out of everything a definition may hold. It need not make sense, only be spelt
// right.
func drawAPI(t *rapid.T) *apidef.API {
	a := &apidef.API{
		ID: maybeText(t), CrossID: maybeText(t), Name: someText(t), Description: maybeText(t),
		Type:       oneOf(t, apidef.TypeMessage, apidef.TypeProxy, apidef.TypeNative),
		APIVersion: maybeText(t), DefinitionVersion: "4.0.0", Tags: many(t, maybeText),
		Listeners: many(t, drawListener), EndpointGroups: many(t, drawGroup), Plans: drawPlans(t),
		Properties: many(t, func(t *rapid.T) apidef.Property {
			return apidef.Property{Key: maybeText(t), Value: maybeText(t), Encrypted: yes(t), Encryptable: yes(t), Dynamic: yes(t)}
		}),
		Resources: many(t, func(t *rapid.T) apidef.Resource {
			return apidef.Resource{Name: maybeText(t), Type: maybeText(t), Enabled: maybe(t, yes), Configuration: maybeObject(t), Ref: maybeObject(t)}
		}),
		FlowExecution: maybe(t, func(t *rapid.T) apidef.FlowExecution {
			return apidef.FlowExecution{Mode: oneOf(t, "", "default", "best-match"), MatchRequired: yes(t)}
		}),
		Flows: many(t, drawFlow), ResponseTemplates: drawTemplates(t), Analytics: maybe(t, drawAnalytics), Failover: maybe(t, drawFailover),
		Services:       maybe(t, func(t *rapid.T) apidef.APIServices { return apidef.APIServices{DynamicProperty: maybe(t, drawService)} }),
		State:          oneOf(t, "", "STARTED", "STOPPED"),
		LifecycleState: oneOf(t, "", "CREATED", "PUBLISHED", "UNPUBLISHED", "DEPRECATED", "ARCHIVED"),
		Visibility:     oneOf(t, "", "PUBLIC", "PRIVATE"),
		Labels:         many(t, maybeText), Categories: many(t, maybeText), Groups: many(t, maybeText),
		DefinitionContext: maybeObject(t), Metadata: maybeObject(t), Members: maybeObject(t), Pages: maybeObject(t),
	}
	if yes(t) {
		a.Carried = map[string]json.RawMessage{"/contextRef": maybeObjectOr(t, `{}`)}
	}
	drawUnknown(t, a)
	return a
}

// drawUnknown puts unknown members into some of the objects.
func drawUnknown(t *rapid.T, a *apidef.API) {
	for _, at := range []struct {
		pointer string
		exists  bool
	}{
		{"", true}, {"/listeners/0", len(a.Listeners) > 0}, {"/plans/1", len(a.Plans) > 1}, {"/flows/0", len(a.Flows) > 0},
		{"/analytics", a.Analytics != nil}, {"/failover", a.Failover != nil},
	} {
		if at.exists && yes(t) {
			if a.Unknown == nil {
				a.Unknown = map[string]json.RawMessage{}
			}
			name := oneOf(t, "x-owner", "x~0/y", "", "X")
			if name == "" {
				name = "~1"
			}
			a.Unknown[at.pointer+"/"+escape(name)] = drawJSON(t, 2)
		}
	}
}

func escape(name string) string {
	out := ""
	for _, r := range name {
		switch r {
		case '~':
			out += "~0"
		case '/':
			out += "~1"
		default:
			out += string(r)
		}
	}
	return out
}

func drawListener(t *rapid.T) apidef.Listener {
	return apidef.Listener{
		Type: oneOf(t, apidef.ListenerHTTP, apidef.ListenerSubscription, apidef.ListenerTCP, apidef.ListenerKafka),
		Entrypoints: many(t, func(t *rapid.T) apidef.Entrypoint {
			return apidef.Entrypoint{
				Type: maybeText(t), QoS: oneOf(t, "", "none", "auto", "at-most-once", "at-least-once"), Configuration: maybeObject(t),
				DLQ: maybe(t, func(t *rapid.T) apidef.DLQ { return apidef.DLQ{Endpoint: maybeText(t)} }),
			}
		}),
		Servers: many(t, maybeText), PathMappings: many(t, maybeText), Hosts: many(t, maybeText), Host: maybeText(t), Port: number(t),
		Logging: maybeObject(t),
		Paths: many(t, func(t *rapid.T) apidef.Path {
			return apidef.Path{Host: maybeText(t), Path: oneOf(t, "/", "/a/", "/a b/%20/ü/"), OverrideAccess: yes(t)}
		}),
		CORS: maybe(t, func(t *rapid.T) apidef.CORS {
			return apidef.CORS{
				Enabled: yes(t), AllowOrigin: many(t, maybeText), ExposeHeaders: many(t, maybeText), MaxAge: maybe(t, number),
				AllowCredentials: yes(t), AllowMethods: many(t, drawMethod), AllowHeaders: many(t, maybeText), RunPolicies: yes(t),
			}
		}),
	}
}

func drawMethod(t *rapid.T) string { return oneOf(t, "GET", "POST", "OTHER") }

func drawGroup(t *rapid.T) apidef.EndpointGroup {
	return apidef.EndpointGroup{
		Name: maybeText(t), Type: maybeText(t), SharedConfiguration: maybeObject(t), Services: maybe(t, drawServices),
		LoadBalancer: maybe(t, func(t *rapid.T) apidef.LoadBalancer {
			return apidef.LoadBalancer{Type: oneOf(t, "", "round-robin", "random", "weighted-round-robin", "weighted-random")}
		}),
		Endpoints: many(t, func(t *rapid.T) apidef.Endpoint {
			return apidef.Endpoint{
				Name: maybeText(t), Type: maybeText(t), Secondary: yes(t), Weight: maybe(t, number), InheritConfiguration: yes(t),
				Configuration: maybeObject(t), SharedConfigurationOverride: maybeObject(t), Tenants: many(t, maybeText), Services: maybe(t, drawServices),
			}
		}),
		HTTP: maybeObject(t), SSL: maybeObject(t), Headers: maybeObject(t),
	}
}

func drawServices(t *rapid.T) apidef.GroupServices {
	return apidef.GroupServices{Discovery: maybe(t, drawService), HealthCheck: maybe(t, drawService)}
}

func drawService(t *rapid.T) apidef.Service {
	return apidef.Service{Enabled: maybe(t, yes), OverrideConfiguration: yes(t), Type: maybeText(t), Configuration: maybeObject(t)}
}

// drawPlans gives plans all that manifests would give them by default, so that every dialect can hold them.
func drawPlans(t *rapid.T) []apidef.Plan {
	plans := many(t, func(t *rapid.T) apidef.Plan {
		p := apidef.Plan{
			ID: maybeText(t), CrossID: maybeText(t), Name: someText(t), Description: maybeText(t), Mode: oneOf(t, "", "standard"),
			SelectionRule: maybeText(t), Flows: many(t, drawFlow), Tags: many(t, maybeText),
			Status: oneOf(t, apidef.PlanStaging, apidef.PlanPublished, apidef.PlanDeprecated, apidef.PlanClosed),
			Type:   oneOf(t, "", "API", "CATALOG"), Validation: oneOf(t, "AUTO", "MANUAL"), Order: number(t),
			Characteristics: many(t, maybeText), ExcludedGroups: many(t, maybeText), GeneralConditions: maybeText(t),
			CommentRequired: yes(t), CommentMessage: maybeText(t), BootstrapPort: number(t), BrokerRangeStart: number(t), BrokerRangeEnd: number(t),
			Security: maybe(t, func(t *rapid.T) apidef.PlanSecurity {
				return apidef.PlanSecurity{Type: oneOf(t, "key-less", "api-key", "jwt", "oauth2", "mtls"), Configuration: maybeObject(t)}
			}),
		}
		if p.Security == nil {
			p.Mode = "push"
		}
		return p
	})
	for i := range plans {
		plans[i].Key = strconv.Itoa(i) + maybeText(t)
	}
	return plans
}

func drawFlow(t *rapid.T) apidef.Flow {
	return apidef.Flow{
		ID: maybeText(t), Name: maybeText(t), Enabled: maybe(t, yes), Tags: many(t, maybeText), Request: many(t, drawStep), Response: many(t, drawStep),
		Subscribe: many(t, drawStep), Publish: many(t, drawStep), Connect: many(t, drawStep), Interact: many(t, drawStep), EntrypointConnect: many(t, drawStep),
		Selectors: many(t, func(t *rapid.T) apidef.Selector {
			return apidef.Selector{
				Type: oneOf(t, "http", "channel", "condition"), Path: maybeText(t), PathOperator: oneOf(t, "", "STARTS_WITH", "EQUALS"),
				Methods: many(t, drawMethod), Channel: maybeText(t), ChannelOperator: oneOf(t, "", "STARTS_WITH", "EQUALS"),
				Operations:  many(t, func(t *rapid.T) string { return oneOf(t, "subscribe", "publish") }),
				Entrypoints: many(t, maybeText), Condition: maybeText(t),
			}
		}),
	}
}

func drawStep(t *rapid.T) apidef.Step {
	return apidef.Step{
		Name: maybeText(t), Description: maybeText(t), Enabled: maybe(t, yes), Policy: maybeText(t), Configuration: maybeObject(t),
		Condition: maybeText(t), MessageCondition: maybeText(t), SharedPolicyGroupRef: maybeObject(t),
	}
}

func drawTemplates(t *rapid.T) map[string]map[string]apidef.ResponseTemplate {
	var all map[string]map[string]apidef.ResponseTemplate
	for _, key := range many(t, maybeText) {
		if all == nil {
			all = map[string]map[string]apidef.ResponseTemplate{}
		}
		template := apidef.ResponseTemplate{Status: number(t), Body: maybeText(t), PropagateErrorKeyToLogs: yes(t)}
		if yes(t) {
			template.Headers = map[string]string{someText(t): maybeText(t)}
		}
		all[key] = map[string]apidef.ResponseTemplate{maybeText(t): template}
	}
	return all
}

func drawAnalytics(t *rapid.T) apidef.Analytics {
	return apidef.Analytics{
		Enabled: maybe(t, yes), Logging: maybeObject(t),
		MessageSampling: maybe(t, func(t *rapid.T) apidef.Sampling {
			return apidef.Sampling{Type: oneOf(t, "count", "probability", "temporal", "windowed-count"), Value: maybeText(t)}
		}),
		Tracing: maybe(t, func(t *rapid.T) apidef.Tracing { return apidef.Tracing{Enabled: yes(t), Verbose: yes(t)} }),
	}
}

func drawFailover(t *rapid.T) apidef.Failover {
	return apidef.Failover{
		Enabled: yes(t), MaxRetries: maybe(t, number), SlowCallDurationMS: maybe(t, number), OpenStateDurationMS: maybe(t, number),
		MaxFailures: maybe(t, number), PerSubscription: maybe(t, yes),
	}
}

// drawJSON makes compact JSON, numbers of any size and precision among it.
func drawJSON(t *rapid.T, depth int) json.RawMessage {
	switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
	case kind == 0 && depth > 0:
		return maybeObjectOr(t, `{}`)
	case kind == 1:
		return json.RawMessage(oneOf(t, "0", "-0", "1.50", "1e400", "-12345678901234567890.0", "0.1E-7", "true", "false"))
	case kind == 2 && depth > 0:
		return json.RawMessage("[" + string(drawJSON(t, depth-1)) + ",null]")
	}
	return quoted(maybeText(t))
}

func maybeObject(t *rapid.T) json.RawMessage { return maybeObjectOr(t, "") }

func maybeObjectOr(t *rapid.T, otherwise string) json.RawMessage {
	if !yes(t) {
		if otherwise == "" {
			return nil
		}
		return json.RawMessage(otherwise)
	}
	return json.RawMessage("{" + string(quoted("a"+maybeText(t))) + ":" + string(drawJSON(t, 1)) + `,"b":null}`)
}
