package flow

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// group compiles a step that stands for the steps of a shared policy group (spec 5.10). They run in its place, behind its conditions,
// which are asked once for all of them: what the first step changes does not keep the second from running. The control plane puts the steps
// there when it deploys; where a definition is only checked, they may be missing.
func (b *builder) group(at string, phase policies.Phase, def *apidef.Step) []*step {
	g, member, err := def.SharedGroup()
	if err != nil {
		b.fail(at+"/"+member, codeGroup, "%v", err)
		return nil
	}
	s := &step{policy: apidef.PolicySharedGroup, name: def.Name, phase: phase, engine: b.engine, at: at}
	s.counters = b.cfg.Counters.Step(b.api.Info.ID, s.policy, phase.String())
	s.condition = b.expression(at+"/condition", def.Condition)
	s.messageCondition = b.messageCondition(at, phase, def.MessageCondition)
	if def.FailureMode != "" && def.FailureMode != "fail" {
		b.fail(at+"/failureMode", codeFailureMode, "%q cannot be said of a whole shared policy group; say it in the steps of the group", def.FailureMode)
	}
	if g.Steps == nil {
		if !b.checking {
			b.fail(at+"/"+member, codeGroup, "the steps of the shared policy group are missing; the control plane puts them there when it deploys the API")
		}
		return nil
	}
	for i := range g.Steps {
		if g.Steps[i].IsSharedGroup() {
			b.fail(at, codeGroup, "a shared policy group cannot contain groups")
			return nil
		}
	}
	steps := b.steps(at+"/configuration/steps", phase, g.Steps)
	for _, inner := range steps {
		inner.group = s
	}
	return steps
}

// entered tells whether the steps of a group run, asking its condition at the first of them. in and out are the groups that ran
// and did not run last: the caller's, nil before the first step.
func (s *step) entered(in, out **step, condition *policies.Expression, c *policies.Context) bool {
	switch s {
	case *in:
		return true
	case *out:
		return false
	}
	if !s.meets(condition, c) {
		*out = s
		return false
	}
	*in = s
	s.counters.Runs.Add(1)
	return true
}
