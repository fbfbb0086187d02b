package apidef

import (
	"slices"
	"strings"
)

// phasesOf says which phases a type of API runs (spec 1.10, 9.8).
var phasesOf = map[Type][]string{
	TypeMessage: {"request", "response", "subscribe", "publish"},
	TypeProxy:   {"request", "response"},
	TypeNative:  {"entrypointConnect", "interact", "subscribe", "publish"},
}

// selectorsOf says which selectors do (spec 1.10).
var selectorsOf = map[Type][]string{
	TypeMessage: {"channel", "condition"},
	TypeProxy:   {"http", "condition"},
}

func (c *checker) checkFlows(at string, flows []Flow) {
	for i := range flows {
		f, here := &flows[i], itemOf(at, i)
		c.checkSelectors(here+"/selectors", f.Selectors)
		for _, p := range f.phases() {
			c.checkPhase(here, p.name, p.steps)
		}
	}
}

type phase struct {
	name  string
	steps []Step
}

func (f *Flow) phases() []phase {
	return []phase{
		{"request", f.Request}, {"response", f.Response}, {"subscribe", f.Subscribe}, {"publish", f.Publish},
		{"connect", f.Connect}, {"interact", f.Interact}, {"entrypointConnect", f.EntrypointConnect},
	}
}

func (c *checker) checkPhase(at, name string, steps []Step) {
	if len(steps) == 0 {
		return
	}
	here := childOf(at, name)
	switch allowed := phasesOf[c.api.Type]; {
	case slices.Contains(allowed, name):
	case name == "connect" && c.api.Type == TypeNative:
		c.warn(here, CodeMemberIgnored, "is not run any more; write entrypointConnect")
	case c.api.Type == TypeProxy && (name == "subscribe" || name == "publish"):
		c.warn(here, CodeMemberIgnored, "is not run by a proxy API; its phases are: %s", strings.Join(allowed, ", "))
	default:
		c.fail(here, CodeFlowPhase, "is no phase of a %s API; choose one of: %s", c.api.Type, strings.Join(allowed, ", "))
		return
	}
	for i := range steps {
		c.checkStep(itemOf(here, i), name, &steps[i])
	}
}

func (c *checker) checkStep(at, phase string, s *Step) {
	switch {
	case s.IsSharedGroup():
		if _, member, err := s.SharedGroup(); err != nil {
			c.fail(childOf(at, member), CodeValueInvalid, "%v", err)
		}
	case s.Policy == "":
		c.fail(at+"/policy", CodeMemberMissing, "is required: the policy that this step runs")
	case c.env.Policy != nil && !c.env.Policy(s.Policy):
		c.fail(at+"/policy", CodePolicyUnknown, "%s is no policy%s", s.Policy, known(c.env.PolicyNames))
	case c.env.CheckPolicy != nil:
		c.adopt(at+"/configuration", c.env.CheckPolicy(s.Policy, phase, s.Configuration))
	}
}

func (c *checker) checkSelectors(at string, selectors []Selector) {
	seen := map[string]bool{}
	for i, s := range selectors {
		here := itemOf(at, i)
		if _, ok := selectorTypes.parse(s.Type); !ok {
			continue
		}
		if seen[s.Type] {
			c.fail(here+"/type", CodeSelectorDuplicate, "the flow has another %s selector; keep one", s.Type)
		}
		seen[s.Type] = true
		switch allowed := selectorsOf[c.api.Type]; {
		case len(allowed) == 0:
			c.fail(here+"/type", CodeSelectorInvalid, "a flow of a %s API has no selectors; it always runs", c.api.Type)
		case !slices.Contains(allowed, s.Type):
			c.fail(here+"/type", CodeSelectorInvalid, "a flow of a %s API has no %s selector; choose one of: %s", c.api.Type, s.Type, strings.Join(allowed, ", "))
		}
		c.checkSelector(here, s)
	}
}

func (c *checker) checkSelector(at string, s Selector) {
	switch s.Type {
	case "condition":
		if strings.TrimSpace(s.Condition) == "" {
			c.fail(at+"/condition", CodeMemberMissing, "is required: the expression that selects the flow")
		}
	case "channel":
		if c.env.Entrypoint == nil {
			return
		}
		for i, typ := range s.Entrypoints {
			if info, ok := c.env.Entrypoint(typ); !ok || info.API != TypeMessage {
				c.fail(itemOf(at+"/entrypoints", i), CodeSelectorEntrypoint, "%s is no entrypoint of message APIs%s", typ, known(c.env.EntrypointTypes))
			}
		}
	}
}

// deadLetter is the failure mode of steps whose messages become dead letters. It is ours.
const deadLetter = "dead-letter"

// BuriesMessages tells whether messages may become dead letters in a flow of the API, so that entrypoints that do not push need an
// endpoint for those too. A shared policy group may have any steps.
func (a *API) BuriesMessages() bool {
	buries := func(s Step) bool {
		return s.FailureMode == deadLetter || s.IsSharedGroup()
	}
	in := func(flows []Flow) bool {
		return slices.ContainsFunc(flows, func(f Flow) bool {
			return slices.ContainsFunc(f.Publish, buries) || slices.ContainsFunc(f.Subscribe, buries)
		})
	}
	return in(a.Flows) || slices.ContainsFunc(a.Plans, func(p Plan) bool { return in(p.Flows) })
}
