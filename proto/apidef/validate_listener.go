package apidef

import (
	"slices"
	"strings"
)

// listenersOf says which listeners an API of a type may have (spec 1.3).
var listenersOf = map[Type][]ListenerType{
	TypeMessage: {ListenerHTTP, ListenerSubscription},
	TypeProxy:   {ListenerHTTP, ListenerTCP},
	TypeNative:  {ListenerKafka},
}

func (c *checker) checkListeners() {
	seen := map[ListenerType]bool{}
	paths := map[Path]bool{}
	for i := range c.api.Listeners {
		l, at := &c.api.Listeners[i], itemOf("/listeners", i)
		if _, ok := listenerTypes.parse(string(l.Type)); !ok {
			continue
		}
		if seen[l.Type] {
			c.fail(at+"/type", CodeListenerDuplicate, "the API has another %s listener; put paths and entrypoints into one", l.Type)
		}
		seen[l.Type] = true
		if allowed := listenersOf[c.api.Type]; !slices.Contains(allowed, l.Type) {
			c.fail(at+"/type", CodeListenerUnsupported, "a %s API has no %s listener; choose one of: %s", c.api.Type, l.Type, joined(allowed))
		}
		switch l.Type {
		case ListenerHTTP:
			c.checkPaths(at, l, paths)
			c.checkCORS(at+"/cors", l.CORS)
		case ListenerTCP:
			c.checkTCPHosts(at, l)
		case ListenerKafka:
			c.checkKafkaHost(at, l)
		}
		c.checkIdle(at, l)
		c.checkEntrypoints(at, l)
	}
}

// checkIdle warns of members that another kind of listener has.
func (c *checker) checkIdle(at string, l *Listener) {
	idle := func(name string, given bool, kinds ...ListenerType) {
		if given && !slices.Contains(kinds, l.Type) {
			c.warn(childOf(at, name), CodeMemberIgnored, "has no effect on a listener of type %s", l.Type)
		}
	}
	idle("paths", len(l.Paths) > 0, ListenerHTTP)
	idle("pathMappings", len(l.PathMappings) > 0, ListenerHTTP)
	idle("cors", l.CORS != nil, ListenerHTTP)
	idle("hosts", len(l.Hosts) > 0, ListenerTCP)
	idle("host", l.Host != "", ListenerKafka)
	idle("port", l.Port != 0, ListenerKafka)
	if len(l.Logging) > 0 {
		c.warn(at+"/logging", CodeMemberIgnored, "has moved; write analytics.logging")
	}
}

// checkEntrypoints applies the rules of spec 4.3 and 8.2.
func (c *checker) checkEntrypoints(at string, l *Listener) {
	seen := map[string]bool{}
	for i := range l.Entrypoints {
		e, here := &l.Entrypoints[i], itemOf(at+"/entrypoints", i)
		if e.Type == "" {
			continue // is reported as missing
		}
		if seen[e.Type] {
			c.fail(here+"/type", CodeEntrypointDuplicate, "%s stands twice in this listener; keep one", e.Type)
		}
		seen[e.Type] = true
		c.checkEntrypoint(here, l, e)
	}
}

func (c *checker) checkEntrypoint(at string, l *Listener, e *Entrypoint) {
	if c.env.Entrypoint != nil {
		info, ok := c.env.Entrypoint(e.Type)
		if !ok {
			c.fail(at+"/type", CodeEntrypointUnsupported, "%s%s%s", e.Type, c.unknown(e.Type, "entrypoint"), known(c.env.EntrypointTypes))
			return
		}
		switch {
		case info.API != c.api.Type:
			c.fail(at+"/type", CodeEntrypointUnsupported, "%s belongs to %s APIs, not to %s APIs", e.Type, info.API, c.api.Type)
		case info.Listener != l.Type:
			c.fail(at+"/type", CodeEntrypointUnsupported, "%s belongs on a listener of type %s, not %s", e.Type, info.Listener, l.Type)
		default:
			c.checkQoS(at, e, info)
		}
		c.checkDLQ(at+"/dlq", e, info)
	}
	if c.env.CheckEntrypoint != nil {
		c.adopt(at+"/configuration", c.env.CheckEntrypoint(e.Type, e.Configuration))
	}
}

