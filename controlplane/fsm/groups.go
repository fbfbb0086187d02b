package fsm

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/command"
)

// Group is one shared policy group (spec 5.10): steps for one phase of one kind of API, to which steps of flows refer. Times are in
// milliseconds since 1970 UTC.
type Group struct {
	ID           string
	Organization string
	Environment  string
	APIType      string // message, proxy, native
	Phase        string // the member of a flow that refers to it
	CrossID      string
	Name         string
	Description  string
	Prerequisite string
	Steps        []byte // normal form as a JSON array
	CreatedAtMS  int64
	UpdatedAtMS  int64
	Version      uint64 // raft index of the last change; the ETag
	Deployed     []byte // the steps that APIs have of it; nil: it is not deployed
	DeployedAtMS int64
	Number       uint64 // counts its deployments, from 1
}

// Slot is where the steps of a group are in a deployed definition.
type Slot struct {
	Group          string
	Offset, Length uint64 // in bytes
}

// maxDefinition bounds a definition with the steps of its groups, in bytes: workers take no larger one (proto/wire).
const maxDefinition = 8 << 20

// Group returns the shared policy group with this id, or nil.
func (s *State) Group(id string) *Group {
	g, _ := s.groups.Get(id)
	return g
}

// Groups yields every shared policy group by id.
func (s *State) Groups(yield func(*Group) bool) {
	for it := s.groups.Iterator(); !it.Done(); {
		_, g, _ := it.Next()
		if !yield(g) {
			return
		}
	}
}

// UsersOf yields the APIs that are deployed with the steps of a group, by id.
func (s *State) UsersOf(group string) func(yield func(*API) bool) {
	return func(yield func(*API) bool) {
		for a := range s.APIs {
			if a.Deployed != nil && slices.ContainsFunc(a.Deployed.Slots, func(o Slot) bool { return o.Group == group }) && !yield(a) {
				return
			}
		}
	}
}

// fill puts the deployed steps of groups where a definition has slots for them.
func (s *State) fill(a *API, definition []byte, slots []Slot) ([]byte, []Slot, *command.Error) {
	if len(slots) == 0 {
		return definition, nil, nil
	}
	var out []byte
	filled := make([]Slot, 0, len(slots))
	end := uint64(0) // of the slot before
	for _, slot := range slots {
		left := uint64(len(definition)) - end // what is behind it, in bytes
		if slot.Offset < end || slot.Offset-end > left || slot.Length > left-(slot.Offset-end) {
			return nil, nil, refuse(command.Code_CODE_MALFORMED, nil, "deploy: the slots for shared policy groups do not fit the definition")
		}
		g := s.Group(slot.Group)
		if g == nil || g.Organization != a.Organization || g.Environment != a.Environment {
			return nil, nil, missingGroup(slot.Group)
		}
		if g.Deployed == nil {
			return nil, nil, refuse(command.Code_CODE_GROUP_NOT_DEPLOYED, []string{"sharedPolicyGroup", g.ID, "api", a.ID},
				"Shared policy group %q (%s) is not deployed, and API [%s] refers to it: deploy the group first", g.Name, g.ID, a.ID)
		}
		if len(out)+len(definition)+len(g.Deployed) > maxDefinition {
			return nil, nil, refuse(command.Code_CODE_GROUP_TOO_LARGE, []string{"sharedPolicyGroup", g.ID, "api", a.ID},
				"API [%s] would be larger than 8 MiB with the steps of shared policy group %q (%s), and workers take no larger one: make the group smaller",
				a.ID, g.Name, g.ID)
		}
		out = append(out, definition[end:slot.Offset]...)
		filled = append(filled, Slot{Group: g.ID, Offset: uint64(len(out)), Length: uint64(len(g.Deployed))})
		out = append(out, g.Deployed...)
		end = slot.Offset + slot.Length
	}
	return append(out, definition[end:]...), filled, nil
}

func missingGroup(id string) *command.Error {
	return refuse(command.Code_CODE_GROUP_NOT_FOUND, []string{"sharedPolicyGroup", id}, "Shared policy group [%s] cannot be found.", id)
}

