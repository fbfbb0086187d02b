package fsm

import (
	"slices"

	"github.com/sluice-gateway/sluice/proto/command"
)

func (c *change) putAPI(p *command.PutApi) (*command.Result, *command.Error) {
	if p.GetApiId() == "" || len(p.GetDefinition()) == 0 {
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "put API: id and definition are required")
	}
	a, refusal := c.target(p)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := a.moveLifecycle(p.GetLifecycleState()); refusal != nil {
		return nil, refusal
	}
	old := a.Claims
	a.CrossID, a.Name = p.GetCrossId(), p.GetName()
	a.Definition, a.Tags = p.GetDefinition(), p.GetTags()
	a.Claims = claims(p.GetClaims())
	if v := p.GetVisibility(); v != "" {
		a.Visibility = v
	}
	if refusal := c.state.claim(old, a); refusal != nil {
		return nil, refusal
	}
	if refusal := c.putPlans(a, p.GetPlans(), p.GetCloseOtherPlans()); refusal != nil {
		return nil, refusal
	}
	return c.save(a), nil
}

// target is the record that p is put to: a new one, or a copy of the one to replace.
func (c *change) target(p *command.PutApi) (*API, *command.Error) {
	if p.GetCreate() {
		if c.state.API(p.GetApiId()) != nil {
			return nil, refuse(command.Code_CODE_API_EXISTS, []string{"api", p.GetApiId()},
				"API [%s] already exists: update it with PUT, or create it under another id", p.GetApiId())
		}
		return &API{
			ID: p.GetApiId(), Organization: p.GetOrganization(), Environment: p.GetEnvironment(), Type: p.GetType(),
			Lifecycle: LifecycleCreated, Visibility: VisibilityPrivate, CreatedAtMS: c.state.atMS,
		}, nil
	}
	a, refusal := c.load(p.GetApiId(), p.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if a.Type != p.GetType() {
		return nil, refuse(command.Code_CODE_TYPE_CHANGED, []string{"type", a.Type},
			"API [%s] is of type %s, which cannot be changed to %s: create another API", a.ID, a.Type, p.GetType())
	}
	return a, nil
}

// moveLifecycle changes the lifecycle state by the rules of spec 8.1; "" keeps it.
func (a *API) moveLifecycle(to string) *command.Error {
	known := []string{LifecycleCreated, LifecyclePublished, LifecycleUnpublished, LifecycleDeprecated, LifecycleArchived}
	switch {
	case to == "" || to == a.Lifecycle:
		return nil
	case !slices.Contains(known, to),
		a.Lifecycle == LifecycleDeprecated, a.Lifecycle == LifecycleArchived,
		a.Lifecycle == LifecycleUnpublished && to == LifecycleCreated:
		return refuse(command.Code_CODE_LIFECYCLE_INVALID, []string{"lifecycleState", to},
			"The API lifecycle state cannot be changed from %s to %s.", a.Lifecycle, to)
	}
	a.Lifecycle = to
	return nil
}

func (c *change) deleteAPI(d *command.DeleteApi) (*command.Result, *command.Error) {
	a, refusal := c.load(d.GetApiId(), d.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if a.Started {
		return nil, refuse(command.Code_CODE_API_RUNNING, []string{"api", a.ID},
			"API [%s] is running: stop it with POST ?action=STOP, then delete it", a.ID)
	}
	if !d.GetClosePlans() {
		for _, p := range a.Plans {
			if p.Served() {
				return nil, refuse(command.Code_CODE_API_NOT_DELETABLE, []string{"api", a.ID, "plan", p.ID},
					"API [%s] has an open plan %q (%s): close its plans first, or delete it with ?closePlans=true", a.ID, p.Name, p.ID)
			}
		}
	}
	c.state.release(a.Claims, a)
	c.dropSubscriptions(a, "")
	c.state.apis = c.state.apis.Delete(a.ID)
	result := &command.Result{}
	if a.Deployed != nil {
		c.touch(touchedAPI, a.ID)
		result.Revision = c.state.index
	}
	return result, nil
}

func (c *change) deploy(d *command.Deploy) (*command.Result, *command.Error) {
	a, refusal := c.load(d.GetApiId(), d.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if refusal := c.setDeployed(a, d.GetExpectVersion(), d.GetDefinition(), d.GetSlots(), d.GetLabel()); refusal != nil {
		return nil, refusal
	}
	if a.Started {
		c.touch(touchedAPI, a.ID)
		if a.Deployed.Placed == c.state.index {
			c.touch(touchedMembers, a.ID)
		}
	}
	result := c.save(a)
	result.Revision = a.Deployed.Revision
	return result, nil
}

// setDeployed makes definition, composed from the record at version, the deployed one, with the steps of shared policy groups in
// its slots.
func (c *change) setDeployed(a *API, version uint64, definition []byte, slots []*command.Slot, label string) *command.Error {
	if a.Lifecycle == LifecycleArchived {
		return refuse(command.Code_CODE_LIFECYCLE_INVALID, []string{"lifecycleState", a.Lifecycle}, "API [%s] is archived and cannot be deployed.", a.ID)
	}
	if !a.Deployable() {
		return refuse(command.Code_CODE_API_NOT_DEPLOYABLE, []string{"api", a.ID},
			"API [%s] has no published plan, so nobody could use it: create one with POST /v4/apis/%s/plans, publish it with "+
				"POST /v4/apis/%s/plans/{plan}/_publish, then deploy again", a.ID, a.ID, a.ID)
	}
	if version == 0 || len(definition) == 0 {
		return refuse(command.Code_CODE_MALFORMED, nil, "deploy: the definition and the version it was composed from are required")
	}
	definition, filled, refusal := c.state.fill(a, definition, slotsOf(slots))
	if refusal != nil {
		return refusal
	}
	number, placed := uint64(1), c.state.index
	if a.Deployed != nil {
		number = a.Deployed.Number + 1
		if sameTags(a.Deployed.Tags, a.Tags) {
			placed = a.Deployed.Placed
		}
	}
	a.Deployed = &Deployed{
		Definition: definition, Tags: a.Tags, Label: label, Number: number,
		Revision: c.state.index, AtMS: c.state.atMS, Actor: c.cmd.GetActor(), Placed: placed, Slots: filled,
	}
	return nil
}

// sameTags tells whether the tags are the same, in whatever order.
func sameTags(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func (c *change) setState(s *command.SetState) (*command.Result, *command.Error) {
	a, refusal := c.load(s.GetApiId(), s.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	var started bool
	switch s.GetTo() {
	case command.ApiState_API_STATE_STARTED:
		started = true
	case command.ApiState_API_STATE_STOPPED:
	default:
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "set state: to must be started or stopped")
	}
	if a.Started == started {
		word := map[bool]string{true: "started", false: "stopped"}[started]
		return nil, refuse(command.Code_CODE_API_STATE, []string{"state", word}, "API [%s] is already %s.", a.ID, word)
	}
	if started {
		if refusal := c.start(a, s); refusal != nil {
			return nil, refusal
		}
	}
	a.Started = started
	c.touch(touchedAPI, a.ID)
	c.touch(touchedMembers, a.ID)
	result := c.save(a)
	result.Revision = c.state.index
	return result, nil
}

// start puts back what was deployed under a new revision, or deploys for the first time.
func (c *change) start(a *API, s *command.SetState) *command.Error {
	if a.Deployed == nil {
		return c.setDeployed(a, s.GetExpectVersion(), s.GetDefinition(), s.GetSlots(), "")
	}
	if a.Lifecycle == LifecycleArchived {
		return refuse(command.Code_CODE_LIFECYCLE_INVALID, []string{"lifecycleState", a.Lifecycle}, "API [%s] is archived and cannot be started.", a.ID)
	}
	again := *a.Deployed
	again.Revision, again.Placed = c.state.index, c.state.index
	a.Deployed = &again
	return nil
}

func claims(in []*command.Claim) []Claim {
	var out []Claim
	for _, c := range in {
		out = append(out, Claim{Kind: c.GetKind(), Host: c.GetHost(), Path: c.GetPath()})
	}
	return out
}
