// Package catalog tells the rules of a definition (proto/apidef) which connectors this binary has, and the control plane
// what it would refuse to deploy. It is the one place where the definition model meets the connector catalogs.
package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
)

// Connectors whose APIs can be stored and listed, but not deployed by this version: the PROXY and NATIVE kinds.
var (
	storedEntrypoints = map[string]apidef.EntrypointInfo{
		"http-proxy":   {Listener: apidef.ListenerHTTP, API: apidef.TypeProxy, Modes: []string{"request-response"}},
		"tcp-proxy":    {Listener: apidef.ListenerTCP, API: apidef.TypeProxy, Modes: []string{"socket"}},
		"native-kafka": {Listener: apidef.ListenerKafka, API: apidef.TypeNative},
	}
	storedEndpoints = map[string]apidef.EndpointInfo{
		"http-proxy":   {API: apidef.TypeProxy, Modes: []string{"request-response"}},
		"tcp-proxy":    {API: apidef.TypeProxy, Modes: []string{"socket"}},
		"native-kafka": {API: apidef.TypeNative},
	}
)

// Validation is what definitions are held against, given the connectors of this binary.
func Validation(entrypoints connectors.Entrypoints, endpoints connectors.Endpoints) apidef.Validation {
	ins, outs := maps.Clone(storedEntrypoints), maps.Clone(storedEndpoints)
	for typ, e := range entrypoints {
		ins[typ] = apidef.EntrypointInfo{Listener: e.Listener, API: apidef.TypeMessage, QoS: names(qos.LevelsOf(typ)), Modes: modes(e.Modes), Features: features(e)}
	}
	for typ, e := range endpoints {
		outs[typ] = apidef.EndpointInfo{API: apidef.TypeMessage, QoS: names(qos.LevelsOfEndpoint(typ)), Modes: modes(e.Modes)}
	}
	return apidef.Validation{
		Entrypoint:      func(typ string) (apidef.EntrypointInfo, bool) { info, ok := ins[typ]; return info, ok },
		Endpoint:        func(typ string) (apidef.EndpointInfo, bool) { info, ok := outs[typ]; return info, ok },
		EntrypointTypes: slices.Sorted(maps.Keys(ins)),
		EndpointTypes:   slices.Sorted(maps.Keys(outs)),
		Promised: func(typ string) bool {
			return slices.Contains(qos.Entrypoints(), typ) || slices.Contains(qos.Endpoints(), typ)
		},
		SupportedQoS: qos.SupportedNames,
		ExplainQoS:   qos.RefusalOf,
		CheckEntrypoint: func(typ string, cfg json.RawMessage) apidef.Problems {
			if e, ok := entrypoints[typ]; ok && e.Check != nil {
				return e.Check(cfg)
			}
			return nil
		},
		CheckEndpoint: func(typ string, cfg, shared json.RawMessage) apidef.Problems {
			if e, ok := endpoints[typ]; ok && e.Check != nil {
				return place(e.Check(cfg, shared))
			}
			return nil
		},
	}
}

// place rewrites an endpoint's pointers (see connectors.EndpointType.Check) as the rules of a definition want them.
func place(found apidef.Problems) apidef.Problems {
	out := slices.Clone(found)
	for i, p := range out {
		if rest, ok := strings.CutPrefix(p.Pointer, connectors.SharedPrefix); ok && (rest == "" || rest[0] == '/') {
			out[i].Pointer = apidef.InSharedConfiguration + rest
		} else {
			out[i].Pointer = apidef.InConfiguration + p.Pointer
		}
	}
	return out
}

func names(levels []qos.Level) []string {
	out := make([]string, 0, len(levels))
	for _, l := range levels {
		out = append(out, l.String())
	}
	return out
}

// features are what the rules of a definition ask for: who pushes can have dead letters (spec 1.3).
func features(e connectors.EntrypointType) []string {
	if e.CheckSubscription != nil {
		return []string{apidef.FeatureDLQ}
	}
	return nil
}

func modes(m connectors.Mode) []string {
	var out []string
	for bit, name := range map[connectors.Mode]string{connectors.Publish: "publish", connectors.Subscribe: "subscribe",
		connectors.RequestResponse: "request-response", connectors.Socket: "socket"} {
		if m&bit != 0 {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, strings.Compare)
	return out
}

// CheckSubscription holds the configuration of a subscription against its entrypoint: every problem, pointers relative to
// the configuration. It reports false for a type that this binary has not, or that serves no subscriptions.
func CheckSubscription(entrypoints connectors.Entrypoints) func(typ string, cfg json.RawMessage) (apidef.Problems, bool) {
	return func(typ string, cfg json.RawMessage) (apidef.Problems, bool) {
		e, ok := entrypoints[typ]
		if !ok || e.CheckSubscription == nil {
			return nil, false
		}
		return e.CheckSubscription(cfg), true
	}
}
