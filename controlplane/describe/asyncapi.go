package describe

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// AsyncAPI is the AsyncAPI 3.0 document of the messages that go through an API, told from the API's side: what clients publish it
// receives, what subscribers get it sends. An API without messages, a proxy, is ErrNothing.
func AsyncAPI(api *apidef.API, o Options) (map[string]any, error) {
	s, err := read(api, o)
	if err != nil {
		return nil, err
	}
	a := &async{subject: s, servers: object{}, channels: object{}, operations: object{}}
	switch api.Type {
	case apidef.TypeProxy:
		return nil, fmt.Errorf("%w: API %q is a proxy, which passes requests and no messages; ask for its OpenAPI document", ErrNothing, api.Name)
	case apidef.TypeNative:
		a.native()
	default:
		for _, w := range s.ways {
			a.way(w)
		}
		if s.webhooks {
			a.webhook()
		}
	}
	if len(a.channels) == 0 {
		return nil, fmt.Errorf("%w: API %q has no entrypoint that clients publish to or subscribe to", ErrNothing, api.Name)
	}
	doc := object{"asyncapi": "3.0.0", "info": s.info(), "defaultContentType": "application/json", "channels": a.channels, "operations": a.operations,
		"components": a.components(), "x-sluice-endpoints": s.endpoints()}
	if api.ID != "" {
		doc["id"] = "urn:sluice:api:" + api.ID
	}
	if len(a.servers) > 0 {
		doc["servers"] = a.servers
	}
	return doc, nil
}

type async struct {
	*subject
	servers, channels, operations object
}

// server is the server of a host for a protocol, which channels refer to.
func (a *async) server(host, protocol string) object {
	if a.gateway != nil && a.gateway.Scheme == "https" {
		protocol += "s"
	}
	name := identifier(protocol, host)
	if _, ok := a.servers[name]; !ok {
		made := object{"host": host, "protocol": protocol}
		switch {
		case host == "" && a.gateway != nil:
			made["host"] = a.gateway.Host
		case host == "":
			made["host"], made["variables"] = "{gateway}", object{"gateway": gatewayVariable}
		}
		if security := a.security(func(sc scheme) object { return ref("components", "securitySchemes", sc.name) }); len(security) > 0 && !a.keyless {
			made["security"] = security
		}
		a.servers[name] = made
	}
	return ref("servers", name)
}

func ref(parts ...string) object {
	at := "#"
	for _, p := range parts {
		at += "/" + p
	}
	return object{"$ref": at}
}

// The messages that channels have.
const (
	published = "published"
	delivered = "delivered"
)

// channel is a channel of an address, with the messages that go through it. A nil address is known at run time only.
func (a *async) channel(name string, address any, servers []object, messages ...string) {
	of := object{}
	for _, m := range messages {
		of[m] = ref("components", "messages", m)
	}
	made := object{"address": address, "messages": of}
	if len(servers) > 0 {
		made["servers"] = servers
	}
	a.channels[name] = made
}

// operation is what the API does at a channel: send or receive.
func (a *async) operation(action, channel, message, entrypoint, level string, http object) {
	made := object{"action": action, "channel": ref("channels", channel), "messages": []object{ref("channels", channel, "messages", message)},
		"x-sluice-entrypoint": entrypoint, "x-sluice-qos": level}
	if http != nil {
		made["bindings"] = object{"http": http}
	}
	a.operations[identifier(action, entrypoint, channel)] = made
}

// way tells of a path: once for requests and once for WebSockets, which are another protocol.
func (a *async) way(w way) {
	for i := range w.entrypoints {
		e := &w.entrypoints[i]
		kind := httpTypes[e.Type]
		protocol := "http"
		if kind == "websocket" {
			protocol = "ws"
		}
		name := identifier(protocol, w.host, bare(w.path))
		switch kind {
		case "http-post", "http-get", "sse", "websocket":
			if _, ok := a.channels[name]; !ok {
				a.channel(name, bare(w.path), []object{a.server(w.host, protocol)}, a.messagesOf(w, protocol)...)
			}
		}
		switch kind {
		case "http-post":
			a.operation("receive", name, published, e.Type, qos(e), object{"method": "POST", "bindingVersion": httpBinding})
		case "http-get", "sse":
			a.operation("send", name, delivered, e.Type, qos(e), object{"method": "GET", "bindingVersion": httpBinding})
		case "websocket":
			publishes, subscribes := directions(e)
			a.channels[name].(object)["bindings"] = object{"ws": object{"method": "GET", "bindingVersion": "0.1.0"}}
			if publishes {
				a.operation("receive", name, published, e.Type, qos(e), nil)
			}
			if subscribes {
				a.operation("send", name, delivered, e.Type, qos(e), nil)
			}
		}
	}
}

