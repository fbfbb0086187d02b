// Package httpget is the entrypoint "http-get" (spec 2.2): a page of messages per GET, waited for as long as the page may
// take. It starts no goroutine.
//
// Where it differs from the reference: the page is built before anything is sent, so a failure before the first message is
// answered with its status instead of 200; a limit that is not a number is 400 instead of 500; wildcards of Accept are
// understood at any place; "from" is another name of "cursor"; every page of an endpoint with positions has its nextCursor, an empty one too, so that a
// client can always go on; lost messages are told in a member "gaps". Notices are not told: a page has no later.
//
// What a level asks of it (DESIGN section 5): under auto a page counts as delivered once it is made. Under at-least-once it
// does when the next request gives its cursor, which the endpoint sees; until then the same page comes again. Under
// at-most-once the endpoint has saved what it hands over, all of which is in the page. An endpoint without positions may keep a page
// back under auto, as at-least-once does, where the client gives cursors (mqttclient).
//
// A client that leaves while its page is filled is noticed when the page is written: fasthttp reads nothing meanwhile.
package httpget

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of an http-get entrypoint.
type Config struct {
	// MessagesLimitCount is how many messages a page holds at most. Default 500. A client may ask for fewer with "limit".
	MessagesLimitCount int `json:"messagesLimitCount"`
	// MessagesLimitDurationMs is how long a page is filled at most, in milliseconds. Default 5000. 0: until it is full,
	// or as long as a request may take.
	MessagesLimitDurationMs float64 `json:"messagesLimitDurationMs"`
	// HeadersInPayload adds the message headers to each item. Default false.
	HeadersInPayload bool `json:"headersInPayload"`
	// MetadataInPayload adds the message metadata to each item. Default false.
	MetadataInPayload bool `json:"metadataInPayload"`
}

// Type is the catalog entry of http-get.
var Type = connectors.EntrypointType{
	Name:     "HTTP GET",
	Listener: apidef.ListenerHTTP,
	Modes:    connectors.Subscribe,
	Criteria: 1, // spec 2.0
	Check: func(cfg json.RawMessage) apidef.Problems {
		_, problems := decode(cfg)
		return problems
	},
	New: func(cfg json.RawMessage, env connectors.Env) (connectors.Entrypoint, error) { return New(cfg, env) },
}

func decode(cfg json.RawMessage) (Config, apidef.Problems) {
	c := Config{MessagesLimitCount: 500, MessagesLimitDurationMs: 5000} // spec 2.2
	problems := connectors.Decode(cfg, &c)
	if c.MessagesLimitCount < 1 {
		problems = append(problems, connectors.Invalid("/messagesLimitCount", "must be at least 1"))
	}
	if c.MessagesLimitDurationMs < 0 {
		problems = append(problems, connectors.Invalid("/messagesLimitDurationMs", "must not be negative"))
	}
	return c, problems
}

// Entrypoint serves pages.
type Entrypoint struct {
	config   Config
	duration time.Duration // how long a page may be filled; 0: any time
}

// New builds the entrypoint.
func New(cfg json.RawMessage, env connectors.Env) (*Entrypoint, error) {
	c, problems := decode(cfg)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	e := &Entrypoint{config: c, duration: milliseconds(c.MessagesLimitDurationMs)}
	if most := env.Limits.RequestTimeout; most > 0 && (e.duration == 0 || e.duration > most) {
		e.duration = most // a page that ends early is better than none
	}
	return e, nil
}

// milliseconds returns a number of them, which may be too large for a Duration, as one.
func milliseconds(n float64) time.Duration {
	return time.Duration(min(n, maxDurationMs) * float64(time.Millisecond))
}

// maxDurationMs is more than any page is filled, in milliseconds, and fits a time.Duration.
const maxDurationMs = 1e12

// Match tells whether the request is a GET.
func (e *Entrypoint) Match(fctx *fasthttp.RequestCtx) bool { return fctx.IsGet() }

// Handle answers with one page.
func (e *Entrypoint) Handle(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
	fctx := x.HTTP
	if ctx.Err() != nil {
		httpfront.WriteFailure(fctx, httpfront.Stopping())
		return
	}
	p, failure := e.ask(fctx)
	if failure == nil {
		failure = p.fill(ctx, x, b)
	}
	if failure != nil {
		fctx.Response.ResetBody()
		httpfront.WriteFailure(fctx, failure)
		return
	}
	fctx.SetStatusCode(fasthttp.StatusOK)
	fctx.Response.Header.SetContentType(p.format.mediaType())
	if p.stopping {
		fctx.SetConnectionClose()
	}
	fctx.Response.SwapBody(p.body)
}

// ask reads what the client wants.
func (e *Entrypoint) ask(fctx *fasthttp.RequestCtx) (*page, *message.Failure) {
	accept := httpfront.Accept(&fctx.Request.Header)
	i := httpfront.Negotiate(accept, offers, offerJSON, offerText)
	if i < 0 {
		return nil, &message.Failure{Status: fasthttp.StatusBadRequest, Message: "Unsupported accept header: [" + values(accept) + "]"}
	}
	p := &page{
		format: formats[i], options: options{headers: e.config.HeadersInPayload, metadata: e.config.MetadataInPayload},
		json: httpfront.WantsJSON(accept), limit: e.config.MessagesLimitCount, duration: e.duration,
		cursor: string(fctx.QueryArgs().Peek("cursor")),
	}
	if p.cursor == "" {
		p.cursor = string(fctx.QueryArgs().Peek("from"))
	}
	p.tail.limit = string(fctx.QueryArgs().Peek("limit"))
	if failure := p.parseLimit(); failure != nil {
		return nil, failure
	}
	p.body = fctx.Response.SwapBody(nil)[:0]
	return p, nil
}

// parseLimit takes the smaller of the client's limit and ours.
func (p *page) parseLimit() *message.Failure {
	if p.tail.limit == "" {
		return nil
	}
	n, err := strconv.ParseUint(p.tail.limit, 10, 64)
	if err != nil && !isRange(err) {
		return &message.Failure{Status: fasthttp.StatusBadRequest, Message: `Invalid query parameter "limit": must be a whole number, 0 or more`}
	}
	if err == nil && n < uint64(p.limit) {
		p.limit = int(n)
	}
	return nil
}

// values writes the elements of an Accept header as the reference does.
func values(accept []byte) string {
	parts := strings.Split(string(accept), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, ", ")
}

var _ connectors.Entrypoint = (*Entrypoint)(nil)