// loadGroup returns a copy of the record to change, if its version is the expected one.
func (c *change) loadGroup(id string, expect uint64) (*Group, *command.Error) {
	old := c.state.Group(id)
	if old == nil {
		return nil, missingGroup(id)
	}
	if expect != 0 && expect != old.Version {
		return nil, refuse(command.Code_CODE_VERSION_MISMATCH, []string{"expected", fmt.Sprint(expect), "actual", fmt.Sprint(old.Version)},
			"Shared policy group [%s] was changed meanwhile: version %d was expected, it has %d; read it again", id, expect, old.Version)
	}
	g := *old
	return &g, nil
}

func (c *change) saveGroup(g *Group) *command.Result {
	g.Version, g.UpdatedAtMS = c.state.index, c.state.atMS
	c.state.groups = c.state.groups.Set(g.ID, g)
	return &command.Result{Version: g.Version}
}

func (c *change) putGroup(p *command.PutGroup) (*command.Result, *command.Error) {
	if p.GetGroupId() == "" || len(p.GetSteps()) == 0 || p.GetApiType() == "" || p.GetPhase() == "" {
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "put shared policy group: id, kind of API, phase and steps are required")
	}
	g, refusal := c.targetGroup(p)
	if refusal != nil {
		return nil, refusal
	}
	g.CrossID, g.Name, g.Description, g.Prerequisite, g.Steps = p.GetCrossId(), p.GetName(), p.GetDescription(), p.GetPrerequisite(), p.GetSteps()
	return c.saveGroup(g), nil
}

