// Package sse is the entrypoint "sse", also called "sse-advanced" (spec 2.3): a subscription as a stream of server-sent
// events. The worker's event loop writes it, so an idle stream costs no goroutine; the entrypoint's Group waits for its end.
//
// What a level asks of it (DESIGN section 5): under auto a message counts as delivered once it is written; under at-least-once
// once the client's TCP has acknowledged it, or once a client comes back with its id; under at-most-once the endpoint saves
// before it hands a message over, and here nothing is ever written twice. A slow client is waited for, and only one write's
// worth is framed for it; a client that takes nothing at all is cut, and what it has not got is for its next connection,
// except under none and at-most-once.
//
// Beyond the specification: content is split into one data line per line, a stream resumes from Last-Event-ID (or the
// query's "lastEventId", "cursor" or "from") under every level but none, gaps and notices are events of their own, and the
// last event of a stopping API carries the exact resume point. An error event has no random id, which a browser would send
// back as a resume point for ever, but the exact resume point where there is one.
package sse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Config is the configuration of an sse entrypoint.
type Config struct {
	// HeartbeatIntervalInMs is how long the stream may be silent before an empty comment is sent, in milliseconds. At least
	// 2000, default 5000.
	HeartbeatIntervalInMs int64 `json:"heartbeatIntervalInMs"`
	// HeadersAsComment sends the message headers as comments of the event. Default false.
	HeadersAsComment bool `json:"headersAsComment"`
	// MetadataAsComment sends the message metadata as comments of the event. Default false.
	MetadataAsComment bool `json:"metadataAsComment"`
}

// Heartbeat interval, in milliseconds (spec 2.3).
const (
	defaultHeartbeat = 5000
	minHeartbeat     = 2000
)

const eventStream = "text/event-stream"

// Type is the catalog entry of sse, Advanced that of sse-advanced: another name for the same, as definitions have it
// (addenda 2.3-b).
var (
	Type     = named("Server-Sent Events")
	Advanced = named("Server-Sent Events (advanced)")
)

func named(name string) connectors.EntrypointType {
	return connectors.EntrypointType{
		Name:     name,
		Listener: apidef.ListenerHTTP,
		Modes:    connectors.Subscribe,
		Criteria: 2, // spec 2.0
		Check: func(cfg json.RawMessage) apidef.Problems {
			_, problems := decode(cfg)
			return problems
		},
		New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) { return New(cfg, env) },
	}
}

func decode(cfg json.RawMessage) (Config, apidef.Problems) {
	c := Config{HeartbeatIntervalInMs: defaultHeartbeat}
	problems := connectors.Decode(cfg, &c)
	if c.HeartbeatIntervalInMs < minHeartbeat {
		problems = append(problems, connectors.Invalid("/heartbeatIntervalInMs", fmt.Sprintf("must be at least %d", minHeartbeat)))
	}
	return c, problems
}

// Entrypoint serves event streams.
type Entrypoint struct {
	httpfront.Group
	form         form
	heartbeat    time.Duration
	writeTimeout time.Duration
	loop         *eventloop.Loop
}

// New builds the entrypoint.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	c, problems := decode(cfg)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Entrypoint{
		form:         form{headers: c.HeadersAsComment, metadata: c.MetadataAsComment},
		loop:         env.Loop,
		heartbeat:    time.Duration(c.HeartbeatIntervalInMs) * time.Millisecond,
		writeTimeout: env.Limits.WriteTimeout,
	}, nil
}

// Match tells whether the request is a GET that accepts an event stream.
func (e *Entrypoint) Match(fctx *fasthttp.RequestCtx) bool {
	return fctx.IsGet() && httpfront.Accepts(httpfront.Accept(&fctx.Request.Header), eventStream)
}

// Handle subscribes, and only then begins the stream, so that a failure is a plain HTTP answer.
func (e *Entrypoint) Handle(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
	fctx := x.HTTP
	if ctx.Err() != nil {
		httpfront.WriteFailure(fctx, httpfront.Stopping())
		return
	}
	s := &stream{exchange: x, entrypoint: e, ctx: ctx, framer: framer{form: e.form}}
	s.framer.json = httpfront.WantsJSON(httpfront.Accept(&fctx.Request.Header))
	s.framer.chunked = fctx.Request.Header.IsHTTP11()
	sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Cursor: cursor(fctx), Wake: s.conn.Wake})
	if err != nil {
		httpfront.WriteFailure(fctx, httpfront.AsFailure(err))
		return
	}
	s.begin(sub, fctx)
	s.member = e.Enter(ctx)
	x.Detach()
	// Without fasthttp's answer, which would end the connection of a client that says "Connection: close" instead of
	// handing it over; the stream writes its own head.
	fctx.HijackSetNoResponse(true)
	fctx.Hijack(s.serve)
}

// cursor returns where the client wants to go on: what a reconnecting client says wins over the URL it began with.
func cursor(fctx *fasthttp.RequestCtx) string {
	if id := fctx.Request.Header.Peek("Last-Event-ID"); len(id) > 0 {
		return string(id)
	}
	for _, name := range [...]string{"lastEventId", "cursor", "from"} {
		if v := fctx.QueryArgs().Peek(name); len(v) > 0 {
			return string(v)
		}
	}
	return ""
}

var (
	_ connectors.Entrypoint = (*Entrypoint)(nil)
	_ connectors.Drainer    = (*Entrypoint)(nil)
)
