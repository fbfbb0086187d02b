package flow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// unit is one enabled flow, compiled: who it is for, and its steps by phase.
type unit struct {
	selector
	request, response, publish, subscribe []*step
}

// selector decides whether a flow applies to an exchange (spec 5.3).
type selector struct {
	path        *pattern // nil: every one
	modes       connectors.Mode
	entrypoints []string // empty: every one
	condition   *policies.Expression
}

// burying are the steps of the message phases of an entrypoint whose messages become dead letters.
func (u *unit) burying(modes connectors.Mode) []*step {
	var out []*step
	for mode, steps := range map[connectors.Mode][]*step{connectors.Publish: u.publish, connectors.Subscribe: u.subscribe} {
		if modes&mode == 0 {
			continue
		}
		for _, s := range steps {
			if s.buries {
				out = append(out, s)
			}
		}
	}
	return out
}

// fixed tells whether the selector decides the same for all exchanges of an entrypoint.
func (s *selector) fixed() bool { return s.path == nil && s.condition == nil }

// serves tells whether the flow is for an entrypoint at all.
func (s *selector) serves(entrypoint string, modes connectors.Mode) bool {
	return s.modes&modes != 0 && (len(s.entrypoints) == 0 || slices.ContainsFunc(s.entrypoints, func(e string) bool { return strings.EqualFold(e, entrypoint) }))
}

// selects tells whether the flow applies. A condition that cannot be evaluated is not met.
func (s *selector) selects(path string, c *policies.Context) bool {
	if s.path != nil && !s.path.matches(path) {
		return false
	}
	if s.condition == nil {
		return true
	}
	ok, err := s.condition.Bool(c)
	return ok && err == nil
}

// pattern is a channel or path of a selector.
type pattern struct {
	segments []string // of the pattern; ":name" takes any
	re       *regexp.Regexp
}

// segment is what a parameter of a pattern matches (spec 5.3).
const segment = `[a-zA-Z0-9\-._~%!$&'()* +,;=:@]+`

// newPattern compiles a pattern; nil where it takes everything. STARTS_WITH does not know of segments: "/foo" takes
// "/foobar" too (spec 5.3).
func newPattern(text, operator string) *pattern {
	if text == "" {
		text = "/"
	}
	if text[0] != '/' {
		text = "/" + text // subscriptions name channels without it
	}
	if text == "/" && operator != "EQUALS" {
		return nil
	}
	segments := strings.Split(strings.Trim(text, "/"), "/")
	var re strings.Builder
	re.WriteByte('^')
	for _, s := range segments {
		switch {
		case s == "":
		case s[0] == ':':
			re.WriteString("/" + segment)
		default:
			re.WriteString("/" + regexp.QuoteMeta(s))
		}
	}
	if operator == "EQUALS" {
		re.WriteString("/?$")
	}
	return &pattern{segments: segments, re: regexp.MustCompile(re.String())} // of quoted parts only
}

func (p *pattern) matches(path string) bool { return p.re.MatchString(path) }

// better tells whether p fits a path that both match better than q (spec 5.4): segment by segment, a literal one
// counts more than a parameter, and the first difference decides; else the longer pattern.
func (p *pattern) better(q *pattern) bool {
	a, b := p.parts(), q.parts()
	for i := range min(len(a), len(b)) {
		if x, y := strings.HasPrefix(a[i], ":"), strings.HasPrefix(b[i], ":"); x != y {
			return y
		}
	}
	return len(a) > len(b)
}

func (p *pattern) parts() []string {
	if p == nil || len(p.segments) == 1 && p.segments[0] == "" {
		return nil
	}
	return p.segments
}

// best returns the one of the flows of a list that fits best: those that select, in the order of the definition.
func best(flows []*unit) []*unit {
	if len(flows) < 2 {
		return flows
	}
	at := 0
	for i := range flows[1:] {
		if flows[i+1].path.better(flows[at].path) {
			at = i + 1
		}
	}
	return flows[at : at+1]
}

// units compiles the enabled flows of a list, whose pointer is at.
func (b *builder) units(at string, flows []apidef.Flow) []*unit {
	var out []*unit
	for i := range flows {
		f := &flows[i]
		if !on(f.Enabled) {
			continue
		}
		here := fmt.Sprintf("%s/flows/%d", at, i)
		u := &unit{selector: b.selector(here, f.Selectors)}
		u.request = b.steps(here+"/request", policies.Request, f.Request)
		u.response = b.steps(here+"/response", policies.Response, f.Response)
		u.publish = b.steps(here+"/publish", policies.Publish, f.Publish)
		u.subscribe = b.steps(here+"/subscribe", policies.Subscribe, f.Subscribe)
		if b.hasTag(f.Tags) {
			out = append(out, u)
		}
	}
	return out
}

// selector compiles the selectors of a flow. One of kind http has no effect on a message API (spec 1.10).
func (b *builder) selector(at string, all []apidef.Selector) selector {
	out := selector{modes: connectors.Publish | connectors.Subscribe}
	for i := range all {
		s := &all[i]
		here := fmt.Sprintf("%s/selectors/%d", at, i)
		switch s.Type {
		case "channel":
			out.path = newPattern(s.Channel, s.ChannelOperator)
			out.entrypoints = s.Entrypoints
			if len(s.Operations) > 0 {
				out.modes = 0
			}
			for _, o := range s.Operations {
				if o == "publish" {
					out.modes |= connectors.Publish
				} else {
					out.modes |= connectors.Subscribe
				}
			}
		case "condition":
			out.condition = b.expression(here+"/condition", s.Condition)
		}
	}
	return out
}
