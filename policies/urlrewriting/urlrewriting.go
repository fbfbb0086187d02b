// Package urlrewriting is the policy "url-rewriting" (policies.md 3.11): what matches a regular expression in the headers and the body of
// answers is replaced, such as addresses of machines behind the gateway.
//
// It stands in the response phase. Every match in every value of every header, and in the body, is replaced by the value of the
// replacement, in which #group[i] (from 0) and #groupName['n'] are what the groups matched. Of a stream there is no body, and its messages
// are not touched. An answer grows to 8 MiB at most; what would be larger is a 500 without a key, as is a replacement without a value.
// The expression is Java's without what takes more than linear time.
package urlrewriting

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of url-rewriting.
type Config struct {
	// RewriteResponseHeaders looks at the headers. Default true.
	RewriteResponseHeaders bool `json:"rewriteResponseHeaders"`
	// RewriteResponseBody looks at the body. Default true.
	RewriteResponseBody bool `json:"rewriteResponseBody"`
	// FromRegex is the regular expression. Required.
	FromRegex string `json:"fromRegex"`
	// ToReplacement is what takes the place of a match; it may hold expressions. Required.
	ToReplacement *string `json:"toReplacement"`
}

// maxBody bounds a rewritten body, in bytes.
const maxBody = 8 << 20

// Type is the catalog entry.
var Type = policies.Type{ID: "url-rewriting", Name: "URL Rewriting", Phases: policies.Response, Config: &Config{RewriteResponseHeaders: true, RewriteResponseBody: true}, Compile: compile}

type policy struct {
	Config
	from *regexp.Regexp
	to   *policies.Expression
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: Config{RewriteResponseHeaders: true, RewriteResponseBody: true}}
	problems := settings.Decode(cfg, &p.Config)
	if p.FromRegex == "" {
		problems = append(problems, settings.Invalid("/fromRegex", "is required: a regular expression"))
	} else if re, err := el.CompileRegexp(p.FromRegex, false); err != nil {
		problems = append(problems, settings.Invalid("/fromRegex", err.Error()))
	} else {
		p.from = re
	}
	if p.ToReplacement == nil {
		problems = append(problems, settings.Invalid("/toReplacement", "is required: what takes the place of a match"))
	} else {
		p.to = policies.ParseAt(&problems, "/toReplacement", *p.ToReplacement)
	}
	return p, problems
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Response
	if p.RewriteResponseHeaders {
		if err := p.headers(c, &r.Header); err != nil {
			return failed(err)
		}
	}
	if p.RewriteResponseBody && !c.Streaming {
		out, changed, err := p.rewrite(c, r.Body())
		if err != nil {
			return failed(err)
		}
		if changed {
			r.SetBody(out)
			c.Changed()
		}
	}
	return nil
}

func failed(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError), Err: err}
}

func (p *policy) headers(c *policies.Context, h *fasthttp.ResponseHeader) error {
	type field struct{ name, value []byte }
	var all []field
	found := false
	for name, value := range h.All() {
		out, changed, err := p.rewrite(c, value)
		if err != nil {
			return err
		}
		found = found || changed
		all = append(all, field{append([]byte(nil), name...), append([]byte(nil), out...)})
	}
	if !found {
		return nil
	}
	for _, f := range all {
		h.DelBytes(f.name)
	}
	for _, f := range all {
		h.AddBytesKV(f.name, f.value)
	}
	return nil
}

// rewrite replaces every match.
func (p *policy) rewrite(c *policies.Context, text []byte) (out []byte, changed bool, err error) {
	at := 0
	for _, loc := range p.from.FindAllSubmatchIndex(text, -1) {
		with, err := p.replacement(c, text, loc)
		if err != nil {
			return nil, false, err
		}
		out = append(append(out, text[at:loc[0]]...), with...)
		at, changed = loc[1], true
		if len(out) > maxBody {
			return nil, false, fmt.Errorf("the answer grows to more than %d bytes", maxBody)
		}
	}
	if !changed {
		return text, false, nil
	}
	return append(out, text[at:]...), true, nil
}

func (p *policy) replacement(c *policies.Context, text []byte, loc []int) (string, error) {
	groups := make([]string, 0, len(loc)/2)
	names := map[string]any{}
	for i, name := range p.from.SubexpNames() {
		value := ""
		if loc[2*i] >= 0 {
			value = string(text[loc[2*i]:loc[2*i+1]])
		}
		if i > 0 {
			groups = append(groups, value)
		}
		if name != "" {
			names[name] = value
		}
	}
	c.Provide("group", el.OfTexts(groups))
	c.Provide("groupName", el.OfMap(el.AnyMap(names)))
	return p.to.Text(c)
}

var _ policies.ResponsePolicy = (*policy)(nil)