// checkQoS holds the level against what the entrypoint offers, and against what is possible with every group. A level
// means nothing outside message APIs (spec 1.3).
func (c *checker) checkQoS(at string, e *Entrypoint, info EntrypointInfo) {
	level := e.QoS
	if level == "" {
		level = "auto"
	}
	if _, ok := qosLevels.parse(level); !ok || c.api.Type != TypeMessage {
		return
	}
	if c.checkMatrix(at, e.Type, level) {
		return
	}
	if len(info.QoS) > 0 && !slices.Contains(info.QoS, level) {
		c.fail(at+"/qos", CodeQoSUnsupported, "%s is not possible with %s; choose one of: %s", level, e.Type, strings.Join(info.QoS, ", "))
	}
}

// checkMatrix holds the level against every endpoint group, and tells whether there was one to hold it against.
func (c *checker) checkMatrix(at, entrypoint, level string) bool {
	if c.env.SupportedQoS == nil {
		return false
	}
	told := map[string]bool{}
	for _, g := range c.api.EndpointGroups {
		if g.Type == "" || told[g.Type] || !c.isMessageEndpoint(g.Type) {
			continue
		}
		told[g.Type] = true
		levels := c.env.SupportedQoS(entrypoint, g.Type)
		switch {
		case slices.Contains(levels, level):
		case c.env.ExplainQoS != nil:
			c.fail(at+"/qos", CodeQoSUnsupported, "%s", c.env.ExplainQoS(entrypoint, g.Type, level))
		case len(levels) == 0:
			c.fail(at+"/qos", CodeQoSUnsupported, "no level is possible between %s and %s; choose another endpoint", entrypoint, g.Type)
		default:
			c.fail(at+"/qos", CodeQoSUnsupported, "%s is not possible between %s and %s; choose one of: %s", level, entrypoint, g.Type, strings.Join(levels, ", "))
		}
	}
	return len(told) > 0
}

// isMessageEndpoint keeps the matrix from answering for a connector that is reported already.
func (c *checker) isMessageEndpoint(typ string) bool {
	if c.env.Endpoint == nil {
		return true
	}
	info, ok := c.env.Endpoint(typ)
	return ok && info.API == TypeMessage
}

func (c *checker) checkDLQ(at string, e *Entrypoint, info EntrypointInfo) {
	if e.DLQ == nil || e.DLQ.Endpoint == "" {
		return
	}
	if !slices.Contains(info.Features, FeatureDLQ) && !c.api.BuriesMessages() {
		c.fail(at, CodeDLQUnsupported, "%s has no dead letter queue, and no step has the failure mode dead-letter; remove dlq", e.Type)
		return
	}
	typ, ok := c.endpointCalled(e.DLQ.Endpoint)
	if !ok {
		c.fail(at+"/endpoint", CodeDLQInvalid, "%s is neither an endpoint nor an endpoint group of this API", e.DLQ.Endpoint)
		return
	}
	if c.env.Endpoint == nil {
		return
	}
	if info, ok := c.env.Endpoint(typ); ok && !slices.Contains(info.Modes, ModePublish) {
		c.fail(at+"/endpoint", CodeDLQInvalid, "%s is of type %s, which cannot be published to", e.DLQ.Endpoint, typ)
	}
}

// endpointCalled is the type of the endpoint or group with a name.
func (c *checker) endpointCalled(name string) (typ string, ok bool) {
	for _, g := range c.api.EndpointGroups {
		if g.Name == name {
			return g.Type, true
		}
		for _, e := range g.Endpoints {
			if e.Name == name {
				return e.Type, true
			}
		}
	}
	return "", false
}

func joined[E ~string](values []E) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}
