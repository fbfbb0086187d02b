// Package httppost is the entrypoint "http-post" (spec 2.1): the whole body of a POST becomes one message, answered once
// the broker has it. It starts no goroutine: the handler waits for the acknowledgement.
package httppost

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of an http-post entrypoint.
type Config struct {
	// RequestHeadersToMessage copies every request header into the message. Default false.
	RequestHeadersToMessage bool `json:"requestHeadersToMessage"`
}

// Type is the catalog entry of http-post.
var Type = connectors.EntrypointType{
	Name:     "HTTP POST",
	Listener: apidef.ListenerHTTP,
	Modes:    connectors.Publish,
	Criteria: 1, // spec 2.0
	Check: func(cfg json.RawMessage) apidef.Problems {
		return connectors.Decode(cfg, new(Config))
	},
	New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) { return New(cfg, env) },
}

// Entrypoint serves POST requests.
type Entrypoint struct {
	config    Config
	maxBody   int
	deadlines *httpfront.Deadlines
}

// New builds the entrypoint.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	e := &Entrypoint{maxBody: env.Limits.MaxBody, deadlines: httpfront.NewDeadlines(env.Limits.RequestTimeout)}
	if err := connectors.Decode(cfg, &e.config).Err(); err != nil {
		return nil, err
	}
	return e, nil
}

// Match tells whether the request is a POST.
func (e *Entrypoint) Match(fctx *fasthttp.RequestCtx) bool { return fctx.IsPost() }

// Handle publishes the body and answers 202 when the broker has it, else what became of it.
func (e *Entrypoint) Handle(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
	fctx := x.HTTP
	body := fctx.PostBody()
	switch {
	case ctx.Err() != nil:
		httpfront.WriteFailure(fctx, httpfront.Stopping())
		return
	case len(body) > e.maxBody:
		httpfront.WriteFailure(fctx, &message.Failure{Status: fasthttp.StatusRequestEntityTooLarge, Message: "Request body too large"})
		return
	case len(body) == 0:
		fctx.SetStatusCode(fasthttp.StatusAccepted) // spec 2.1: no body, no message
		return
	}
	m := message.Get()
	m.SetContent(body)
	if e.config.RequestHeadersToMessage {
		httpfront.CopyHeaders(m, &fctx.Request.Header)
	}
	w := getWaiter()
	m.SetAck(w)
	timed := e.deadlines.Context(ctx, time.Now())
	b.Publish(timed, x, m)
	if err := w.wait(timed, ctx); err != nil {
		httpfront.WriteFailure(fctx, failureOf(ctx, err))
		return
	}
	fctx.SetStatusCode(fasthttp.StatusAccepted)
}

// timeout is what a client is told when no answer came in time: the message was handed on, so nobody knows.
var timeout = message.Failure{Status: fasthttp.StatusGatewayTimeout, Key: message.KeyOutcomeUnknown,
	Message: "Request timeout: no acknowledgement in time", Unknown: true}

// failureOf turns what became of a publish into the answer. A message that waited for room when the API stopped was not
// handed to the broker, so it is the stop that the client hears of.
func failureOf(ctx context.Context, err error) *message.Failure {
	f := httpfront.AsFailure(err)
	if ctx.Err() == nil || f.Unknown {
		return f
	}
	if f.Key == message.KeyBufferFull || errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)) {
		return httpfront.Stopping()
	}
	return f
}

var _ connectors.Entrypoint = (*Entrypoint)(nil)
