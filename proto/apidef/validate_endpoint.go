package apidef

import "strings"

// checkGroups applies the rules of spec 1.6.
func (c *checker) checkGroups() {
	groups, endpoints := map[string]bool{}, map[string]bool{}
	for i := range c.api.EndpointGroups {
		g, at := &c.api.EndpointGroups[i], itemOf("/endpointGroups", i)
		c.checkName(at+"/name", g.Name, groups, CodeGroupNameExists, "group")
		if c.knownEndpoint(at+"/type", g.Type, CodeGroupTypeInvalid) && len(g.Endpoints) == 0 && !discovers(g) {
			c.fail(at+"/endpoints", CodeEndpointMissing, "is required: a group without service discovery needs an endpoint")
		}
		c.checkServices(at+"/services", g.Services)
		for j := range g.Endpoints {
			e, here := &g.Endpoints[j], itemOf(at+"/endpoints", j)
			c.checkName(here+"/name", e.Name, endpoints, CodeEndpointNameExists, "endpoint")
			c.checkServices(here+"/services", e.Services)
			if e.Weight != nil && *e.Weight < 0 {
				c.fail(here+"/weight", CodeValueInvalid, "must be 0 or more")
			}
			c.checkEndpoint(at, here, g, e)
		}
	}
}

func (c *checker) checkName(at, name string, seen map[string]bool, exists, what string) {
	if strings.Contains(name, ":") {
		c.fail(at, CodeEndpointInvalid, "must not contain a colon")
	}
	if name != "" && strings.TrimSpace(name) == "" {
		c.fail(at, CodeEndpointInvalid, "must not be blank")
	}
	if seen[name] && name != "" {
		c.fail(at, exists, "%s is the name of another %s; choose another", name, what)
	}
	seen[name] = true
}

// knownEndpoint checks a connector's type, which is reported as missing elsewhere where it is empty.
func (c *checker) knownEndpoint(at, typ, code string) bool {
	if typ == "" || c.env.Endpoint == nil {
		return true
	}
	info, ok := c.env.Endpoint(typ)
	switch {
	case !ok:
		c.fail(at, code, "%s%s%s", typ, c.unknown(typ, "endpoint"), known(c.env.EndpointTypes))
	case info.API != c.api.Type:
		c.fail(at, code, "%s belongs to %s APIs, not to %s APIs", typ, info.API, c.api.Type)
	default:
		return true
	}
	return false
}

func (c *checker) checkEndpoint(group, at string, g *EndpointGroup, e *Endpoint) {
	if e.Type == "" {
		return
	}
	if e.Type != g.Type && g.Type != "" {
		c.fail(at+"/type", CodeEndpointTypeInvalid, "must be %s, the type of its group, not %s", g.Type, e.Type)
		return
	}
	if c.env.CheckEndpoint == nil || c.env.Endpoint != nil && !c.servedEndpoint(e.Type) {
		return
	}
	shared, sharedAt := e.SharedConfigurationOverride, at+"/sharedConfigurationOverride"
	if e.InheritConfiguration {
		shared, sharedAt = g.SharedConfiguration, group+"/sharedConfiguration"
	}
	found := c.env.CheckEndpoint(e.Type, e.Configuration, shared)
	for _, p := range found {
		if rest, ok := strings.CutPrefix(p.Pointer, InSharedConfiguration); ok {
			p.Pointer = rest
			c.adopt(sharedAt, Problems{p})
			continue
		}
		c.adopt(at, Problems{p})
	}
}

// servedEndpoint spares settings the check where their connector is reported already.
func (c *checker) servedEndpoint(typ string) bool {
	info, ok := c.env.Endpoint(typ)
	return ok && info.API == c.api.Type
}

func discovers(g *EndpointGroup) bool {
	return g.Services != nil && g.Services.Discovery != nil && enabled(g.Services.Discovery.Enabled)
}

// enabled reads a switch that is on unless it is turned off.
func enabled(b *bool) bool { return b == nil || *b }

func (c *checker) checkServices(at string, s *GroupServices) {
	if s == nil {
		return
	}
	c.checkService(at+"/discovery", s.Discovery)
	c.checkService(at+"/healthCheck", s.HealthCheck)
}

func (c *checker) checkService(at string, s *Service) {
	if s != nil && s.Type == "" && enabled(s.Enabled) {
		c.fail(at+"/type", CodeMemberMissing, "is required")
	}
}
