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

// connect finds what is behind an entrypoint: the first group that can do all that the entrypoint needs, and by name all
// others that can (spec 3.0).
func (b *builder) connect(at, entrypoint string, modes connectors.Mode, level qos.Level, behind *backend) bool {
	first := -1
	for i := range b.def.EndpointGroups {
		if typ := b.groupType(i, modes); typ != "" {
			if !slices.Contains(qos.Supported(entrypoint, typ), level) {
				b.failQoS(at, entrypoint, typ, level)
				return false
			}
			first = i
			break
		}
	}
	if first < 0 {
		whose := ""
		if b.cfg.Tenant != "" {
			whose = fmt.Sprintf(" on a worker of tenant %q", b.cfg.Tenant)
		}
		b.fail(at+"/type", codeNoEndpoint, "no endpoint of this API can do what entrypoint %q needs%s", entrypoint, whose)
		return false
	}
	behind.modes = modes
	p := b.pool(first, level)
	if p == nil {
		return false
	}
	behind.route = b.route(p, entrypoint, b.groupType(first, modes), modes)
	behind.named = b.named(entrypoint, modes, level)
	return true
}

// groupType returns the type of a group's endpoints where they are for this worker and have all the modes, else "". The
// endpoints of a group are of one type (spec 1.6).
func (b *builder) groupType(group int, modes connectors.Mode) string {
	for j := range b.def.EndpointGroups[group].Endpoints {
		e := &b.def.EndpointGroups[group].Endpoints[j]
		if typ, ok := b.cfg.Endpoints[e.Type]; ok && typ.Modes&modes == modes && b.forTenant(e) {
			return e.Type
		}
	}
	return ""
}

// forTenant tells whether an endpoint is for workers of this one's tenant: all are where the worker has none, and those that
// name no tenant are for all (spec 1.6).
func (b *builder) forTenant(e *apidef.Endpoint) bool {
	return b.cfg.Tenant == "" || len(e.Tenants) == 0 || slices.Contains(e.Tenants, b.cfg.Tenant)
}

// pool returns what a group's load balancer chooses from, one for all entrypoints; nil where one of its endpoints cannot be
// built, which is told.
func (b *builder) pool(group int, level qos.Level) *pool {
	if p, ok := b.pools[group]; ok {
		return p
	}
	b.pools[group] = nil
	g := &b.def.EndpointGroups[group]
	var members []*member
	var secondary []bool
	for j := range g.Endpoints {
		if !b.forTenant(&g.Endpoints[j]) {
			continue
		}
		if typ := g.Endpoints[0].Type; g.Endpoints[j].Type != typ {
			b.fail(fmt.Sprintf("/endpointGroups/%d/endpoints/%d/type", group, j), codeEndpoint, "must be %s, the type of its group, not %s", typ, g.Endpoints[j].Type)
			return nil
		}
		m := b.member(group, j, level)
		if m == nil {
			return nil
		}
		members, secondary = append(members, m), append(secondary, g.Endpoints[j].Secondary)
	}
	name := ""
	if g.LoadBalancer != nil {
		name = g.LoadBalancer.Type
	}
	s, ok := strategies[name]
	if !ok {
		b.fail(fmt.Sprintf("/endpointGroups/%d/loadBalancer/type", group), codeBalancer, "%q is no load balancer; choose one of: round-robin, random, weighted-round-robin, weighted-random", name)
		return nil
	}
	if len(members) > 1 {
		for _, m := range members {
			m.watched = true
		}
	}
	b.pools[group] = newPool(members, secondary, s)
	return b.pools[group]
}

func (b *builder) route(p *pool, entrypoint, typ string, modes connectors.Mode) *route {
	r := &route{pool: p}
	if modes&connectors.Subscribe != 0 {
		r.deliveries = b.deliveries(entrypoint, typ)
	}
	return r
}

