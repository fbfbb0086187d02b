package flow

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// keyPreflight is the failure of a preflight that asks for more than is allowed (spec 1.5).
const keyPreflight = "CORS_PREFLIGHT_FAILED"

// cors is the cross-origin configuration of the HTTP listeners, compiled (spec 1.5).
type cors struct {
	any         bool
	origins     []string
	patterns    []*regexp.Regexp
	methods     []string // upper case
	headers     []string // lower case
	allowed     string   // methods, as they are answered
	headersText string
	exposed     string
	maxAge      string // empty: not answered
	credentials bool
	runPolicies bool
}

// newCORS compiles a configuration; nil where it is absent or off.
func newCORS(def *apidef.CORS) *cors {
	if def == nil || !def.Enabled {
		return nil
	}
	c := &cors{credentials: def.AllowCredentials, runPolicies: def.RunPolicies, exposed: strings.Join(def.ExposeHeaders, ", "),
		headersText: strings.Join(def.AllowHeaders, ", ")}
	for _, o := range def.AllowOrigin {
		switch {
		case o == "*":
			c.any = true
		case strings.ContainsAny(o, "{[(*"):
			if re, err := regexp.Compile("^(?:" + o + ")$"); err == nil { // checked when it was saved
				c.patterns = append(c.patterns, re)
			}
		default:
			c.origins = append(c.origins, o)
		}
	}
	for _, m := range def.AllowMethods {
		c.methods = append(c.methods, strings.ToUpper(m))
	}
	c.allowed = strings.Join(c.methods, ", ")
	for _, h := range def.AllowHeaders {
		c.headers = append(c.headers, strings.ToLower(h))
	}
	if def.MaxAge != nil && *def.MaxAge > -1 {
		c.maxAge = strconv.Itoa(*def.MaxAge)
	}
	return c
}

// allows tells whether an origin may read answers.
func (c *cors) allows(origin []byte) bool {
	return c.any || slices.ContainsFunc(c.origins, func(o string) bool { return o == string(origin) }) ||
		slices.ContainsFunc(c.patterns, func(re *regexp.Regexp) bool { return re.Match(origin) })
}

// isPreflight tells whether a browser asks what it may do.
func isPreflight(h *fasthttp.RequestHeader) bool {
	return h.IsOptions() && len(h.Peek(fasthttp.HeaderOrigin)) > 0 && len(h.Peek(fasthttp.HeaderAccessControlRequestMethod)) > 0
}

// preflight answers. It says no by a failure, for templates to render, and never allows all origins by name, since answers
// may carry credentials.
func (c *cors) preflight(x *exchange.Exchange) *message.Failure {
	h := &x.HTTP.Request.Header
	origin := h.Peek(fasthttp.HeaderOrigin)
	switch {
	case !c.allows(origin):
		return refusedPreflight("origin")
	case !slices.Contains(c.methods, strings.ToUpper(string(h.Peek(fasthttp.HeaderAccessControlRequestMethod)))):
		return refusedPreflight("method")
	case !c.allowsHeaders(string(h.Peek(fasthttp.HeaderAccessControlRequestHeaders))):
		return refusedPreflight("headers")
	}
	out := &x.HTTP.Response.Header
	c.mark(out, origin)
	out.Set(fasthttp.HeaderAccessControlAllowMethods, c.allowed)
	if c.headersText != "" {
		out.Set(fasthttp.HeaderAccessControlAllowHeaders, c.headersText)
	}
	if c.maxAge != "" {
		out.Set(fasthttp.HeaderAccessControlMaxAge, c.maxAge)
	}
	x.HTTP.SetStatusCode(fasthttp.StatusOK)
	return nil
}

func refusedPreflight(what string) *message.Failure {
	return &message.Failure{Status: fasthttp.StatusBadRequest, Key: keyPreflight, Message: "CORS preflight failed: the " + what + " is not allowed"}
}

func (c *cors) allowsHeaders(asked string) bool {
	for name := range strings.SplitSeq(asked, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !slices.Contains(c.headers, name) && !slices.Contains(c.headers, "*") {
			return false
		}
	}
	return true
}

// simple adds what a browser must see on the answer to a request, also where that is a failure. It runs before the request is
// served: the head of a stream is made of the same fields.
func (c *cors) simple(x *exchange.Exchange) {
	origin := x.HTTP.Request.Header.Peek(fasthttp.HeaderOrigin)
	if len(origin) == 0 || !c.allows(origin) {
		return
	}
	out := &x.HTTP.Response.Header
	c.mark(out, origin)
	if c.exposed != "" {
		out.Set(fasthttp.HeaderAccessControlExposeHeaders, c.exposed)
	}
}

func (c *cors) mark(out *fasthttp.ResponseHeader, origin []byte) {
	out.SetBytesV(fasthttp.HeaderAccessControlAllowOrigin, origin)
	out.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	if c.credentials {
		out.Set(fasthttp.HeaderAccessControlAllowCredentials, "true")
	}
}
