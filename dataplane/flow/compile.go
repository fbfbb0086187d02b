package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// flows compiles the flows of the API and prepares those of the plans.
func (b *builder) flows() {
	b.engine = &engine{log: b.log, tracer: b.cfg.Tracer, plans: map[string][]*unit{}, programs: map[string]*program{},
		surroundings: b.surround()}
	b.engine.common = policies.Shared(b.api.Info, b.engine.surroundings)
	b.resources()
	if x := b.def.FlowExecution; x != nil {
		b.engine.bestMatch = strings.EqualFold(x.Mode, "best-match")
		b.engine.matchRequired = x.MatchRequired
	}
	b.engine.api = b.units("", b.def.Flows)
	b.templates()
}

// surround is what expressions see of the API and the worker.
func (b *builder) surround() *policies.Surround {
	var endpoints []string
	for i := range b.def.EndpointGroups {
		g := &b.def.EndpointGroups[i]
		endpoints = append(endpoints, g.Name)
		for j := range g.Endpoints {
			endpoints = append(endpoints, g.Endpoints[j].Name)
		}
	}
	return policies.NewSurround(b.properties(), endpoints, b.cfg.Dictionaries, policies.Node{Tenant: b.cfg.Tenant, ShardingTags: b.cfg.Tags})
}

// properties are those of the API with the encrypted ones opened (spec 6.2). Where a definition is only checked, nobody reads
// their values.
func (b *builder) properties() []apidef.Property {
	out := slices.Clone(b.def.Properties)
	for i := range out {
		p := &out[i]
		if !p.Encrypted || b.checking {
			continue
		}
		at := fmt.Sprintf("/properties/%d/value", i)
		if b.cfg.Properties == nil {
			b.fail(at, codeProperty, "is encrypted, and this worker has no key; start it with the --properties-key-file of the control plane")
			continue
		}
		value, err := b.cfg.Properties.Open(p.Key, p.Value)
		if err != nil {
			b.fail(at, codeProperty, "cannot be opened: %v; start the worker with the --properties-key-file of the control plane", err)
			continue
		}
		p.Value = value
	}
	return out
}

// steps compiles the enabled steps of a phase. A policy that is left out in silence may be the one that keeps somebody out, so
// everything that cannot run is an error.
func (b *builder) steps(at string, phase policies.Phase, steps []apidef.Step) []*step {
	var out []*step
	for i := range steps {
		s, here := &steps[i], fmt.Sprintf("%s/%d", at, i)
		switch {
		case !on(s.Enabled):
		case s.IsSharedGroup():
			out = append(out, b.group(here, phase, s)...)
		default:
			if done := b.step(here, phase, s); done != nil {
				out = append(out, done)
			}
		}
	}
	return out
}

func (b *builder) step(at string, phase policies.Phase, def *apidef.Step) *step {
	typ, ok := b.cfg.Policies.Find(def.Policy)
	if !ok {
		known := "this version has none"
		if len(b.cfg.Policies) > 0 {
			known = "known are " + strings.Join(b.cfg.Policies.Names(), ", ")
		}
		b.fail(at+"/policy", codePolicy, "policy %q is not served by this version; %s; disable the step to deploy without it", def.Policy, known)
		return nil
	}
	s := &step{policy: typ.ID, name: def.Name, phase: phase, engine: b.engine, at: at}
	s.counters = b.cfg.Counters.Step(b.api.Info.ID, typ.ID, phase.String())
	s.condition = b.expression(at+"/condition", def.Condition)
	s.messageCondition = b.messageCondition(at, phase, def.MessageCondition)
	b.failureMode(at+"/failureMode", s, def.FailureMode)
	if !b.inPhase(at, phase, typ) {
		return nil
	}
	made, problems := typ.Compile(def.Configuration, policies.Env{Log: b.log.With("policy", typ.ID), API: b.api.Info, Phase: phase,
		Resource: b.resource, Dial: b.cfg.Dial, Rates: b.cfg.Rates})
	b.api.held.add(made)
	b.add(at+"/configuration", problems)
	if problems.Err() != nil {
		return nil
	}
	return b.equip(at, s, made)
}