// targetGroup is the record that p is put to: a new one, or a copy of the one to replace.
func (c *change) targetGroup(p *command.PutGroup) (*Group, *command.Error) {
	if p.GetCreate() {
		if c.state.Group(p.GetGroupId()) != nil {
			return nil, refuse(command.Code_CODE_GROUP_EXISTS, []string{"sharedPolicyGroup", p.GetGroupId()},
				"Shared policy group [%s] already exists: update it with PUT, or create it under another id", p.GetGroupId())
		}
		return &Group{ID: p.GetGroupId(), Organization: p.GetOrganization(), Environment: p.GetEnvironment(), APIType: p.GetApiType(),
			Phase: p.GetPhase(), CreatedAtMS: c.state.atMS}, nil
	}
	g, refusal := c.loadGroup(p.GetGroupId(), p.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if g.APIType != p.GetApiType() || g.Phase != p.GetPhase() {
		return nil, refuse(command.Code_CODE_GROUP_CHANGED, []string{"apiType", g.APIType, "phase", g.Phase},
			"Shared policy group [%s] is for phase %s of %s APIs, which cannot be changed: create another group", g.ID, g.Phase, g.APIType)
	}
	return g, nil
}

// deployGroup gives the group's steps to every API that is deployed with it, as a new revision of those that are not what they
// were.
func (c *change) deployGroup(d *command.DeployGroup) (*command.Result, *command.Error) {
	g, refusal := c.loadGroup(d.GetGroupId(), d.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	g.Deployed, g.DeployedAtMS = g.Steps, c.state.atMS
	g.Number++
	result := c.saveGroup(g)
	for a := range c.state.UsersOf(g.ID) { // of the map as it was: it is immutable
		moved, refusal := c.refill(a)
		if refusal != nil {
			return nil, refusal
		}
		if moved {
			result.Revision = c.state.index
		}
	}
	return result, nil
}

// refill puts what groups hold now into a deployed API; served: it is another revision for workers.
func (c *change) refill(old *API) (served bool, refusal *command.Error) {
	definition, slots, refusal := c.state.fill(old, old.Deployed.Definition, old.Deployed.Slots)
	if refusal != nil || bytes.Equal(definition, old.Deployed.Definition) {
		return false, refusal
	}
	a, d := *old, *old.Deployed
	d.Definition, d.Slots, d.Revision, d.AtMS, d.Actor = definition, slots, c.state.index, c.state.atMS, c.cmd.GetActor()
	a.Deployed, a.Version = &d, c.state.index // its answers show another deployment
	c.state.apis = c.state.apis.Set(a.ID, &a)
	if a.Started {
		c.touch(touchedAPI, a.ID)
	}
	return a.Started, nil
}

func (c *change) undeployGroup(u *command.UndeployGroup) (*command.Result, *command.Error) {
	g, refusal := c.unused(u.GetGroupId(), u.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	if g.Deployed == nil {
		return nil, refuse(command.Code_CODE_GROUP_NOT_DEPLOYED, []string{"sharedPolicyGroup", g.ID}, "Shared policy group [%s] is not deployed.", g.ID)
	}
	g.Deployed, g.DeployedAtMS = nil, 0
	return c.saveGroup(g), nil
}

func (c *change) deleteGroup(d *command.DeleteGroup) (*command.Result, *command.Error) {
	g, refusal := c.unused(d.GetGroupId(), d.GetExpectVersion())
	if refusal != nil {
		return nil, refusal
	}
	c.state.groups = c.state.groups.Delete(g.ID)
	return &command.Result{}, nil
}

// usersNamed bounds the APIs that a refusal names.
const usersNamed = 10

// unused loads a group that is to go: an API that lost its steps would let in whom they keep out.
func (c *change) unused(id string, expect uint64) (*Group, *command.Error) {
	g, refusal := c.loadGroup(id, expect)
	if refusal != nil {
		return nil, refusal
	}
	var users []string
	n := 0
	for a := range c.state.UsersOf(id) {
		if n++; n <= usersNamed {
			users = append(users, a.ID)
		}
	}
	if n > 0 {
		return nil, refuse(command.Code_CODE_GROUP_USED, []string{"sharedPolicyGroup", id, "apis", strings.Join(users, ",")},
			"Shared policy group %q (%s) is part of %d deployed APIs, such as %s: take it out of their flows and deploy them first, or delete them",
			g.Name, id, n, users[0])
	}
	return g, nil
}

func slotsOf(in []*command.Slot) []Slot {
	var out []Slot
	for _, s := range in {
		out = append(out, Slot{Group: s.GetGroupId(), Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return out
}

func encodeSlots(in []Slot) []*command.Slot {
	var out []*command.Slot
	for _, s := range in {
		out = append(out, &command.Slot{GroupId: s.Group, Offset: s.Offset, Length: s.Length})
	}
	return out
}

// encodeGroup is the snapshot form of a record; byte slices are shared.
func encodeGroup(g *Group) *command.Group {
	return &command.Group{
		Id: g.ID, Organization: g.Organization, Environment: g.Environment, ApiType: g.APIType, Phase: g.Phase, CrossId: g.CrossID,
		Name: g.Name, Description: g.Description, Prerequisite: g.Prerequisite, Steps: g.Steps,
		CreatedAtMs: g.CreatedAtMS, UpdatedAtMs: g.UpdatedAtMS, Version: g.Version,
		DeployedSteps: g.Deployed, DeployedAtMs: g.DeployedAtMS, Number: g.Number,
	}
}

// decodeGroup is the inverse of encodeGroup.
func decodeGroup(in *command.Group) *Group {
	g := &Group{
		ID: in.GetId(), Organization: in.GetOrganization(), Environment: in.GetEnvironment(), APIType: in.GetApiType(), Phase: in.GetPhase(),
		CrossID: in.GetCrossId(), Name: in.GetName(), Description: in.GetDescription(), Prerequisite: in.GetPrerequisite(), Steps: in.GetSteps(),
		CreatedAtMS: in.GetCreatedAtMs(), UpdatedAtMS: in.GetUpdatedAtMs(), Version: in.GetVersion(),
		DeployedAtMS: in.GetDeployedAtMs(), Number: in.GetNumber(),
	}
	if len(in.GetDeployedSteps()) > 0 {
		g.Deployed = in.GetDeployedSteps()
	}
	return g
}

// Pending tells whether the group says something else than what is deployed of it.
func (g *Group) Pending() bool {
	return g.Deployed != nil && !bytes.Equal(g.Deployed, g.Steps)
}

// ByName orders groups for people.
func ByName(x, y *Group) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) }
