// Package websocket is the entrypoint "websocket" (spec 2.4): frames of a client become messages, messages become frames.
//
// The worker's event loop reads and writes the connections, so an idle one costs no goroutine; publishing, which can block, has
// one while there is something to publish, and what comes meanwhile waits, bounded in bytes, in the connection and then in
// the network. The entrypoint's Group waits for all of it. Frames are read and written here rather than by a library: text is
// checked as it arrives (RFC 6455 section 8.1), many frames go out in one write, and a message is framed once for all
// subscribers without a sub-protocol. The tests use fasthttp/websocket as the other side.
//
// What is carried how, to a client that offers no sub-protocol:
//   - A message is one frame: binary where its header Content-Type is application/octet-stream or its content is not
//     UTF-8, else text. A binary frame of a client that could pass for text is published with that header, so that the two
//     kinds stay apart; other frames are published without headers.
//   - Gaps and notices are pings with the payload "gap " or "notice " and a JSON object, cut off at 125 bytes, since the data
//     frames of the raw protocol are messages and nothing else.
//   - A stopping API closes with 1013, a redeployed one with 1012. The close, whoever begins it, is sent only after the broker
//     acknowledged what was published before; where it refused, the code is 1011.
//   - Under at-least-once each write ends with a ping, and its pong proves all of it (see proof.go).
//   - "?from=" is the resume point. Any Origin is accepted (as in the reference: who may connect is for plans and policies to
//     say).
//
// A client that offers the sub-protocol sluice.v1 speaks JSON in both directions, with cursors, acks, credit and an answer to each
// publish: docs/websocket.md, framer.go and decode.go. Compression (RFC 7692) is agreed where it is configured: deflate.go.
package websocket

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of a websocket entrypoint.
type Config struct {
	Publisher  Switch `json:"publisher"`
	Subscriber Switch `json:"subscriber"`
	// Compression of messages (permessage-deflate, RFC 7692) for clients that offer it. Default: disabled, since it costs much
	// more time than it saves on a fast network.
	Compression Switch `json:"compression"`
}

// Switch turns something on or off.
type Switch struct {
	// Enabled, default true for the directions. Frames of a client that may not publish are ignored; in sluice.v1, refused.
	Enabled bool `json:"enabled"`
}

// Type is the catalog entry of websocket.
var Type = connectors.EntrypointType{
	Name:     "WebSocket",
	Listener: apidef.ListenerHTTP,
	Modes:    connectors.Publish | connectors.Subscribe,
	Criteria: 4, // spec 2.0
	Check: func(cfg json.RawMessage) apidef.Problems {
		_, problems := decode(cfg)
		return problems
	},
	New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) { return New(cfg, env) },
}

func decode(cfg json.RawMessage) (Config, apidef.Problems) {
	c := Config{Publisher: Switch{Enabled: true}, Subscriber: Switch{Enabled: true}}
	return c, connectors.Decode(cfg, &c)
}

// Entrypoint serves WebSocket connections.
type Entrypoint struct {
	httpfront.Group
	config   Config
	log      *slog.Logger
	logLimit supervise.LogLimit
	closes   metric.Int64Counter
	unsent   metric.Int64Counter
	maxFrame int
	times    times
	loop     *eventloop.Loop
}

// times are how long the parts of a connection's life may take.
type times struct {
	write     time.Duration // the client takes no byte
	pingEvery time.Duration // the client sends no byte, then it is asked for a sign of life
	pongWait  time.Duration // and has this long for it
	settle    time.Duration // the broker acknowledges what is in flight when the connection ends
	proof     time.Duration // the client proves a message (at-least-once, no sub-protocol), besides the time to carry it
	farewell  time.Duration // the client proves what it was sent when the API stops
	handshake time.Duration // the client answers our close frame; also the saving of what was delivered
	linger    time.Duration // for the client's end of the connection after ours
}

// defaultTimes are ours; the schema has none.
var defaultTimes = times{pingEvery: 30 * time.Second, pongWait: 10 * time.Second, handshake: 5 * time.Second, linger: time.Second,
	settle: 10 * time.Second, proof: 30 * time.Second, farewell: 2 * time.Second}

// New builds the entrypoint.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	c, problems := decode(cfg)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	e := &Entrypoint{config: c, log: env.Log, maxFrame: env.Limits.MaxFrame, times: defaultTimes, loop: env.Loop}
	if e.maxFrame <= 0 {
		e.maxFrame = connectors.DefaultLimits.MaxFrame
	}
	e.times.write = env.Limits.WriteTimeout
	if env.Limits.ProduceTimeout > 0 {
		e.times.settle = env.Limits.ProduceTimeout
	}
	meter := env.Meter
	if meter == nil {
		meter = noop.Meter{}
	}
	var err error
	e.closes, err = meter.Int64Counter("sluice_websocket_closes", metric.WithDescription("WebSocket connections that ended, by close code"))
	if err != nil {
		return nil, err
	}
	e.unsent, err = meter.Int64Counter("sluice_websocket_lost", metric.WithDescription(
		"Messages under at-most-once that were saved as delivered when their connection broke, before they were written to it"))
	return e, err
}

// Match tells whether the request asks for a WebSocket.
func (e *Entrypoint) Match(fctx *fasthttp.RequestCtx) bool {
	h := &fctx.Request.Header
	return fctx.IsGet() && h.IsHTTP11() &&
		hasToken(h.Peek(fasthttp.HeaderConnection), "upgrade") && hasToken(h.Peek(fasthttp.HeaderUpgrade), "websocket")
}

// Handle subscribes, and only then upgrades, so that a failure is a plain HTTP answer.
func (e *Entrypoint) Handle(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
	fctx := x.HTTP
	if ctx.Err() != nil {
		httpfront.WriteFailure(fctx, httpfront.Stopping())
		return
	}
	key, failure := checkHandshake(fctx)
	if failure != nil {
		httpfront.WriteFailure(fctx, failure)
		return
	}
	c := newConn(ctx, e, x, b)
	c.framer.v1 = offersSubprotocol(fctx)
	if failure := c.grantFirst(fctx.QueryArgs().Peek("credit")); failure != nil {
		httpfront.WriteFailure(fctx, failure)
		return
	}
	if e.config.Compression.Enabled {
		c.framer.deflate = acceptDeflate(fctx)
	}
	if e.config.Subscriber.Enabled {
		sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Cursor: string(fctx.QueryArgs().Peek("from")), Wake: c.line.Wake})
		if err != nil {
			httpfront.WriteFailure(fctx, httpfront.AsFailure(err))
			return
		}
		c.subscribe(sub)
	}
	c.head = switchProtocols(fctx, key, &c.framer)
	c.member = e.Enter(ctx)
	x.Detach()
	fctx.HijackSetNoResponse(true) // see the sse entrypoint
	fctx.Hijack(c.serve)
}

// ended counts a connection and tells the log of one that failed for a reason on our side. lost is how many messages nobody
// will get any more.
func (e *Entrypoint) ended(x *exchange.Exchange, code, lost int, err error) {
	e.closes.Add(context.Background(), 1, metric.WithAttributeSet(closeAttributes(x.API, code)))
	if lost > 0 {
		e.unsent.Add(context.Background(), int64(lost), metric.WithAttributes(attribute.String("api", x.API.ID)))
	}
	if err != nil && code == codeServerError {
		e.logLimit.Warn(e.log, "websocket closed", "code", code, "err", err)
	}
}

var (
	_ connectors.Entrypoint = (*Entrypoint)(nil)
	_ connectors.Drainer    = (*Entrypoint)(nil)
	_ message.Ack           = (*receipt)(nil)
)
