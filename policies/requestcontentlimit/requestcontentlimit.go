// Package requestcontentlimit is the policy "request-content-limit" (policies.md 5.7): requests with a body above a size are refused.
//
// It stands in the request phase and goes by Content-Length, or where the body comes in chunks by what was read. The gateway's own limit
// (--max-body-bytes) is kept before it.
//
// Failures: 413 REQUEST_CONTENT_LIMIT_TOO_LARGE with the parameters length and limit; 411 REQUEST_CONTENT_LIMIT_LENGTH_REQUIRED where a
// request says neither, as a GET without a body does; 400 without a key where Content-Length is no number.
package requestcontentlimit

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of request-content-limit.
type Config struct {
	// Limit is the largest body, in bytes. Required.
	Limit *int64 `json:"limit"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "request-content-limit", Name: "Request Content Limit", Phases: policies.Request, Config: &Config{}, Compile: compile}

type policy struct{ limit int64 }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	if c.Limit == nil || *c.Limit < 0 {
		return &policy{}, append(problems, settings.Invalid("/limit", "is required: the largest body, in bytes, 0 or more"))
	}
	return &policy{*c.Limit}, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	text := r.Header.Peek(fasthttp.HeaderContentLength)
	var length int64
	switch {
	case len(text) > 0:
		var err error
		if length, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return &message.Failure{Status: fasthttp.StatusBadRequest, Message: "Content-length is not a valid integer !"}
		}
	case r.Header.ContentLength() == -1: // in chunks
		length = int64(len(r.Body()))
	default:
		return &message.Failure{Status: fasthttp.StatusLengthRequired, Key: "REQUEST_CONTENT_LIMIT_LENGTH_REQUIRED",
			Message: "The request did not specify the length of its content, which is required by the requested resource.", Parameters: map[string]any{"limit": p.limit}}
	}
	if length > p.limit {
		return &message.Failure{Status: fasthttp.StatusRequestEntityTooLarge, Key: "REQUEST_CONTENT_LIMIT_TOO_LARGE",
			Message: "The request is larger than the server is willing or able to process.", Parameters: map[string]any{"length": length, "limit": p.limit}}
	}
	return nil
}

var _ policies.RequestPolicy = (*policy)(nil)
