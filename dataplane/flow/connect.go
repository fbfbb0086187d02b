package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
)

// built is an endpoint in use.
type built struct {
	endpoint  connectors.Endpoint
	publisher connectors.Publisher
	source    connectors.Source
}

// listeners builds the entrypoints of all listeners, each with the endpoint it goes to.
func (b *builder) listeners() {
	for i := range b.def.Listeners {
		l := &b.def.Listeners[i]
		at := fmt.Sprintf("/listeners/%d", i)
		if l.Type == apidef.ListenerHTTP {
			b.routes(at, l)
		}
		for j := range l.Entrypoints {
			b.entrypoint(fmt.Sprintf("%s/entrypoints/%d", at, j), l.Type, &l.Entrypoints[j])
		}
	}
	if len(b.api.entrypoints) == 0 && b.problems.Err() == nil {
		b.fail("/listeners", codeEntrypoints, "has no entrypoint")
	}
}

func (b *builder) entrypoint(at string, listener apidef.ListenerType, e *apidef.Entrypoint) {
	typ, ok := b.cfg.Entrypoints[e.Type]
	switch {
	case !ok:
		b.fail(at+"/type", codeEntrypoint, "entrypoint %q is not served by this version; known are %s", e.Type, strings.Join(b.cfg.Entrypoints.Names(), ", "))
		return
	case typ.Listener != listener:
		b.fail(at+"/type", codeEntrypoint, "entrypoint %q belongs to a listener of type %s, not %s", e.Type, typ.Listener, listener)
		return
	case e.DLQ != nil:
		b.fail(at+"/dlq", "listeners.entrypoints.dlq.unsupported", "entrypoint %q has no dead letters", e.Type)
	}
	level, ok := qos.ParseLevel(e.QoS)
	if !ok {
		b.fail(at+"/qos", codeQoS, "%q is no quality of service", e.QoS)
		return
	}
	counters := b.cfg.Counters.For(b.api.Info.ID, e.Type)
	behind := &backend{api: b.api, counters: counters}
	if !b.connect(at, e.Type, typ.Modes, level, behind) {
		return
	}
	if typ.Check != nil {
		ps := typ.Check(e.Configuration)
		b.add(at+"/configuration", ps)
		if ps.Err() != nil {
			return
		}
	}
	c, err := typ.New(e.Configuration, b.env(level, "entrypoint", e.Type))
	if err != nil {
		b.failNew(at+"/configuration", err)
		return
	}
	drainer, _ := c.(connectors.Drainer)
	b.api.drainers = b.api.drainers || drainer != nil
	b.api.entrypoints = append(b.api.entrypoints, entrypoint{Entrypoint: c, typ: e.Type, criteria: typ.Criteria, level: level,
		drainer: drainer, backend: behind, counters: counters})
}

// connect finds the endpoint of an entrypoint: the first group whose connector can do all that the entrypoint needs, the
// first endpoint in it (spec 3.0).
func (b *builder) connect(at, entrypoint string, modes connectors.Mode, level qos.Level, behind *backend) bool {
	for i := range b.def.EndpointGroups {
		g := &b.def.EndpointGroups[i]
		for j := range g.Endpoints {
			e := &g.Endpoints[j]
			typ, ok := b.cfg.Endpoints[e.Type]
			if !ok || typ.Modes&modes != modes {
				continue // an unknown one is reported by unusedEndpoints
			}
			supported := qos.Supported(entrypoint, e.Type)
			if !slices.Contains(supported, level) {
				b.failQoS(at, entrypoint, e.Type, level)
				return false
			}
			to := b.endpoint(i, j, level)
			if to == nil {
				return false
			}
			if modes&connectors.Publish != 0 {
				behind.publisher = to.publisher
			}
			if modes&connectors.Subscribe != 0 {
				behind.source = to.source
				behind.deliveries = b.deliveries(entrypoint, e.Type)
			}
			return true
		}
	}
	b.fail(at+"/type", codeNoEndpoint, "no endpoint of this API can do what entrypoint %q needs", entrypoint)
	return false
}