// httpBinding is the version of the HTTP operation binding.
const httpBinding = "0.3.0"

// messagesOf are the messages that a path's entrypoints of a protocol have.
func (a *async) messagesOf(w way, protocol string) []string {
	var in, out bool
	for i := range w.entrypoints {
		e := &w.entrypoints[i]
		switch kind := httpTypes[e.Type]; {
		case (protocol == "ws") != (kind == "websocket"):
		case kind == "websocket":
			publishes, subscribes := directions(e)
			in, out = in || publishes, out || subscribes
		case kind == "http-post":
			in = true
		case kind != "":
			out = true
		}
	}
	var names []string
	if in {
		names = append(names, published)
	}
	if out {
		names = append(names, delivered)
	}
	return names
}

// directions are what a WebSocket does; both, where its configuration does not say.
func directions(e *apidef.Entrypoint) (publishes, subscribes bool) {
	var cfg struct {
		Publisher  struct{ Enabled *bool }
		Subscriber struct{ Enabled *bool }
	}
	if len(e.Configuration) > 0 && json.Unmarshal(e.Configuration, &cfg) != nil {
		return true, true
	}
	return on(cfg.Publisher.Enabled), on(cfg.Subscriber.Enabled)
}

// webhook tells of the calls to subscribers, whose addresses are in their subscriptions.
func (a *async) webhook() {
	a.channel("webhook", nil, nil, delivered)
	for i := range a.api.Listeners {
		for j := range a.api.Listeners[i].Entrypoints {
			if e := &a.api.Listeners[i].Entrypoints[j]; a.api.Listeners[i].Type == apidef.ListenerSubscription {
				a.operation("send", "webhook", delivered, e.Type, qos(e), object{"method": "POST", "bindingVersion": httpBinding})
			}
		}
	}
}

// native tells of a listener that speaks Kafka's protocol: topics are what the endpoint has.
func (a *async) native() {
	for i := range a.api.Listeners {
		l := &a.api.Listeners[i]
		if l.Type != apidef.ListenerKafka {
			continue
		}
		host := l.Host
		if l.Port != 0 {
			host = net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
		}
		name := identifier("kafka", l.Host)
		made := object{"host": host, "protocol": "kafka-secure"}
		if security := a.security(func(sc scheme) object { return ref("components", "securitySchemes", sc.name) }); len(security) > 0 && !a.keyless {
			made["security"] = security
		}
		a.servers[name] = made
		a.channel("topic", "{topic}", []object{ref("servers", name)}, published, delivered)
		a.channels["topic"].(object)["parameters"] = object{"topic": object{"description": "A topic that the client may see."}}
		a.operation("receive", "topic", published, "native-kafka", "auto", nil)
		a.operation("send", "topic", delivered, "native-kafka", "auto", nil)
	}
}

func (a *async) components() object {
	messages := object{}
	for _, ch := range a.channels {
		for name := range ch.(object)["messages"].(object) {
			messages[name] = a.message(name)
		}
	}
	out := object{"messages": messages}
	if len(a.schemes) > 0 {
		made := object{}
		for _, sc := range a.schemes {
			made[sc.name] = sc.async
		}
		out["securitySchemes"] = made
	}
	return out
}

func (a *async) message(name string) object {
	m, schema := object{"name": name, "title": "What clients publish"}, a.sent
	if name == delivered {
		m["title"], schema = "What subscribers get", a.received
	}
	if schema != nil {
		m["payload"] = schema
	} else {
		m["payload"] = object{"description": "Any content."}
	}
	return m
}
