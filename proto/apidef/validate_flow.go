package apidef

import (
	"encoding/json"
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
	case s.Policy == "" && len(s.SharedPolicyGroupRef) == 0:
		c.fail(at+"/policy", CodeMemberMissing, "is required: the policy that this step runs")
	case s.Policy == "":
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

// checkResponseTemplates checks the status and the media types (spec 1.12).
func (c *checker) checkResponseTemplates() {
	for key, byType := range c.api.ResponseTemplates {
		for mediaType, t := range byType {
			at := childOf(childOf("/responseTemplates", key), mediaType)
			if t.Status != 0 && (t.Status < 100 || t.Status > 599) {
				c.fail(at+"/status", CodeResponseTemplate, "%d is no HTTP status; a status is 100 to 599", t.Status)
			}
			if !strings.Contains(mediaType, "/") {
				c.fail(at, CodeResponseTemplate, "%q is no media type; write one like application/json, or */* for all", mediaType)
			}
		}
	}
}

// checkAnalytics applies the rules of spec 1.9.
func (c *checker) checkAnalytics() {
	a := c.api.Analytics
	if a == nil {
		return
	}
	if s := a.MessageSampling; s != nil {
		if c.api.Type == TypeProxy {
			c.fail("/analytics/messageSampling", CodeAnalyticsIncompatible, "a proxy API has no messages to sample; remove it")
		} else {
			c.checkSampling("/analytics/messageSampling/value", s)
		}
	}
	if len(a.Logging) > 0 {
		c.checkLogging(a.Logging)
	}
}

func (c *checker) checkLogging(logging json.RawMessage) {
	const at = "/analytics/logging"
	log := openFlags(logging)
	if (log.on("mode", "entrypoint") || log.on("mode", "endpoint")) && (log.at("phase") == nil || log.at("content") == nil) {
		c.fail(at, CodeLoggingInvalid, "says where to log but not what; add phase and content")
	}
	switch c.api.Type {
	case TypeProxy:
		for _, name := range []string{"messageHeaders", "messagePayload", "messageMetadata"} {
			if log.on("content", name) {
				c.fail(at+"/content/"+name, CodeLoggingIncompatible, "a proxy API has no messages to log; remove it")
			}
		}
		if n := log.at("messageCondition"); n != nil && n.text != "" {
			c.fail(at+"/messageCondition", CodeLoggingIncompatible, "a proxy API has no messages to log; remove it")
		}
	case TypeMessage:
		if log.on("content", "payload") {
			c.fail(at+"/content/payload", CodeLoggingIncompatible, "a message API logs messages; write messagePayload")
		}
	}
}
