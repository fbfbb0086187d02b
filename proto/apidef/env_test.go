package apidef_test

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

var allLevels = []string{"none", "auto", "at-most-once", "at-least-once"}

var entrypoints = map[string]apidef.EntrypointInfo{
	"http-post":    {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: []string{"none", "auto"}},
	"http-get":     {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: []string{"auto", "at-most-once", "at-least-once"}},
	"sse":          {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: allLevels},
	"websocket":    {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: allLevels},
	"webhook":      {Listener: apidef.ListenerSubscription, API: apidef.TypeMessage, QoS: allLevels, Features: []string{apidef.FeatureDLQ}},
	"http-proxy":   {Listener: apidef.ListenerHTTP, API: apidef.TypeProxy},
	"tcp-proxy":    {Listener: apidef.ListenerTCP, API: apidef.TypeProxy},
	"native-kafka": {Listener: apidef.ListenerKafka, API: apidef.TypeNative},
}

var endpoints = map[string]apidef.EndpointInfo{
	"kafka":        {API: apidef.TypeMessage, Modes: []string{"subscribe", "publish"}},
	"mqtt5":        {API: apidef.TypeMessage, Modes: []string{"subscribe", "publish"}},
	"mock":         {API: apidef.TypeMessage, Modes: []string{"subscribe"}},
	"http-proxy":   {API: apidef.TypeProxy, Modes: []string{"request-response"}},
	"tcp-proxy":    {API: apidef.TypeProxy, Modes: []string{"socket"}},
	"native-kafka": {API: apidef.TypeNative},
}

// fakes are connectors and policies enough to reach every rule.
func fakes() apidef.Validation {
	return apidef.Validation{
		Entrypoint:      func(typ string) (apidef.EntrypointInfo, bool) { i, ok := entrypoints[typ]; return i, ok },
		Endpoint:        func(typ string) (apidef.EndpointInfo, bool) { i, ok := endpoints[typ]; return i, ok },
		EntrypointTypes: slices.Sorted(maps.Keys(entrypoints)),
		EndpointTypes:   slices.Sorted(maps.Keys(endpoints)),
		SupportedQoS:    fakeMatrix,
		CheckEntrypoint: fakeEntrypointCheck,
		CheckEndpoint:   fakeEndpointCheck,
		Policy:          func(name string) bool { return name == "debug-log" || name == "message-filtering" },
		PolicyNames:     []string{"debug-log", "message-filtering"},
		CheckPolicy:     fakePolicyCheck,
	}
}

func fakeMatrix(entrypoint, endpoint string) []string {
	switch {
	case entrypoint == "webhook" && endpoint == "mock":
		return nil
	case endpoint == "mqtt5":
		return []string{"none", "auto"}
	}
	return entrypoints[entrypoint].QoS
}

func fakeEntrypointCheck(_ string, cfg json.RawMessage) apidef.Problems {
	var c struct{ HeartbeatIntervalInMs int }
	if json.Unmarshal(cfg, &c) == nil && c.HeartbeatIntervalInMs < 0 {
		return apidef.Problems{{Pointer: "/heartbeatIntervalInMs", Message: "must be 0 or more", Code: "data.invalid"}}
	}
	return nil
}

func fakeEndpointCheck(typ string, cfg, shared json.RawMessage) (found apidef.Problems) {
	var c struct{ BootstrapServers string }
	var s struct{ Security struct{ Protocol string } }
	_ = json.Unmarshal(cfg, &c)
	_ = json.Unmarshal(shared, &s)
	if typ == "kafka" && c.BootstrapServers == "" {
		found = append(found, apidef.Problem{
			Pointer: apidef.InConfiguration + "/bootstrapServers", Message: `is required, e.g. "broker-1:9092,broker-2:9092"`, Code: "data.invalid",
		})
	}
	if s.Security.Protocol == "TELNET" {
		found = append(found, apidef.Problem{
			Pointer: apidef.InSharedConfiguration + "/security/protocol", Message: "TELNET is unknown", Code: "data.invalid", Severity: apidef.Error,
		})
	}
	return found
}

func fakePolicyCheck(name, phase string, cfg json.RawMessage) apidef.Problems {
	if name == "message-filtering" && len(cfg) == 0 {
		return apidef.Problems{{Pointer: "/filter", Message: "is required in " + phase, Code: "data.invalid"}}
	}
	return nil
}
