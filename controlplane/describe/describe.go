// Package describe makes documents of API definitions that other tools read: AsyncAPI 3.0 for what goes through an API,
// OpenAPI 3.1 for the HTTP requests that reach it. It reads the definition alone: what a client may send and expect follows
// from its listeners, entrypoints, plans and flows. It does no I/O.
package describe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// ErrNothing: the definition has nothing that such a document tells of. Errors that wrap it say why.
var ErrNothing = errors.New("there is nothing to describe")

// Options say what a definition does not.
type Options struct {
	// Gateway is the URL that clients reach the workers at, as http://gateway.example.com:8082. Empty: the documents name it as
	// a variable.
	Gateway string
}

// object is a JSON object. Documents are made of them, since both formats let any member be absent.
type object = map[string]any

// subject is what both documents tell of an API.
type subject struct {
	api      *apidef.API
	gateway  *url.URL // nil: a variable
	ways     []way
	webhooks bool // it pushes to subscribers
	schemes  []scheme
	keyless  bool   // it has a plan without credentials
	sent     object // the schema of what clients publish; nil: anything
	received object // the schema of what subscribers get
}

// way is one path of one HTTP listener with what answers there.
type way struct {
	host, path  string
	entrypoints []apidef.Entrypoint
}

// scheme is one kind of credential, as both formats know it.
type scheme struct {
	name  string
	open  object // OpenAPI
	async object // AsyncAPI
}

// httpTypes are the entrypoint types that answer at the paths of an HTTP listener, by the names that definitions may use.
var httpTypes = map[string]string{
	"http-post": "http-post", "http-get": "http-get", "sse": "sse", "sse-advanced": "sse", "websocket": "websocket", "http-proxy": "http-proxy",
}

// read collects what there is to tell.
func read(api *apidef.API, o Options) (*subject, error) {
	s := &subject{api: api}
	if o.Gateway != "" {
		u, err := url.Parse(o.Gateway)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the gateway's URL %q is no http or https URL with a host", o.Gateway)
		}
		s.gateway = u
	}
	for i := range api.Listeners {
		l := &api.Listeners[i]
		switch l.Type {
		case apidef.ListenerHTTP:
			for _, p := range l.Paths {
				s.ways = append(s.ways, way{host: p.Host, path: p.Path, entrypoints: l.Entrypoints})
			}
		case apidef.ListenerSubscription:
			s.webhooks = s.webhooks || slices.ContainsFunc(l.Entrypoints, func(e apidef.Entrypoint) bool { return strings.HasPrefix(e.Type, "webhook") })
		}
	}
	s.credentials()
	s.sent, s.received = s.schema(publish), s.schema(subscribe)
	return s, nil
}

// credentials are the kinds of credentials that the plans take which serve.
func (s *subject) credentials() {
	seen := map[string]bool{}
	for i := range s.api.Plans {
		p := &s.api.Plans[i]
		if p.Security == nil || p.Status != apidef.PlanPublished && p.Status != apidef.PlanDeprecated {
			continue
		}
		kind := strings.ToLower(strings.ReplaceAll(p.Security.Type, "_", "-"))
		if kind == "key-less" || kind == "keyless" {
			s.keyless = true
			continue
		}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		if made, ok := schemes[kind]; ok {
			s.schemes = append(s.schemes, made)
		}
	}
}

