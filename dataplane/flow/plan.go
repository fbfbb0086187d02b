package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// keyless is the one kind of plan that this version enforces over HTTP.
const keyless = "key-less"

// modePush is the mode of plans for push subscriptions. Such a plan asks nobody for anything: the subscription itself, which
// somebody accepted, is what lets a subscriber have messages. It lets nobody in over HTTP (spec 7.2).
const modePush = "push"

// plans settles who may use the API: each listener needs a plan of its own kind.
func (b *builder) plans() {
	called, pushed := b.has(apidef.ListenerHTTP), b.has(apidef.ListenerSubscription)
	open := false
	for i := range b.def.Plans {
		p := &b.def.Plans[i]
		if p.Status != apidef.PlanPublished && p.Status != apidef.PlanDeprecated || !b.hasTag(p.Tags) {
			continue
		}
		at := fmt.Sprintf("/plans/%d", i)
		switch {
		case p.Mode == modePush:
			b.pushPlan(at, p, pushed)
		case !called: // it lets clients in that have no way in
		case b.enforced(at, p) && !open:
			open = true
			b.api.plan = planID(p)
		}
		b.api.plans = append(b.api.plans, planID(p))
		b.engine.plans[planID(p)] = b.units(at, p.Flows)
	}
	if b.problems.Err() != nil {
		return
	}
	if !open && (called || !pushed) {
		b.fail("/plans", codeNoPlan, "has no published plan, so nobody may call the API; publish a key-less plan")
	}
	if pushed && len(b.api.pushPlans) == 0 {
		b.fail("/plans", codeNoPlan, "has no published push plan, so nobody may subscribe; publish a plan of mode push")
	}
}

// enforced tells whether a plan for HTTP is one that can be enforced. A keyless plan beside others must not let a client in
// whose key or token another plan would have refused (spec 7.1), so every plan that counts has to be keyless.
func (b *builder) enforced(at string, p *apidef.Plan) bool {
	switch {
	case p.Security == nil:
		b.fail(at+"/security", codePlan, "plan %q: has no security; close the plan or use a key-less one", p.Name)
	case p.Security.Type != keyless:
		b.fail(at+"/security/type", codePlan, "plan %q: security %q is not enforced yet by this version, so the API is not let open; close the plan or use a key-less one", p.Name, p.Security.Type)
	default:
		return b.unruled(at, p)
	}
	return false
}

func (b *builder) pushPlan(at string, p *apidef.Plan, listened bool) {
	switch {
	case p.Security != nil:
		b.fail(at+"/security", codePlan, "plan %q: a push plan has no security; remove it", p.Name)
	case !listened:
		b.fail(at+"/mode", codePlan, "plan %q: mode %q needs a listener of type subscription", p.Name, p.Mode)
	case b.unruled(at, p):
		b.api.pushPlans[planID(p)] = true
	}
}

// unruled tells whether a plan is without selection rule, which would have to be evaluated.
func (b *builder) unruled(at string, p *apidef.Plan) bool {
	if strings.TrimSpace(p.SelectionRule) == "" {
		return true
	}
	b.fail(at+"/selectionRule", codePlan, "plan %q: selection rules are not evaluated yet by this version; remove it", p.Name)
	return false
}

// planID is what subscriptions and metrics know a plan by.
func planID(p *apidef.Plan) string {
	if p.ID == "" {
		return p.Key
	}
	return p.ID
}

// has tells whether the API has a listener of a type.
func (b *builder) has(typ apidef.ListenerType) bool {
	return slices.ContainsFunc(b.def.Listeners, func(l apidef.Listener) bool { return l.Type == typ })
}

// hasTag tells whether something bound to sharding tags is for this worker (spec 10.2).
func (b *builder) hasTag(tags []string) bool {
	return len(tags) == 0 || len(b.cfg.Tags) == 0 || slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(b.cfg.Tags, t) })
}

// on reads a switch that is on where it is absent.
func on(b *bool) bool { return b == nil || *b }
