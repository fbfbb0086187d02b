// Package httpredirect is the policy "http-redirect" (policies.md 6.3): it sends clients elsewhere.
//
// It runs in the phase request. The first rule whose path, a regular expression that may hold expressions, matches the whole path
// behind that of the API answers with its status and location, and the exchange ends there: nothing else of the flow runs.
// #group[0] is the first group of the match in location, #groupName['x'] the one named x. Where no rule matches, the request goes on.
//
// Regular expressions are those of Go (RE2), which take time in proportion to the path whatever they are, and know neither look-around
// nor back-references: those are refused when the definition is saved. A path whose expression gives no regular expression, and a location that
// is no URI, are a 500. Compiled expressions are kept, up to cache.maxItems (100 where that is 0; the reference has no bound then).
package httpredirect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of http-redirect.
type Config struct {
	// Rules are tried in order. Required.
	Rules []Rule `json:"rules"`
	// Cache bounds the compiled expressions of paths that hold expressions themselves.
	Cache Cache `json:"cache"`
}

// Rule is where one kind of path is sent.
type Rule struct {
	// Path is a regular expression for the whole path behind that of the API; it may hold expressions. Required.
	Path string `json:"path"`
	// Location is where clients are sent; it may hold expressions, also over #group and #groupName. Required.
	Location string `json:"location"`
	// Status is 300 to 308. Default 301.
	Status *int `json:"status"`
}

// Cache bounds compiled expressions.
type Cache struct {
	// MaxItems is how many are kept; 0: 100. Default 0.
	MaxItems int `json:"maxItems"`
	// TimeToLive has no effect: a compiled expression does not grow old.
	TimeToLive int `json:"timeToLive"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "http-redirect",
	Name:    "HTTP Redirect",
	Phases:  policies.Request,
	Config:  &Config{},
	Compile: compile,
}

type rule struct {
	path     *policies.Expression
	pattern  *regexp.Regexp // of a path without expressions
	location *policies.Expression
	status   int
}

type policy struct {
	rules []rule
	most  int

	mu sync.Mutex
	// guards the following
	patterns map[string]*regexp.Regexp
}

const defaultItems = 100

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	if len(c.Rules) == 0 {
		fail("/rules", "is required: which paths are sent where")
	}
	p := &policy{most: c.Cache.MaxItems, patterns: map[string]*regexp.Regexp{}}
	if p.most <= 0 || p.most > 10000 {
		p.most = defaultItems
	}
	for i, r := range c.Rules {
		at := fmt.Sprintf("/rules/%d", i)
		out := rule{status: fasthttp.StatusMovedPermanently}
		if r.Status != nil {
			out.status = *r.Status
		}
		if out.status < 300 || out.status > 308 {
			fail(at+"/status", "must be between 300 and 308")
		}
		var err error
		switch out.path, err = policies.ParseExpression(r.Path); {
		case r.Path == "":
			fail(at+"/path", "is required: a regular expression")
		case err != nil:
			fail(at+"/path", err.Error())
		case out.path.Constant():
			if out.pattern, err = whole(r.Path); err != nil {
				fail(at+"/path", "is no regular expression (RE2): "+err.Error())
			}
		}
		if out.location, err = policies.ParseExpression(r.Location); err != nil {
			fail(at+"/location", err.Error())
		} else if r.Location == "" {
			fail(at+"/location", "is required: where clients are sent")
		}
		p.rules = append(p.rules, out)
	}
	return p, problems
}

func whole(text string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + text + `)$`) }

// pattern is the regular expression that a rule's path gives now.
func (p *policy) pattern(r *rule, c *policies.Context) (*regexp.Regexp, error) {
	if r.pattern != nil {
		return r.pattern, nil
	}
	text, err := r.path.Text(c)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	re := p.patterns[text]
	p.mu.Unlock()
	if re != nil {
		return re, nil
	}
	if re, err = whole(text); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.patterns) >= p.most {
		clear(p.patterns) // so many different ones are not worth an order
	}
	p.patterns[text] = re
	return re, nil
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	for i := range p.rules {
		r := &p.rules[i]
		re, err := p.pattern(r, c)
		if err != nil {
			return failed("Invalid pattern syntax", err)
		}
		groups := re.FindStringSubmatch(c.Exchange.PathInfo)
		if groups == nil {
			continue
		}
		provide(c, re, groups)
		location, err := r.location.Text(c)
		if err == nil {
			location, err = normalized(location)
		}
		if err != nil {
			return failed("Invalid location", err)
		}
		out := &c.Exchange.HTTP.Response
		out.ResetBody()
		out.SetStatusCode(r.status)
		out.Header.Set(fasthttp.HeaderLocation, location)
		return policies.ErrInterrupt
	}
	return nil
}

func failed(text string, err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: text, Err: err}
}

// provide makes the groups of a match visible to expressions; they stay visible, as in the reference.
func provide(c *policies.Context, re *regexp.Regexp, groups []string) {
	named := el.TextMap{}
	for i, name := range re.SubexpNames() {
		if name != "" {
			named[name] = groups[i]
		}
	}
	c.Provide("group", el.OfTexts(groups[1:]))
	c.Provide("groupName", el.OfMap(named))
}

// normalized is a URI without dot segments (RFC 3986 section 6.2.2.3).
func normalized(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if strings.Contains(u.Path, "/.") || strings.Contains(u.Path, "//") {
		cleaned := path.Clean(u.Path)
		if strings.HasSuffix(u.Path, "/") && cleaned != "/" {
			cleaned += "/"
		}
		u.Path, u.RawPath = cleaned, ""
	}
	return u.String(), nil
}

var _ policies.RequestPolicy = (*policy)(nil)