func (b *builder) failQoS(at, entrypoint, endpoint string, level qos.Level) {
	place := "/qos"
	if len(qos.Supported(entrypoint, endpoint)) == 0 {
		place = "/type" // no level helps
	}
	b.fail(at+place, codeQoS, "%s", qos.Refusal(entrypoint, endpoint, level))
}

// endpoint builds the endpoint at a place of the definition, once. level is that of the first entrypoint that uses it;
// each exchange carries its own.
func (b *builder) endpoint(group, index int, level qos.Level) *built {
	g := &b.def.EndpointGroups[group]
	e := &g.Endpoints[index]
	at := fmt.Sprintf("/endpointGroups/%d/endpoints/%d", group, index)
	if done, ok := b.built[at]; ok {
		return done
	}
	if b.built == nil {
		b.built = map[string]*built{}
	}
	b.built[at] = nil
	if !b.checkEndpoint(at, group, index) {
		return nil
	}
	typ := b.cfg.Endpoints[e.Type]
	c, err := typ.New(e.Configuration, shared(g, e), b.env(level, "endpoint", e.Name))
	if err != nil {
		b.failNew(at+"/configuration", err)
		return nil
	}
	out := &built{endpoint: c}
	out.publisher, _ = c.(connectors.Publisher)
	out.source, _ = c.(connectors.Source)
	if typ.Modes&connectors.Publish != 0 && out.publisher == nil || typ.Modes&connectors.Subscribe != 0 && out.source == nil {
		b.fail(at+"/type", codeEndpoint, "connector %q does not have the modes that its catalog entry claims", e.Type)
		return nil
	}
	b.built[at] = out
	b.api.endpoints = append(b.api.endpoints, endpoint{Endpoint: c, name: e.Name})
	return out
}

// unusedEndpoints checks the endpoints that no entrypoint goes to: a mistake in one must not show only when it is used.
func (b *builder) unusedEndpoints() {
	for i := range b.def.EndpointGroups {
		for j, e := range b.def.EndpointGroups[i].Endpoints {
			at := fmt.Sprintf("/endpointGroups/%d/endpoints/%d", i, j)
			if _, seen := b.built[at]; seen {
				continue
			}
			if _, ok := b.cfg.Endpoints[e.Type]; !ok {
				b.fail(at+"/type", codeEndpoint, "endpoint %q is not served by this version; known are %s", e.Type, strings.Join(b.cfg.Endpoints.Names(), ", "))
				continue
			}
			b.checkEndpoint(at, i, j)
		}
	}
}

func (b *builder) checkEndpoint(at string, group, index int) bool {
	g := &b.def.EndpointGroups[group]
	e := &g.Endpoints[index]
	check := b.cfg.Endpoints[e.Type].Check
	if check == nil {
		return true
	}
	sharedAt := at + "/sharedConfigurationOverride"
	if e.InheritConfiguration {
		sharedAt = fmt.Sprintf("/endpointGroups/%d/sharedConfiguration", group)
	}
	ps := check(e.Configuration, shared(g, e))
	for _, p := range ps {
		if rest, ok := strings.CutPrefix(p.Pointer, "/shared"); ok && (rest == "" || rest[0] == '/') {
			p.Pointer = sharedAt + rest
		} else {
			p.Pointer = at + "/configuration" + p.Pointer
		}
		b.problems = append(b.problems, p)
	}
	return ps.Err() == nil
}

// shared is the shared configuration that takes effect for an endpoint (spec 1.6, 4.x).
func shared(g *apidef.EndpointGroup, e *apidef.Endpoint) json.RawMessage {
	if e.InheritConfiguration {
		return g.SharedConfiguration
	}
	return e.SharedConfigurationOverride
}

// failNew takes over what a constructor refused.
func (b *builder) failNew(at string, err error) {
	var ps apidef.Problems
	if errors.As(err, &ps) {
		b.add(at, ps)
		return
	}
	b.fail(at, connectors.CodeInvalid, "%v", err)
}

func (b *builder) env(level qos.Level, key, name string) connectors.Env {
	return connectors.Env{Log: b.log.With(key, name), Meter: b.cfg.Meter, API: b.api.Info, QoS: level, Limits: b.cfg.Limits,
		Loop: b.cfg.Loop, Brokers: b.cfg.Brokers}
}
