// Package resourcefiltering is the policy "resource-filtering" (policies.md 5.9): requests are let through or refused by path
// and method.
//
// It stands in the request phase. Patterns are Ant's: ? is one character, * any within a segment, ** any segments. They are held
// against the whole path, alone and behind the API's context path. Where there is a whitelist, path and method must fit one of
// its entries; then none of the blacklist may fit.
//
// Failures: 403 RESOURCE_FILTERING_FORBIDDEN; 405 RESOURCE_FILTERING_METHOD_NOT_ALLOWED where a path of the whitelist fits and only
// the method does not, or where an entry of the blacklist names the method. With normalizeRequestPath the path is decoded, and
// repeated slashes and dots are taken out, before it is looked at; what reaches the endpoint is not changed.
package resourcefiltering

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Resource is an entry of a list.
type Resource struct {
	// Pattern is an Ant pattern of paths. Required.
	Pattern string `json:"pattern"`
	// Methods are the methods that the entry is for: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE. Default: all.
	Methods []string `json:"methods"`
}

// Config is the configuration of resource-filtering.
type Config struct {
	// Whitelist is what is let through; empty: everything.
	Whitelist []Resource `json:"whitelist"`
	// Blacklist is what is refused.
	Blacklist []Resource `json:"blacklist"`
	// NormalizeRequestPath decodes and cleans the path before it is looked at. Default false.
	NormalizeRequestPath bool `json:"normalizeRequestPath"`
	// DecodeEncodedSlash has an encoded slash count as one, with NormalizeRequestPath. Default false.
	DecodeEncodedSlash bool `json:"decodeEncodedSlash"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "resource-filtering", Name: "Resource Filtering", Phases: policies.Request, Config: &Config{}, Compile: compile}

var methods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

type resource struct {
	pattern *regexp.Regexp
	methods []string
}

type policy struct {
	white, black       []resource
	normalize, slashes bool
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{normalize: c.NormalizeRequestPath, slashes: c.DecodeEncodedSlash}
	p.white = resources(&problems, "/whitelist", c.Whitelist)
	p.black = resources(&problems, "/blacklist", c.Blacklist)
	return p, problems
}

func resources(problems *apidef.Problems, at string, list []Resource) []resource {
	var out []resource
	for i, r := range list {
		here := fmt.Sprintf("%s/%d", at, i)
		if strings.TrimSpace(r.Pattern) == "" {
			*problems = append(*problems, settings.Invalid(here+"/pattern", "is required: a pattern of paths"))
			continue
		}
		re, err := regexp.Compile(ant(r.Pattern))
		if err != nil {
			*problems = append(*problems, settings.Invalid(here+"/pattern", err.Error()))
			continue
		}
		for j, m := range r.Methods {
			if !slices.Contains(methods, m) {
				*problems = append(*problems, settings.Invalid(fmt.Sprintf("%s/methods/%d", here, j), "must be one of: "+strings.Join(methods, ", ")))
			}
		}
		out = append(out, resource{re, r.Methods})
	}
	return out
}

// ant writes an Ant pattern as a regular expression.
func ant(pattern string) string {
	var b strings.Builder
	b.WriteString(`\A`)
	for i := 0; i < len(pattern); {
		switch rest := pattern[i:]; {
		case rest == "/**":
			b.WriteString(`(?:/.*)?`)
			i += 3
		case strings.HasPrefix(rest, "/**/"):
			b.WriteString(`/(?:.*/)?`)
			i += 4
		case strings.HasPrefix(rest, "**"):
			b.WriteString(`.*`)
			i += 2
		case rest[0] == '*':
			b.WriteString(`[^/]*`)
			i++
		case rest[0] == '?':
			b.WriteString(`[^/]`)
			i++
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	b.WriteString(`\z`)
	return "(?s)" + b.String()
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	x := c.Exchange
	raw, _, _ := strings.Cut(string(x.HTTP.Request.Header.RequestURI()), "?")
	if p.normalize {
		raw = p.clean(raw)
	}
	method := string(x.HTTP.Method())
	behind := raw
	if context := strings.TrimSuffix(x.ContextPath, "/"); strings.HasPrefix(raw, context) {
		behind = strings.TrimPrefix(raw, context)
	}
	fits := func(r resource) bool { return r.pattern.MatchString(raw) || r.pattern.MatchString(behind) }
	serves := func(r resource) bool { return len(r.methods) == 0 || slices.Contains(r.methods, method) }
	if len(p.white) > 0 && !slices.ContainsFunc(p.white, func(r resource) bool { return fits(r) && serves(r) }) {
		if slices.ContainsFunc(p.white, fits) {
			return notAllowed()
		}
		return forbidden()
	}
	for _, r := range p.black {
		switch {
		case !fits(r) || !serves(r):
		case len(r.methods) > 0:
			return notAllowed()
		default:
			return forbidden()
		}
	}
	return nil
}

// clean decodes a path and takes out what means nothing. What cannot be decoded stays as it is.
func (p *policy) clean(raw string) string {
	text := raw
	if !p.slashes {
		text = strings.NewReplacer("%2F", "%252F", "%2f", "%252f").Replace(text)
	}
	if decoded, err := url.QueryUnescape(text); err == nil {
		text = decoded
	}
	out := path.Clean("/" + text)
	if strings.HasSuffix(text, "/") && out != "/" {
		out += "/"
	}
	return out
}

func forbidden() error {
	return &message.Failure{Status: fasthttp.StatusForbidden, Key: "RESOURCE_FILTERING_FORBIDDEN", Message: "You're not allowed to access this resource"}
}

func notAllowed() error {
	return &message.Failure{Status: fasthttp.StatusMethodNotAllowed, Key: "RESOURCE_FILTERING_METHOD_NOT_ALLOWED", Message: "Method not allowed while accessing this resource"}
}

var _ policies.RequestPolicy = (*policy)(nil)
