package describe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// OpenAPI is the OpenAPI 3.1 document of the requests that reach an API over HTTP: of its paths, and of the calls that it makes to
// subscribers. An API without either is ErrNothing.
func OpenAPI(api *apidef.API, o Options) (map[string]any, error) {
	s, err := read(api, o)
	if err != nil {
		return nil, err
	}
	if len(s.ways) == 0 && !s.webhooks {
		return nil, fmt.Errorf("%w: API %q has no HTTP listener and no webhooks; OpenAPI tells of these alone", ErrNothing, api.Name)
	}
	paths := object{}
	for _, w := range s.ways {
		item, proxied := s.pathItem(w)
		if len(item) == 0 {
			continue
		}
		at := bare(w.path)
		if proxied { // any path below it is the target's
			at = strings.TrimSuffix(at, "/") + "/{rest}"
			item["parameters"] = []any{object{"name": "rest", "in": "path", "required": true, "schema": object{"type": "string"},
				"description": "The path at the target, with slashes."}}
		}
		if servers := s.serversOf(w); servers != nil {
			item["servers"] = servers
		}
		if old, ok := paths[at].(object); ok {
			maps.Copy(old, item) // another host, the same path
			continue
		}
		paths[at] = item
	}
	doc := object{"openapi": "3.1.0", "info": s.info(), "servers": []any{s.server("")}, "paths": paths, "components": s.components()}
	if s.webhooks {
		doc["webhooks"] = object{"message": object{"post": s.callback()}}
	}
	return doc, nil
}

// server is where clients find a host; empty: the gateway.
func (s *subject) server(host string) object {
	switch {
	case s.gateway != nil && host == "":
		return object{"url": strings.TrimSuffix(s.gateway.String(), "/")}
	case s.gateway != nil:
		return object{"url": s.gateway.Scheme + "://" + host}
	case host != "":
		return object{"url": "{scheme}://" + host, "variables": object{"scheme": schemeVariable}}
	}
	return object{"url": "{scheme}://{gateway}", "variables": object{"scheme": schemeVariable, "gateway": gatewayVariable}}
}

var (
	schemeVariable  = object{"default": "http", "enum": []any{"http", "https"}}
	gatewayVariable = object{"default": "localhost:8082"}
)

// serversOf are a path's own servers; nil: the document's.
func (s *subject) serversOf(w way) []any {
	if w.host == "" {
		return nil
	}
	return []any{s.server(w.host)}
}

// pathItem has the operations of a path. proxied: everything below the path is meant.
func (s *subject) pathItem(w way) (item object, proxied bool) {
	item = object{}
	var reads []*apidef.Entrypoint
	for i := range w.entrypoints {
		e := &w.entrypoints[i]
		switch httpTypes[e.Type] {
		case "http-post":
			item["post"] = s.post(w, e)
		case "http-get", "sse", "websocket":
			reads = append(reads, e)
		case "http-proxy":
			for _, method := range []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"} {
				item[method] = s.proxy(w, method)
			}
			proxied = true
		}
	}
	if len(reads) > 0 {
		item["get"] = s.get(w, reads)
	}
	return item, proxied
}

// operation has what all operations have.
func (s *subject) operation(id, summary string, responses object) object {
	for status, text := range map[string]string{"404": "No API is served here.", "500": "The API could not do it; its log says why.",
		"503": "The endpoint cannot be reached, or the API is stopping; it may be tried again."} {
		responses[status] = refusal(text)
	}
	out := object{"operationId": id, "summary": summary, "responses": responses}
	if len(s.schemes) == 0 {
		return out
	}
	responses["401"] = refusal("The credentials are missing or wrong.")
	security := s.security(func(sc scheme) object { return object{sc.name: []any{}} })
	if s.keyless {
		security = append(security, object{})
	}
	out["security"] = security
	return out
}

func refusal(text string) object {
	return object{"description": text, "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Failure"}}}}
}

func (s *subject) post(w way, e *apidef.Entrypoint) object {
	responses := object{
		"202": object{"description": "The message is stored, as the level promises. With \"Prefer: return=representation\", or for a batch, the body says where.",
			"content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Receipt"}}}},
		"400": refusal("The message was refused: a policy or the batch's form."),
		"413": refusal("The body, or the message for the topic, is too large."),
		"504": refusal("Nobody knows whether the message is stored: the endpoint did not answer in time."),
	}
	op := s.operation(identifier("publish", w.host, bare(w.path)), "Publish a message, or a batch of them.", responses)
	message := object{}
	if s.sent != nil {
		message = object{"$ref": "#/components/schemas/Message"}
	}
	content := object{"*/*": object{"schema": message}}
	if s.sent != nil {
		content = object{"application/json": object{"schema": message}}
	}
	op["requestBody"] = object{"description": "The content of the message.", "required": false, "content": content}
	op["parameters"] = []any{
		object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": 255}, "description": "A request with the same key is carried out once on a worker."},
		object{"name": "Prefer", "in": "header", "schema": object{"type": "string", "examples": []any{"return=representation"}}},
	}
	op["x-sluice-qos"] = qos(e)
	return op
}

