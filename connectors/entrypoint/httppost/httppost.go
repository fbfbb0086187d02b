// Package httppost is the entrypoint "http-post" (spec 2.1): the whole body of a POST becomes one message, answered once
// the broker has it. It starts no goroutine: the handler waits for the acknowledgement.
//
// Beyond the specification: a body of one of three media types is a batch (batch.go); a client may ask where its messages
// lie ("Prefer: return=representation", RFC 7240); and a request with an Idempotency-Key may be sent again without its
// messages being stored again (answers.go).
package httppost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	// Batches has bodies of the types application/x-ndjson, application/vnd.sluice.batch+json and
	// application/vnd.sluice.batch+ndjson taken as batches. Default true; false: they are one message like any other.
	Batches bool `json:"batches"`
	// BatchMaxMessages is how many messages a batch holds at most. Default 1000, at most 10000.
	BatchMaxMessages int `json:"batchMaxMessages"`
	// BatchTopics are the topics that an element of a batch may name. Default none: messages go where the endpoint says.
	BatchTopics []string `json:"batchTopics"`
	// ReturnRepresentation answers with what became of each message although the client does not prefer it. Default false.
	ReturnRepresentation bool `json:"returnRepresentation"`
	// IdempotencyWindowMs is how long the answer to a request with an Idempotency-Key is known, in milliseconds. Default
	// 600000; 0: the header means nothing.
	IdempotencyWindowMs int64 `json:"idempotencyWindowMs"`
}

// Bounds of the configuration.
const (
	defaultBatch  = 1000
	maxBatch      = 10000
	defaultWindow = 10 * time.Minute
	maxWindow     = 24 * time.Hour
)

// Type is the catalog entry of http-post. All its entrypoints share one table of answers, so that a request that is sent
// again finds the first one's answer also after its API was redeployed.
var Type = typeWith(newAnswers(maxAnswersBytes))

func typeWith(known *answers) connectors.EntrypointType {
	return connectors.EntrypointType{
		Name:     "HTTP POST",
		Listener: apidef.ListenerHTTP,
		Modes:    connectors.Publish,
		Criteria: 1, // spec 2.0
		Check: func(cfg json.RawMessage) apidef.Problems {
			_, problems := decode(cfg)
			return problems
		},
		New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) {
			return build(cfg, env, known)
		},
	}
}

func decode(cfg json.RawMessage) (Config, apidef.Problems) {
	c := Config{Batches: true, BatchMaxMessages: defaultBatch, IdempotencyWindowMs: defaultWindow.Milliseconds()}
	problems := connectors.Decode(cfg, &c)
	if c.BatchMaxMessages < 1 || c.BatchMaxMessages > maxBatch {
		problems = append(problems, connectors.Invalid("/batchMaxMessages", fmt.Sprintf("must be between 1 and %d", maxBatch)))
	}
	if c.IdempotencyWindowMs < 0 || c.IdempotencyWindowMs > maxWindow.Milliseconds() {
		problems = append(problems, connectors.Invalid("/idempotencyWindowMs", fmt.Sprintf("must be between 0 and %d", maxWindow.Milliseconds())))
	}
	for i, topic := range c.BatchTopics {
		if topic == "" {
			problems = append(problems, connectors.Invalid("/batchTopics/"+strconv.Itoa(i), "must not be empty"))
		}
	}
	return c, problems
}

// Entrypoint serves POST requests.
type Entrypoint struct {
	config    Config
	maxBody   int // bytes; 0: what the server takes
	deadlines *httpfront.Deadlines
	answers   *answers
	window    time.Duration // how long answers are known; 0: they are not
}

// New builds the entrypoint, with a table of answers of its own.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	return build(cfg, env, newAnswers(maxAnswersBytes))
}

func build(cfg json.RawMessage, env connectors.Env, known *answers) (*Entrypoint, error) {
	c, problems := decode(cfg)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Entrypoint{config: c, maxBody: env.Limits.MaxBody, deadlines: httpfront.NewDeadlines(env.Limits.RequestTimeout),
		answers: known, window: time.Duration(c.IdempotencyWindowMs) * time.Millisecond}, nil
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
	case e.maxBody > 0 && len(body) > e.maxBody:
		httpfront.WriteFailure(fctx, &message.Failure{Status: fasthttp.StatusRequestEntityTooLarge, Message: "Request body too large"})
		return
	case len(body) == 0:
		fctx.SetStatusCode(fasthttp.StatusAccepted) // spec 2.1: no body, no message
		return
	}
	if w := e.wishes(fctx); w != (wishes{}) {
		if failure := e.fulfil(ctx, x, b, w); failure != nil {
			httpfront.WriteFailure(fctx, failure)
		}
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

// wishes is what a request asks for beyond the plain case.
type wishes struct {
	form           form
	representation bool
	key            string // Idempotency-Key; empty: none
}

func (e *Entrypoint) wishes(fctx *fasthttp.RequestCtx) wishes {
	h := &fctx.Request.Header
	w := wishes{representation: prefersRepresentation(h, e.config.ReturnRepresentation)}
	if e.config.Batches {
		w.form = formOf(h.ContentType())
	}
	if e.window > 0 {
		w.key = string(h.Peek(headerKey))
	}
	return w
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
