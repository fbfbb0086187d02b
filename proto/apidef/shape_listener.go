package apidef

import "strings"

var listenerTypes = &enum[ListenerType]{
	code:   CodeValueInvalid,
	values: []ListenerType{ListenerHTTP, ListenerSubscription, ListenerTCP, ListenerKafka},
}

// qosLevels are the levels of spec 4.1.
var qosLevels = &enum[string]{code: CodeQoSInvalid, values: []string{"none", "auto", "at-most-once", "at-least-once"}}

// httpMethods are those a flow may select and CORS may allow; OTHER stands for the rest and for webhook calls.
var httpMethods = &enum[string]{
	code:   CodeValueInvalid,
	values: []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "OTHER"},
}

// listenerShape is every kind of listener at once (spec 1.3); which members count is checked in validate_listener.go.
var listenerShape = &shape[Listener]{
	name: "listener",
	fields: []field[Listener]{
		member("type", func(l *Listener) *ListenerType { return &l.Type }, oneOf(listenerTypes), required(CodeMemberMissing, "one of "+listenerTypes.choices())),
		member("paths", func(l *Listener) *[]Path { return &l.Paths }, listOf(object(pathShape))),
		member("pathMappings", func(l *Listener) *[]string { return &l.PathMappings }, listOf(text)),
		member("cors", func(l *Listener) **CORS { return &l.CORS }, optional(object(corsShape))),
		member("logging", func(l *Listener) *raw { return &l.Logging }, opaque),
		member("hosts", func(l *Listener) *[]string { return &l.Hosts }, listOf(text)),
		member("host", func(l *Listener) *string { return &l.Host }, text),
		member("port", func(l *Listener) *int { return &l.Port }, looseNumber),
		member("servers", func(l *Listener) *[]string { return &l.Servers }, listOf(text)),
		member("entrypoints", func(l *Listener) *[]Entrypoint { return &l.Entrypoints }, listOf(object(entrypointShape)), required(CodeEntrypointsMissing, "an entrypoint is the protocol that clients speak")),
	},
}

var entrypointShape = &shape[Entrypoint]{
	name: "entrypoint",
	fields: []field[Entrypoint]{
		member("type", func(e *Entrypoint) *string { return &e.Type }, text, required(CodeEntrypointTypeMissing, "the name of the entrypoint")),
		member("qos", func(e *Entrypoint) *string { return &e.QoS }, oneOf(qosLevels)),
		member("dlq", func(e *Entrypoint) **DLQ { return &e.DLQ }, optional(object(dlqShape))),
		member("configuration", func(e *Entrypoint) *raw { return &e.Configuration }, opaque),
	},
}

var dlqShape = &shape[DLQ]{
	name: "dlq",
	fields: []field[DLQ]{
		member("endpoint", func(d *DLQ) *string { return &d.Endpoint }, text, required(CodeDLQInvalid, "the name of an endpoint or endpoint group")),
	},
}

var pathShape = &shape[Path]{
	name: "path",
	fields: []field[Path]{
		member("host", func(p *Path) *string { return &p.Host }, text),
		member("path", func(p *Path) *string { return &p.Path }, contextPath),
		member("overrideAccess", func(p *Path) *bool { return &p.OverrideAccess }, flag),
	},
	settle: func(_ *reader, _ *node, _ place, p *Path) { p.Path = sanitisePath(p.Path) },
}

// contextPath is a text brought into the stored form.
var contextPath = codec[string]{
	empty:  isZero[string],
	read:   func(r *reader, n *node, at place) string { return sanitisePath(text.read(r, n, at)) },
	write:  text.write,
	schema: text.schema,
}

// sanitisePath gives a path its stored form (spec 1.4): it begins and ends with one slash and doubles none.
func sanitisePath(path string) string {
	var b strings.Builder
	b.WriteByte('/')
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" {
			b.WriteString(segment)
			b.WriteByte('/')
		}
	}
	return b.String()
}

// corsShape is the cross-origin configuration (spec 1.5).
var corsShape = &shape[CORS]{
	name: "cors",
	fields: []field[CORS]{
		member("enabled", func(c *CORS) *bool { return &c.Enabled }, flag),
		member("allowOrigin", func(c *CORS) *[]string { return &c.AllowOrigin }, listOf(text)),
		member("exposeHeaders", func(c *CORS) *[]string { return &c.ExposeHeaders }, listOf(text)),
		member("maxAge", func(c *CORS) **int { return &c.MaxAge }, optional(looseNumber)),
		member("allowCredentials", func(c *CORS) *bool { return &c.AllowCredentials }, flag),
		member("allowMethods", func(c *CORS) *[]string { return &c.AllowMethods }, listOf(oneOf(httpMethods))),
		member("allowHeaders", func(c *CORS) *[]string { return &c.AllowHeaders }, listOf(text)),
		member("runPolicies", func(c *CORS) *bool { return &c.RunPolicies }, flag),
	},
}
