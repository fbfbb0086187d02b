// Package connectors holds the contracts that entrypoints and endpoints fulfil, the catalogs that name them, and the
// decoding of their settings. The connectors themselves live in its subpackages; this package starts no goroutine.
package connectors

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Mode is what a connector can do.
type Mode uint8

// Modes, as bits.
const (
	Subscribe       Mode = 1 << iota // endpoint to client
	Publish                          // client to endpoint
	RequestResponse                  // HTTP proxy
	Socket                           // TCP proxy
)

// Env is what a connector gets from its surroundings.
type Env struct {
	Log   *slog.Logger
	Meter metric.Meter
	API   *exchange.API
	QoS   qos.Level
	// Limits of the worker that connectors must keep.
	Limits Limits
	// DeadLetters tells an entrypoint whether Backend.DeadLetter leads anywhere.
	DeadLetters bool
	// Loop serves connections that stream; the one service among the values, since all of a worker's share it. Nil only where
	// nothing streams.
	Loop *eventloop.Loop
	// Brokers maps broker addresses that samples use to others ("kafka:9092" to the embedded one); nil: none.
	Brokers map[string]string
	// WebhookAllow are addresses that callbacks may go to although they are not public (flag --webhook-allow-cidr); nil: none.
	WebhookAllow []netip.Prefix
}

// Entrypoint is how clients reach an API: one per entrypoint of a definition, made at deploy.
type Entrypoint interface {
	// Match tells whether this entrypoint serves the request. Called per request, in descending Criteria order
	// (spec 2.0), from many goroutines; it must not keep ctx.
	Match(ctx *fasthttp.RequestCtx) bool
	// Handle serves one request to its end, or, having detached x, hijacks the connection and goes on in the hijack
	// handler until the client leaves or the subscription says GoAway. Called from many goroutines.
	Handle(ctx context.Context, x *exchange.Exchange, b Backend)
}

// Drainer is an Entrypoint whose connections outlive the handler (SSE, WebSocket). Found once, when the API is built.
type Drainer interface {
	// Drain waits until every connection that Handle detached has ended, each having said goodbye since the context given
	// to Handle is over. Where ctx ends first, the connections that are left are cut; Drain waits for their goroutines
	// and returns how many it cut. Called once, when no Handle runs any more.
	Drain(ctx context.Context) (cut int)
}

// Backend is the rest of the API as an entrypoint sees it: the flows and, behind them, the endpoint.
type Backend interface {
	// Publish sends m through the publish flow to the endpoint. It takes ownership of m; m.Done is called exactly once,
	// perhaps before Publish returns. It blocks only while the bounded buffer is full, and only until ctx ends.
	Publish(ctx context.Context, x *exchange.Exchange, m *message.Message)
	// Subscribe opens a subscription behind the subscribe flow. An error is a *message.Failure.
	Subscribe(ctx context.Context, x *exchange.Exchange, o SubscribeOptions) (Subscription, error)
	// DeadLetter sends m to the endpoint that the entrypoint's definition names for messages that cannot be delivered, on
	// the terms of Publish. Where it names none (Env.DeadLetters), m.Done gets a failure.
	DeadLetter(ctx context.Context, x *exchange.Exchange, m *message.Message)
}

// SubscribeOptions says where a subscription starts and who is woken.
type SubscribeOptions struct {
	// Cursor is the client's resume point: empty (saved checkpoint, else the endpoint's start rule), a message id,
	// "earliest", "latest" or "@" and an RFC 3339 time.
	Cursor string
	// Wake is called when Poll may return something after it returned nothing: from any goroutine, with locks held; it
	// must neither block nor call the subscription.
	Wake func()
	// Limit bounds how many messages will be taken; 0: no bound. Endpoints may use it to read less ahead.
	Limit int
	// Page says that one request looks and leaves: nothing of the subscription outlives its answer, and the client asks for
	// one page after the other.
	Page bool
	// Deadline is when a page ends; zero: unknown. Nothing is begun shortly before it that would be lost with the page.
	Deadline time.Time
	// Until ends the subscription (io.EOF) once everything before it was returned: a message id, or "@" and an RFC 3339
	// time; empty: never. For endpoints that have positions.
	Until string
	// Instance names this subscriber among those that share its client identifier, the same after a restart of the worker, so
	// that its share of the work waits for it no longer than it must (KIP-345); empty: it has no such name.
	Instance string
}

