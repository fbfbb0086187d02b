package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// keyless is the one kind of plan that this version enforces.
const keyless = "key-less"

// plans settles who may call the API. Only keyless plans can be enforced, and a keyless plan beside others must not let a
// client in whose key or token another plan would have refused (spec 7.1), so every plan that counts has to be keyless.
func (b *builder) plans() {
	served := false
	for i := range b.def.Plans {
		p := &b.def.Plans[i]
		if p.Status != apidef.PlanPublished && p.Status != apidef.PlanDeprecated || !b.hasTag(p.Tags) {
			continue
		}
		at := fmt.Sprintf("/plans/%d", i)
		switch {
		case p.Security == nil:
			b.fail(at+"/mode", codePlan, "plan %q: mode %q is not enforced yet by this version, so the API is not let open; close the plan or use a key-less one", p.Name, p.Mode)
		case p.Security.Type != keyless:
			b.fail(at+"/security/type", codePlan, "plan %q: security %q is not enforced yet by this version, so the API is not let open; close the plan or use a key-less one", p.Name, p.Security.Type)
		case strings.TrimSpace(p.SelectionRule) != "":
			b.fail(at+"/selectionRule", codePlan, "plan %q: selection rules are not evaluated yet by this version; remove it", p.Name)
		case !served:
			served = true
			b.api.plan = p.ID
			if b.api.plan == "" {
				b.api.plan = p.Key
			}
		}
		b.steps(at, p.Flows)
	}
	if !served && b.problems.Err() == nil {
		b.fail("/plans", codeNoPlan, "has no published plan, so nobody may call the API; publish a key-less plan")
	}
}

// hasTag tells whether something bound to sharding tags is for this worker (spec 10.2).
func (b *builder) hasTag(tags []string) bool {
	return len(tags) == 0 || len(b.cfg.Tags) == 0 || slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(b.cfg.Tags, t) })
}

// flows refuses what needs the flow engine: a policy that is left out in silence may be the one that keeps somebody out.
func (b *builder) flows() {
	b.steps("", b.def.Flows)
	if x := b.def.FlowExecution; x != nil && x.MatchRequired {
		b.fail("/flowExecution/matchRequired", codeFlow, "is not possible yet in this version")
	}
}

func (b *builder) steps(at string, flows []apidef.Flow) {
	for i := range flows {
		f := &flows[i]
		if !on(f.Enabled) {
			continue
		}
		for _, phase := range []struct {
			name  string
			steps []apidef.Step
		}{
			{"request", f.Request}, {"response", f.Response}, {"subscribe", f.Subscribe}, {"publish", f.Publish},
			{"connect", f.Connect}, {"interact", f.Interact}, {"entrypointConnect", f.EntrypointConnect},
		} {
			for j, s := range phase.steps {
				if !on(s.Enabled) {
					continue
				}
				b.fail(fmt.Sprintf("%s/flows/%d/%s/%d/policy", at, i, phase.name, j), codePolicy,
					"policy %q cannot run yet in this version; disable the step to deploy without it", s.Policy)
			}
		}
	}
}

// on reads a switch that is on where it is absent.
func on(b *bool) bool { return b == nil || *b }