var schemes = map[string]scheme{
	"api-key": {name: "apiKey",
		open:  object{"type": "apiKey", "in": "header", "name": "X-Gravitee-Api-Key", "description": "The key of a subscription to an API key plan."},
		async: object{"type": "httpApiKey", "in": "header", "name": "X-Gravitee-Api-Key", "description": "The key of a subscription to an API key plan."}},
	"jwt": {name: "jwt",
		open:  object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
		async: object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
	"oauth2": {name: "oauth2",
		open:  object{"type": "http", "scheme": "bearer", "description": "An access token of the plan's authorization server."},
		async: object{"type": "http", "scheme": "bearer", "description": "An access token of the plan's authorization server."}},
	"mtls": {name: "mtls",
		open:  object{"type": "mutualTLS", "description": "The client certificate of the subscribed application."},
		async: object{"type": "X509", "description": "The client certificate of the subscribed application."}},
}

// security lists the alternatives that a client may choose from; nil: it needs nothing.
func (s *subject) security(one func(scheme) object) []object {
	var out []object
	for _, sc := range s.schemes {
		out = append(out, one(sc))
	}
	return out
}

// The phases whose schemas are looked for.
const (
	publish   = "publish"
	subscribe = "subscribe"
)

// schema is what every message of a phase is held against: the schemas of json-validation steps that nothing bypasses.
func (s *subject) schema(phase string) object {
	var all []any
	for i := range s.api.Flows {
		f := &s.api.Flows[i]
		if !on(f.Enabled) || !always(f, phase) {
			continue
		}
		steps := f.Publish
		if phase == subscribe {
			steps = f.Subscribe
		}
		for j := range steps {
			if found := schemaOf(&steps[j]); found != nil {
				all = append(all, found)
			}
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0].(object)
	}
	return object{"allOf": all}
}

// schemaOf is the schema of a step that validates every message; nil: it does not, or not with one that can stand in a
// document.
func schemaOf(st *apidef.Step) object {
	if st.Policy != "json-validation" || !on(st.Enabled) || st.Condition != "" || st.MessageCondition != "" || st.FailureMode == "skip" {
		return nil
	}
	var cfg struct {
		Schema       string `json:"schema"`
		SchemaSource *struct {
			StaticSchema string `json:"staticSchema"`
		} `json:"schemaSource"`
	}
	if json.Unmarshal(st.Configuration, &cfg) != nil {
		return nil
	}
	if cfg.SchemaSource != nil && cfg.SchemaSource.StaticSchema != "" {
		cfg.Schema = cfg.SchemaSource.StaticSchema
	}
	var out object
	if json.Unmarshal([]byte(cfg.Schema), &out) != nil || refers(out) {
		return nil
	}
	delete(out, "$schema") // the documents have a dialect of their own
	delete(out, "$id")
	return out
}

// refers tells whether a schema has references, which would point to another place of the document.
func refers(v any) bool {
	switch v := v.(type) {
	case object:
		if _, ok := v["$ref"]; ok {
			return true
		}
		for _, item := range v {
			if refers(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, refers)
	}
	return false
}

// always tells whether a flow runs for every message of a phase.
func always(f *apidef.Flow, phase string) bool {
	for _, sel := range f.Selectors {
		switch sel.Type {
		case "channel":
			whole := strings.Trim(sel.Channel, "/") == "" && !strings.EqualFold(sel.ChannelOperator, "EQUALS")
			if !whole || len(sel.Entrypoints) > 0 || len(sel.Operations) > 0 && !slices.ContainsFunc(sel.Operations, func(o string) bool { return strings.EqualFold(o, phase) }) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func on(enabled *bool) bool { return enabled == nil || *enabled }

// info is the title of both documents.
func (s *subject) info() object {
	out := object{"title": s.api.Name, "version": s.api.APIVersion}
	if s.api.APIVersion == "" {
		out["version"] = "1"
	}
	if s.api.Description != "" {
		out["description"] = s.api.Description
	}
	return out
}

// qos is the level of an entrypoint as the document tells it.
func qos(e *apidef.Entrypoint) string {
	if e.QoS == "" {
		return "auto"
	}
	return e.QoS
}

// endpoints are the types behind the API, for readers.
func (s *subject) endpoints() []string {
	var out []string
	for i := range s.api.EndpointGroups {
		if t := s.api.EndpointGroups[i].Type; !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// bare is a path as clients write it: without the slash at its end.
func bare(path string) string {
	if p := strings.TrimSuffix(path, "/"); p != "" {
		return p
	}
	return "/"
}

// identifier makes a name that both formats take as a key.
func identifier(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		upper := b.Len() > 0
		for _, r := range part {
			switch {
			case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z':
				if upper && r >= 'a' && r <= 'z' {
					r -= 'a' - 'A'
				}
				b.WriteRune(r)
				upper = false
			default:
				upper = b.Len() > 0
			}
		}
	}
	if b.Len() == 0 {
		return "root"
	}
	return b.String()
}
