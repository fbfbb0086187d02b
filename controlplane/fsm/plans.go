package fsm

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/proto/command"
)

// keyless is the security type of which an API serves at most one plan (spec 7.3).
const keyless = "key-less"

const (
	staging    = command.PlanStatus_PLAN_STATUS_STAGING
	published  = command.PlanStatus_PLAN_STATUS_PUBLISHED
	deprecated = command.PlanStatus_PLAN_STATUS_DEPRECATED
	closed     = command.PlanStatus_PLAN_STATUS_CLOSED
)

func (c *change) putPlan(p *command.PutPlan) (*command.Result, *command.Error) {
	a, refusal := c.load(p.GetApiId(), p.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	exists := a.Plan(p.GetPlan().GetId()) != nil
	switch {
	case p.GetCreate() && exists:
		return nil, refuse(command.Code_CODE_PLAN_EXISTS, []string{"plan", p.GetPlan().GetId()},
			"Plan [%s] already exists: update it with PUT, or create it under another id", p.GetPlan().GetId())
	case !p.GetCreate() && !exists:
		return nil, planNotFound(p.GetPlan().GetId())
	}
	if refusal := c.putPlans(a, []*command.Plan{p.GetPlan()}, false); refusal != nil {
		return nil, refusal
	}
	return c.save(a), nil
}

func (c *change) movePlan(m *command.MovePlan) (*command.Result, *command.Error) {
	return c.editPlan(m.GetApiId(), m.GetExpectVersion(), m.GetPlanId(), func(a *API, i int) *command.Error {
		if a.Plans[i].Status == m.GetTo() {
			return stands(a.Plans[i])
		}
		p := *a.Plans[i]
		a.Plans[i] = &p
		return c.moveWithSubscriptions(a, &p, m.GetTo())
	})
}

func (c *change) deletePlan(d *command.DeletePlan) (*command.Result, *command.Error) {
	return c.editPlan(d.GetApiId(), d.GetExpectVersion(), d.GetPlanId(), func(a *API, i int) *command.Error {
		plan := a.Plans[i]
		if plan.Served() {
			for s := range c.state.SubscriptionsOf(a.ID) {
				if s.Plan == plan.ID && s.open() {
					return refuse(command.Code_CODE_PLAN_NOT_DELETABLE, []string{"plan", plan.ID, "subscription", s.ID},
						"Plan [%s] has subscriptions: close it, which closes them, then delete it", plan.ID)
				}
			}
		}
		c.dropSubscriptions(a, plan.ID)
		a.Plans = slices.Delete(a.Plans, i, i+1)
		return nil
	})
}

// editPlan runs edit on one plan of a copy of the plan list, then stores the API.
func (c *change) editPlan(api string, expect uint64, plan string, edit func(a *API, i int) *command.Error) (*command.Result, *command.Error) {
	a, refusal := c.load(api, expect)
	if refusal != nil {
		return nil, refusal
	}
	a.Plans = slices.Clone(a.Plans)
	i := slices.IndexFunc(a.Plans, func(p *Plan) bool { return p.ID == plan })
	if i < 0 {
		return nil, planNotFound(plan)
	}
	if refusal := edit(a, i); refusal != nil {
		return nil, refusal
	}
	if refusal := a.checkPlans(); refusal != nil {
		return nil, refusal
	}
	return c.save(a), nil
}

// putPlans creates or updates plans of a, and closes those not named if closeOthers is set.
func (c *change) putPlans(a *API, in []*command.Plan, closeOthers bool) *command.Error {
	a.Plans = slices.Clone(a.Plans)
	named := map[string]bool{}
	for _, p := range in {
		if p.GetId() == "" || named[p.GetId()] {
			return refuse(command.Code_CODE_PLAN_INVALID, []string{"plan", p.GetId()}, "plan %q: an id is required, once", p.GetId())
		}
		named[p.GetId()] = true
		if refusal := c.putOne(a, p); refusal != nil {
			return refusal
		}
	}
	for i, p := range a.Plans {
		if closeOthers && !named[p.ID] && p.Status != closed {
			other := *p
			a.Plans[i] = &other
			if refusal := c.moveWithSubscriptions(a, &other, closed); refusal != nil {
				return refusal
			}
		}
	}
	slices.SortStableFunc(a.Plans, func(x, y *Plan) int {
		return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.CreatedAtMS, y.CreatedAtMS), cmp.Compare(x.ID, y.ID))
	})
	return a.checkPlans()
}

