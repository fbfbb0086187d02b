// Package dynamicrouting is the policy "dynamic-routing" (policies.md 6.1): the path of a request chooses the endpoint.
//
// It stands in the request phase. The first rule whose pattern matches all of the path behind the context path, decoded or as it was sent,
// gives the target, in which #group[i] (from 0) and #groupName['n'] are what the pattern's groups matched. The target goes into the attribute
// request.endpoint. On message APIs it names an endpoint or a group, such as {#endpoints['name']}; a target without a name is a path, which message endpoints
// do not have, and changes nothing.
//
// Failures: 400 without a key where no rule matches, and 500 without a key where a target has no value or a computed pattern is
// wrong. Patterns are Java's without what takes more than linear time; constant ones are compiled at deploy.
package dynamicrouting

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of dynamic-routing.
type Config struct {
	// Rules are tried in order. None: nothing changes.
	Rules []Rule `json:"rules"`
}

// Rule is one rule.
type Rule struct {
	// Pattern is a regular expression of paths; it may hold expressions. Required.
	Pattern string `json:"pattern"`
	// URL is the target; it may hold expressions. Required.
	URL string `json:"url"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "dynamic-routing", Name: "Dynamic Routing", Phases: policies.Request, Config: &Config{}, Compile: compile}

type rule struct {
	pattern *policies.Expression
	fixed   *regexp.Regexp // of a constant pattern
	target  *policies.Expression
}

type policy struct{ rules []rule }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{}
	for i, def := range c.Rules {
		at := fmt.Sprintf("/rules/%d", i)
		for _, f := range []struct{ name, text string }{{"pattern", def.Pattern}, {"url", def.URL}} {
			if strings.TrimSpace(f.text) == "" {
				problems = append(problems, settings.Invalid(at+"/"+f.name, "is required"))
			}
		}
		r := rule{target: policies.ParseAt(&problems, at+"/url", def.URL)}
		// Braces are counts in patterns, such as \d{2}: only what looks like an expression is one.
		if strings.Contains(def.Pattern, "{#") {
			r.pattern = policies.ParseAt(&problems, at+"/pattern", def.Pattern)
		} else if def.Pattern != "" {
			var err error
			if r.fixed, err = el.CompileRegexp(def.Pattern, true); err != nil {
				problems = append(problems, settings.Invalid(at+"/pattern", err.Error()))
			}
		}
		p.rules = append(p.rules, r)
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if len(p.rules) == 0 {
		return nil
	}
	raw := c.Exchange.PathInfo
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		decoded = raw
	}
	for i := range p.rules {
		r := &p.rules[i]
		re := r.fixed
		if re == nil {
			text, err := r.pattern.Text(c)
			if err == nil {
				re, err = el.CompileRegexp(text, true)
			}
			if err != nil {
				return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: "Invalid pattern syntax", Err: err}
			}
		}
		for _, path := range []string{raw, decoded} {
			if match := re.FindStringSubmatch(path); match != nil {
				return r.route(c, re, match)
			}
		}
	}
	return &message.Failure{Status: fasthttp.StatusBadRequest, Message: "No routing rule is matching path"}
}

// route evaluates the target and names it.
func (r *rule) route(c *policies.Context, re *regexp.Regexp, match []string) error {
	names := map[string]any{}
	for i, name := range re.SubexpNames() {
		if name != "" {
			names[name] = match[i]
		}
	}
	c.Provide("group", el.OfTexts(match[1:]))
	c.Provide("groupName", el.OfMap(el.AnyMap(names)))
	target, err := r.target.Text(c)
	if err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError), Err: err}
	}
	c.Exchange.SetAttribute("request.endpoint", target)
	return nil
}

var _ policies.RequestPolicy = (*policy)(nil)
