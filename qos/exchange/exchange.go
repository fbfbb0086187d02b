// Package exchange is the context of one request or connection on its way through an API: who asks, for what, under
// which plan. It is made by the data plane, read by connectors, and changed by policies. It starts no goroutine.
package exchange

import (
	"maps"
	"net"
	"slices"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos"
)

// API says which API an exchange belongs to. One value serves all exchanges of a revision; it must not be changed.
type API struct {
	ID           string
	Name         string
	Version      string
	Organization string
	Environment  string
	Revision     uint64
	DeployedAt   string // Unix milliseconds as text, the form of the attribute api.deployed-at; empty: unknown
}

// Exchange is one request or connection. One goroutine at a time uses it.
//
// HTTP is valid only while the fasthttp handler runs: a streaming entrypoint takes what it needs and calls Detach before
// it hijacks the connection. Text fields are copies and stay valid.
type Exchange struct {
	API        *API
	Entrypoint string // connector id
	QoS        qos.Level
	HTTP       *fasthttp.RequestCtx // nil after Detach, and for webhooks

	RequestID     string
	TransactionID string
	// ClientIdentifier names the client for checkpoints (spec 2.0). ClientSupplied is false where the gateway made it up
	// for this connection alone; nothing is saved under such a name, since nobody could come back to it.
	ClientIdentifier string
	ClientSupplied   bool

	ContextPath  string // the listener path that matched, with trailing slash
	PathInfo     string // the rest of the path, starting with "/"
	Plan         string
	Application  string
	Subscription string

	// Endpoint is the place, counted from 1, of the API's endpoint that the load balancer chose for this exchange; 0: none
	// was chosen yet. Only the data plane reads and sets it: a connection stays with its endpoint.
	Endpoint int

	// Details is what expressions see of the subscription (policies.Subscription); nil: nothing. Whoever lets a client in sets it.
	Details any
	// Flow is what the flows of the API keep for this exchange. Only the data plane reads and sets it.
	Flow any

	RemoteAddr net.Addr
	// Span is what comes of this exchange belongs to: the worker's span, or, in a worker that makes none, what the client
	// sent, so that its trace does not end here. Invalid where neither is there.
	Span trace.SpanContext

	attributes map[string]any
	detached   bool
	onEnd      func()
	onReuse    func(net.Conn) bool
}

// Attribute returns a context attribute. Names may be given with or without the prefix "gravitee.attribute." (spec 6.4).
// Those that the gateway sets itself need no entry: they are read from the fields, unless something set them anew.
func (x *Exchange) Attribute(name string) (any, bool) {
	name = trimPrefix(name)
	if v, ok := x.attributes[name]; ok {
		return v, true
	}
	text := x.builtin(name)
	if text == "" {
		return nil, false
	}
	return text, true
}

// builtin returns what the gateway itself knows under an attribute's name (spec 6.4); empty: nothing.
func (x *Exchange) builtin(name string) string {
	switch name {
	case "context-path":
		return x.ContextPath
	case "plan":
		return x.Plan
	case "application":
		return x.Application
	case "user-id":
		return x.Subscription
	case "client-identifier":
		return x.ClientIdentifier
	}
	if x.API == nil {
		return ""
	}
	switch name {
	case "api":
		return x.API.ID
	case "organization":
		return x.API.Organization
	case "environment":
		return x.API.Environment
	case "api.deployed-at":
		return x.API.DeployedAt
	}
	return ""
}

// gatewayNames are the attributes that builtin knows.
var gatewayNames = []string{"api", "api.deployed-at", "application", "client-identifier", "context-path", "environment", "organization",
	"plan", "user-id"}

// AttributeNames returns the names of all attributes that there are, without the optional prefix, in order.
func (x *Exchange) AttributeNames() []string {
	names := slices.Collect(maps.Keys(x.attributes))
	for _, n := range gatewayNames {
		if x.builtin(n) != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// SetAttribute sets a context attribute.
func (x *Exchange) SetAttribute(name string, value any) {
	if x.attributes == nil {
		x.attributes = make(map[string]any, 4)
	}
	x.attributes[trimPrefix(name)] = value
}

// Detach says that the exchange outlives the handler; HTTP must not be used any more.
func (x *Exchange) Detach() {
	x.detached = true
	x.HTTP = nil
}

// Detached tells the server that the entrypoint keeps the exchange.
func (x *Exchange) Detached() bool { return x.detached }

// OnEnd names who is told that a detached exchange has ended. The server sets it before the entrypoint runs.
func (x *Exchange) OnEnd(f func()) { x.onEnd = f }

// End says that the connection of a detached exchange has ended. The entrypoint calls it once, from any goroutine.
func (x *Exchange) End() {
	if x.onEnd != nil {
		x.onEnd()
	}
}

// OnReuse names who serves more requests on a connection whose response is over. The server sets it before the entrypoint
// runs.
func (x *Exchange) OnReuse(f func(net.Conn) bool) { x.onReuse = f }

// Reuse gives a hijacked connection back to the server, for the client's next request; false: the server does not want it, and
// the entrypoint closes it.
func (x *Exchange) Reuse(c net.Conn) bool { return x.onReuse != nil && x.onReuse(c) }

// attributePrefix is optional in every place where an attribute is named (spec 6.4).
const attributePrefix = "gravitee.attribute."

func trimPrefix(name string) string {
	if len(name) > len(attributePrefix) && name[:len(attributePrefix)] == attributePrefix {
		return name[len(attributePrefix):]
	}
	return name
}