// putOne creates a plan with the status it names, or updates one and moves it there.
func (c *change) putOne(a *API, in *command.Plan) *command.Error {
	p := &Plan{
		ID: in.GetId(), Key: in.GetKey(), CrossID: in.GetCrossId(), Name: in.GetName(), Security: in.GetSecurity(),
		Definition: in.GetDefinition(), Order: in.GetOrder(), UpdatedAtMS: c.state.atMS,
	}
	i := slices.IndexFunc(a.Plans, func(o *Plan) bool { return o.ID == p.ID })
	if i < 0 {
		if a.Lifecycle == LifecycleDeprecated || a.Lifecycle == LifecycleArchived {
			return refuse(command.Code_CODE_API_DEPRECATED, []string{"api", a.ID}, "API [%s] is deprecated and takes no new plans.", a.ID)
		}
		p.CreatedAtMS, p.Status = c.state.atMS, staging
		if p.Order == 0 {
			p.Order = a.nextOrder()
		}
		a.Plans = append(a.Plans, p)
		return c.enter(p, in.GetStatus())
	}
	old := a.Plans[i]
	if old.Security != p.Security {
		return refuse(command.Code_CODE_PLAN_INVALID, []string{"plan", p.ID},
			"Plan [%s] has security %s, which cannot be changed to %s: create another plan", p.ID, old.Security, p.Security)
	}
	p.Status, p.CreatedAtMS, p.PublishedAtMS, p.ClosedAtMS = old.Status, old.CreatedAtMS, old.PublishedAtMS, old.ClosedAtMS
	if p.Order == 0 {
		p.Order = old.Order
	}
	a.Plans[i] = p
	if to := in.GetStatus(); to != command.PlanStatus_PLAN_STATUS_UNSPECIFIED && to != p.Status {
		return c.moveWithSubscriptions(a, p, to)
	}
	return nil
}

// moveWithSubscriptions moves a plan of a; closing it closes its subscriptions (spec 7.3).
func (c *change) moveWithSubscriptions(a *API, p *Plan, to command.PlanStatus) *command.Error {
	if refusal := c.move(p, to); refusal != nil || to != closed {
		return refusal
	}
	return c.closeSubscriptions(a.ID, p.ID)
}

// enter gives a new plan its first status, passing through those before it.
func (c *change) enter(p *Plan, to command.PlanStatus) *command.Error {
	if to == deprecated {
		if refusal := c.move(p, published); refusal != nil {
			return refusal
		}
	}
	if to == command.PlanStatus_PLAN_STATUS_UNSPECIFIED || to == staging {
		return nil
	}
	return c.move(p, to)
}

// move takes p one step along its life, or refuses (spec 7.3).
func (c *change) move(p *Plan, to command.PlanStatus) *command.Error {
	switch {
	case to == published && p.Status == staging:
		p.PublishedAtMS = c.state.atMS
	case to == deprecated && p.Status == published:
	case to == closed && p.Status != closed:
		p.ClosedAtMS = c.state.atMS
	default:
		return stands(p)
	}
	p.Status, p.UpdatedAtMS = to, c.state.atMS
	return nil
}

// stands refuses a move by the status in which p stands.
func stands(p *Plan) *command.Error {
	params := []string{"plan", p.ID}
	switch p.Status {
	case closed:
		return refuse(command.Code_CODE_PLAN_CLOSED, params, "Plan [%s] is closed.", p.ID)
	case deprecated:
		return refuse(command.Code_CODE_PLAN_DEPRECATED, params, "Plan [%s] is deprecated.", p.ID)
	case published:
		return refuse(command.Code_CODE_PLAN_PUBLISHED, params, "Plan [%s] is already published.", p.ID)
	default:
		return refuse(command.Code_CODE_PLAN_NOT_PUBLISHED, params, "Plan [%s] is not published: publish it first.", p.ID)
	}
}

// checkPlans refuses a second keyless plan that is served (spec 7.3).
func (a *API) checkPlans() *command.Error {
	var first *Plan
	for _, p := range a.Plans {
		if p.Security != keyless || !p.Served() {
			continue
		}
		if first != nil {
			return refuse(command.Code_CODE_PLAN_KEYLESS_EXISTS, []string{"plan", first.ID},
				"API [%s] already has a published keyless plan %q (%s): close it before publishing another", a.ID, first.Name, first.ID)
		}
		first = p
	}
	return nil
}

// nextOrder puts a new plan after the others.
func (a *API) nextOrder() int32 {
	var last int32
	for _, p := range a.Plans {
		last = max(last, p.Order)
	}
	if last == math.MaxInt32 {
		return last
	}
	return last + 1
}

func planNotFound(id string) *command.Error {
	return refuse(command.Code_CODE_PLAN_NOT_FOUND, []string{"plan", id}, "Plan [%s] cannot be found.", id)
}