// failureMode settles what becomes of a message, or of an exchange, that fails in a step.
func (b *builder) failureMode(at string, s *step, mode string) {
	switch mode {
	case "", "fail":
	case "skip":
		s.skips = true
	case "dead-letter":
		if s.phase&policies.PerMessage == 0 {
			b.fail(at, codeFailureMode, "there are no messages in phase %s that could become dead letters; choose one of: fail, skip", s.phase)
		}
		s.buries = true
	default:
		b.fail(at, codeFailureMode, "%q is no failure mode; choose one of: fail, skip, dead-letter", mode)
	}
}

// graves refuses steps whose messages would become dead letters where an entrypoint has no endpoint for those.
func (b *builder) graves(entrypoint string, typ connectors.EntrypointType) {
	told := map[*step]bool{}
	check := func(units []*unit) {
		for _, u := range units {
			if !u.serves(entrypoint, typ.Modes) {
				continue
			}
			for _, s := range u.burying(typ.Modes) {
				if !told[s] {
					told[s] = true
					b.fail(s.at+"/failureMode", codeFailureMode, "entrypoint %q has no endpoint for dead letters; name one as its dlq, or choose one of: fail, skip", entrypoint)
				}
			}
		}
	}
	for plan, units := range b.engine.plans {
		if b.api.pushPlans[plan] == (typ.Listener == apidef.ListenerSubscription) {
			check(units)
		}
	}
	check(b.engine.api)
}

// equip gives a step what its policy does in its phase.
func (b *builder) equip(at string, s *step, made any) *step {
	switch s.phase {
	case policies.Request:
		s.request, _ = made.(policies.RequestPolicy)
	case policies.Response:
		s.response, _ = made.(policies.ResponsePolicy)
	default:
		s.messages, _ = made.(policies.MessagePolicy)
		s.connector, _ = made.(policies.Connector)
		if t, ok := made.(policies.Traited); ok {
			s.traits = t.Traits()
		}
	}
	if s.request == nil && s.response == nil && s.messages == nil {
		b.fail(at+"/policy", codePhase, "policy %q has nothing to do in phase %s", s.policy, s.phase)
		return nil
	}
	return s
}

// inPhase tells whether a policy can stand in a phase. One that does not declare a message phase cannot run on messages; of
// the other phases people are told (policies.md 0.2, 0.3).
func (b *builder) inPhase(at string, phase policies.Phase, typ policies.Type) bool {
	if typ.Phases&phase != 0 {
		return true
	}
	if phase&policies.PerMessage != 0 || typ.Phases&(policies.Request|policies.Response) == 0 {
		b.fail(at+"/policy", codePhase, "policy %q cannot run in phase %s; its phases are: %s", typ.ID, phase, typ.Phases)
		return false
	}
	b.warn(at+"/policy", "policy %q is not meant for phase %s; its phases are: %s", typ.ID, phase, typ.Phases)
	return true
}

// messageCondition compiles a condition per message, which only message phases have.
func (b *builder) messageCondition(at string, phase policies.Phase, text string) *policies.Expression {
	if text != "" && phase&policies.PerMessage == 0 {
		b.warn(at+"/messageCondition", "has no effect in phase %s, which has no messages", phase)
		return nil
	}
	return b.expression(at+"/messageCondition", text)
}

// expression compiles a condition; nil where there is none, and where it does not parse, which is told.
func (b *builder) expression(at, text string) *policies.Expression {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	e, err := policies.ParseExpression(text)
	if err != nil {
		b.fail(at, codeExpression, "is no expression: %v", err)
		return nil
	}
	return e
}

// OfFlows tells whether a problem is about flows or what their policies use: a definition with such an error is refused when it is saved, not only
// when it is deployed.
func OfFlows(p apidef.Problem) bool {
	switch p.Code {
	case codePolicy, codePhase, codeExpression, codeGroup, codeFailureMode:
		return true
	}
	rest := p.Pointer
	if after, ok := strings.CutPrefix(rest, "/plans/"); ok {
		_, rest, _ = strings.Cut(after, "/")
		rest = "/" + rest
	}
	return (strings.HasPrefix(rest, "/flows/") || strings.HasPrefix(rest, "/resources/")) && p.Code == connectors.CodeInvalid
}