// Subscription is one subscriber's ordered view of an endpoint. Methods are called by one goroutine at a time, except
// Close, which may be called from any and more than once.
type Subscription interface {
	// Poll returns the next messages, at most max, without blocking: shared immutable memory (see message.Message). None and
	// no error: nothing now, Wake will be called. An error, always a *message.Failure, ends the subscription.
	// Messages of other kinds than Data arrive alone, in their place in the order; GoAway is the last one. The Content of a
	// Gap or a Notice is a JSON object. io.EOF instead of a Failure: the endpoint will never have another message.
	Poll(max int) ([]message.Message, error)
	// DeliveredThrough marks m, and everything polled before it, as delivered: what a checkpoint may save. Under auto it is
	// called when m was written, under at-least-once only with proof that the client has it; under none and at-most-once it
	// is not needed (there Poll itself saves, before it returns a message). The endpoint knows m by its Topic, Partition and
	// Offset, so m may be a copy.
	DeliveredThrough(m *message.Message)
	// Acknowledge marks m alone as received by the client, in any order: for proofs that come per message under
	// at-least-once. What lies before it may still be under way. Unlike the other methods it may be called from any
	// goroutine, also while Poll runs, and after Close, where it has no effect.
	Acknowledge(m *message.Message)
	// AppendCursor appends the exact resume point after the last message that Poll returned, encoded as clients see it;
	// nothing where the endpoint has no positions.
	AppendCursor(dst []byte) []byte
	// Close ends the subscription and saves what is delivered, within the bounds of ctx.
	Close(ctx context.Context)
}

// Viewer is a Subscription that tells which of its messages other subscribers get too, so that they are encoded once for
// all. PollView is Poll; a subscriber uses one of the two.
type Viewer interface {
	PollView(max int) (message.View, error)
}

// Endpoint is a backend of an API: one per endpoint of a definition, made at deploy.
type Endpoint interface {
	// Run owns the endpoint's goroutines and connections: it blocks until ctx ends, then flushes what was accepted for
	// publishing, within drain, and closes. The connector may be used from the moment Run is called; it connects when
	// first used.
	Run(ctx context.Context) error
}

// Publisher is an Endpoint that takes messages.
type Publisher interface {
	// Publish is Backend.Publish without the flows. Calls come from many goroutines.
	Publish(ctx context.Context, x *exchange.Exchange, m *message.Message)
}

// Source is an Endpoint that gives messages.
type Source interface {
	// Subscribe is Backend.Subscribe without the flows. Calls come from many goroutines.
	Subscribe(ctx context.Context, x *exchange.Exchange, o SubscribeOptions) (Subscription, error)
}

// EntrypointType is one entry of the entrypoint catalog.
type EntrypointType struct {
	Name     string // for people
	Listener apidef.ListenerType
	Modes    Mode
	Criteria int // how specific Match is; higher is asked first (spec 2.0)
	// Check decodes and validates a configuration: every problem, pointers relative to it.
	Check func(cfg json.RawMessage) apidef.Problems
	// CheckSubscription is Check for the configuration of a subscription (spec 2.5 entrypointConfiguration); nil: the
	// entrypoint serves requests, not subscriptions.
	CheckSubscription func(cfg json.RawMessage) apidef.Problems
	// New builds the connector. It must not start goroutines, dial or listen.
	New func(cfg json.RawMessage, env Env) (Entrypoint, error)
}

// SharedPrefix begins pointers into an endpoint's shared configuration.
const SharedPrefix = "/shared"

// EndpointType is one entry of the endpoint catalog.
type EndpointType struct {
	Name  string
	Modes Mode
	// Check decodes and validates a configuration and the shared one that applies to it (spec 1.6): every problem, pointers
	// relative to the one or, behind SharedPrefix, to the other.
	Check func(cfg, shared json.RawMessage) apidef.Problems
	// New builds the connector. It must not start goroutines, dial or listen.
	New func(cfg, shared json.RawMessage, env Env) (Endpoint, error)
}

// Entrypoints and Endpoints name the connectors of a process by the definition's "type".
type (
	Entrypoints map[string]EntrypointType
	Endpoints   map[string]EndpointType
)