// named returns the routes that the attribute request.endpoint can choose for an entrypoint: the groups and endpoints that
// have the modes. Of an endpoint and a group of one name it means the endpoint.
func (b *builder) named(entrypoint string, modes connectors.Mode, level qos.Level) map[string]*route {
	out := map[string]*route{}
	for i := range b.def.EndpointGroups {
		g := &b.def.EndpointGroups[i]
		typ := b.groupType(i, modes)
		if typ == "" {
			continue
		}
		if !slices.Contains(qos.Supported(entrypoint, typ), level) {
			out[g.Name] = &route{refusal: incompatible()}
		} else if p := b.pool(i, level); p != nil {
			out[g.Name] = b.route(p, entrypoint, typ, modes)
		}
	}
	for i := range b.def.EndpointGroups {
		for j := range b.def.EndpointGroups[i].Endpoints {
			e := &b.def.EndpointGroups[i].Endpoints[j]
			typ, ok := b.cfg.Endpoints[e.Type]
			if !ok || typ.Modes&modes != modes || !b.forTenant(e) {
				continue
			}
			if !slices.Contains(qos.Supported(entrypoint, e.Type), level) {
				out[e.Name] = &route{refusal: incompatible()}
			} else if m := b.member(i, j, level); m != nil {
				out[e.Name] = b.route(single(m), entrypoint, e.Type, modes)
			}
		}
	}
	return out
}

// deadLetters finds the endpoint, or else the group, that takes what cannot be delivered (spec 2.5, 4.3).
func (b *builder) deadLetters(at string, e *apidef.Entrypoint, typ connectors.EntrypointType, level qos.Level) *pool {
	if typ.CheckSubscription == nil && !b.def.BuriesMessages() {
		b.fail(at, codeDLQUnsupported, "entrypoint %q has no dead letters: it does not push, and no step has the failure mode dead-letter; remove dlq", e.Type)
		return nil
	}
	at += "/endpoint"
	name := e.DLQ.Endpoint
	for i := range b.def.EndpointGroups {
		for j := range b.def.EndpointGroups[i].Endpoints {
			if to := &b.def.EndpointGroups[i].Endpoints[j]; to.Name == name && name != "" && b.forTenant(to) {
				if m := b.member(i, j, level); m != nil && b.takesDeadLetters(at, to) {
					return single(m)
				}
				return nil
			}
		}
	}
	for i := range b.def.EndpointGroups {
		g := &b.def.EndpointGroups[i]
		if g.Name != name || name == "" || len(g.Endpoints) == 0 {
			continue
		}
		if p := b.pool(i, level); p != nil && len(p.members) > 0 && b.takesDeadLetters(at, &g.Endpoints[0]) {
			return p
		}
		break
	}
	if b.problems.Err() == nil {
		b.fail(at, codeDLQInvalid, "%q is no endpoint and no endpoint group of this API; name one that publishes", name)
	}
	return nil
}

func (b *builder) takesDeadLetters(at string, e *apidef.Endpoint) bool {
	if b.cfg.Endpoints[e.Type].Modes&connectors.Publish == 0 {
		b.fail(at, codeDLQInvalid, "endpoint %q of type %s takes no messages; name one that publishes", e.Name, e.Type)
		return false
	}
	return true
}

// member builds the endpoint at a place of the definition, once; nil where it cannot be. level is that of the first
// entrypoint that uses it; each exchange carries its own.
func (b *builder) member(group, index int, level qos.Level) *member {
	g := &b.def.EndpointGroups[group]
	e := &g.Endpoints[index]
	at := fmt.Sprintf("/endpointGroups/%d/endpoints/%d", group, index)
	if done, ok := b.built[at]; ok {
		return done
	}
	b.built[at] = nil
	typ, ok := b.cfg.Endpoints[e.Type]
	if !ok {
		b.unknownEndpoint(at, e.Type)
		return nil
	}
	if !b.checkEndpoint(at, group, index) {
		return nil
	}
	c, err := typ.New(e.Configuration, shared(g, e), b.env(level, "endpoint", e.Name))
	if err != nil {
		b.failNew(at+"/configuration", err)
		return nil
	}
	out := &member{name: e.Name, place: len(b.api.endpoints) + 1, weight: 1}
	if e.Weight != nil {
		out.weight = *e.Weight
	}
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
				b.unknownEndpoint(at, e.Type)
				continue
			}
			b.checkEndpoint(at, i, j)
		}
	}
}

func (b *builder) unknownEndpoint(at, typ string) {
	b.fail(at+"/type", codeEndpoint, "endpoint %q is not served by this version; known are %s", typ, strings.Join(b.cfg.Endpoints.Names(), ", "))
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
		Loop: b.cfg.Loop, Brokers: b.cfg.Brokers, WebhookAllow: b.cfg.WebhookAllow}
}