// get is every way to read at a path: a client chooses by its headers.
func (s *subject) get(w way, entrypoints []*apidef.Entrypoint) object {
	content, levels, responses := object{}, object{}, object{}
	parameters := []any{
		object{"name": "from", "in": "query", "schema": object{"type": "string"}, "description": "Where to begin: the id of a message, earliest, latest or @ and a time (RFC 3339)."},
		object{"name": "X-Gravitee-Client-Identifier", "in": "header", "schema": object{"type": "string"}, "description": "The name under which the client's position is kept."},
	}
	var can []string
	for _, e := range entrypoints {
		kind := httpTypes[e.Type]
		levels[kind] = qos(e)
		switch kind {
		case "http-get":
			can = append(can, "a page of messages")
			content["application/json"] = object{"schema": object{"$ref": "#/components/schemas/Page"}}
			parameters = append(parameters,
				object{"name": "limit", "in": "query", "schema": object{"type": "integer", "minimum": 1}, "description": "How many messages a page holds at most."},
				object{"name": "cursor", "in": "query", "schema": object{"type": "string"}, "description": "The nextCursor of the page before."})
		case "sse":
			can = append(can, "a stream of events")
			content["text/event-stream"] = object{"schema": object{"type": "string", "description": "Events message, gap, notice, error, goaway and reconnect."}}
			parameters = append(parameters,
				object{"name": "Last-Event-ID", "in": "header", "schema": object{"type": "string"}, "description": "The id of the last event that was seen."})
		case "websocket":
			can = append(can, "a WebSocket")
			responses["101"] = object{"description": "The connection is a WebSocket."}
		}
	}
	if len(content) > 0 {
		responses["200"] = object{"description": "Messages.", "content": content}
		responses["400"] = refusal("The cursor or another parameter is malformed.")
	}
	op := s.operation(identifier("read", w.host, bare(w.path)), "Get "+strings.Join(can, ", or ")+".", responses)
	op["parameters"], op["x-sluice-qos"] = parameters, levels
	return op
}

func (s *subject) proxy(w way, method string) object {
	op := s.operation(identifier(method, w.host, bare(w.path)), "Whatever the target answers.", object{"default": object{"description": "The target's answer."},
		"502": refusal("The target could not be reached, or did not speak HTTP.")})
	return op
}

// callback is the call to a subscriber's webhook.
func (s *subject) callback() object {
	body := object{}
	if s.received != nil {
		body = object{"$ref": "#/components/schemas/Delivered"}
	}
	return object{"summary": "A message, sent to the callback of a subscription.",
		"requestBody": object{"content": object{"*/*": object{"schema": body}}},
		"responses": object{"2XX": object{"description": "The subscriber has the message."}, "410": object{"description": "The subscriber wants no more: the subscription ends."},
			"default": object{"description": "The message is sent again, as the subscription's retry says."}}}
}

func (s *subject) components() object {
	text := object{"type": "string"}
	all := object{
		"Failure": object{"type": "object", "required": []any{"message", "http_status_code"},
			"properties": object{"message": text, "http_status_code": object{"type": "integer"}}},
		"Receipt": object{"type": "object", "description": "What became of the messages.",
			"properties": object{"stored": object{"type": "integer"}, "refused": object{"type": "integer"}, "unknown": object{"type": "integer"},
				"messages": object{"type": "array", "items": object{"type": "object", "properties": object{"topic": text, "partition": object{"type": "integer"}, "offset": object{"type": "integer"}}}}}},
		"Page": object{"type": "object", "required": []any{"items"}, "properties": object{
			"items": object{"type": "array", "items": object{"type": "object", "properties": object{"id": text, "content": object{"type": "string", "description": "The content of the message, as text."},
				"headers": object{"type": "object"}, "metadata": object{"type": "object"}}}},
			"pagination": object{"type": "object", "properties": object{"cursor": text, "nextCursor": text, "limit": text}},
			"error":      object{"type": "object"}, "gaps": object{"type": "array", "items": object{"type": "object"}}}},
	}
	if s.sent != nil {
		all["Message"] = s.sent
	}
	if s.received != nil {
		all["Delivered"] = s.received
	}
	out := object{"schemas": all}
	if len(s.schemes) > 0 {
		made := object{}
		for _, sc := range slices.SortedFunc(slices.Values(s.schemes), func(a, b scheme) int { return strings.Compare(a.name, b.name) }) {
			made[sc.name] = sc.open
		}
		out["securitySchemes"] = made
	}
	return out
}
