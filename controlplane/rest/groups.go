package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// groupsBase is where the shared policy groups of an environment are (spec 8.3).
const groupsBase = "/organizations/{org}/environments/{env}/shared-policy-groups"

const tagGroups = "Shared policy groups"

func (s *Server) registerGroups() {
	one := groupsBase + "/{group}"
	register(s, operation{id: "createSharedPolicyGroup", method: http.MethodPost, path: groupsBase, tag: tagGroups, status: http.StatusCreated,
		body: management.SharedPolicyGroupBody{}, bodyRequired: true, summary: "Create a shared policy group. APIs can be deployed with it when it is deployed."}, s.createGroup)
	register(s, operation{id: "listSharedPolicyGroups", method: http.MethodGet, path: groupsBase, tag: tagGroups, summary: "List the environment's shared policy groups by name."}, s.listGroups)
	register(s, operation{id: "getSharedPolicyGroup", method: http.MethodGet, path: one, tag: tagGroups, summary: "Read a shared policy group."}, s.getGroup)
	register(s, operation{id: "updateSharedPolicyGroup", method: http.MethodPut, path: one, tag: tagGroups, body: management.SharedPolicyGroupBody{}, bodyRequired: true,
		summary: "Replace a shared policy group's content. APIs see it when it is deployed."}, s.updateGroup)
	register(s, operation{id: "deleteSharedPolicyGroup", method: http.MethodDelete, path: one, tag: tagGroups, summary: "Delete a shared policy group that no deployed API refers to."}, s.deleteGroup)
	register(s, operation{id: "deploySharedPolicyGroup", method: http.MethodPost, path: one + "/deployments", tag: tagGroups, status: http.StatusAccepted,
		summary: "Deploy a shared policy group, and with it, as a new revision, every deployed API that refers to it."}, s.deployGroup)
	register(s, operation{id: "undeploySharedPolicyGroup", method: http.MethodDelete, path: one + "/deployments", tag: tagGroups, status: http.StatusAccepted,
		summary: "Take a shared policy group back that no deployed API refers to."}, s.undeployGroup)
}

// GroupTarget is one shared policy group in its scope.
type GroupTarget struct {
	Scope
	Group string `path:"group" maxLength:"128" doc:"Id of the shared policy group"`
}

func (t GroupTarget) find(st *fsm.State) (*fsm.Group, error) {
	if g := st.Group(t.Group); g != nil && g.Organization == t.Org && g.Environment == t.Env {
		return g, nil
	}
	p := problem(http.StatusNotFound, management.CodeGroupNotFound, "Shared policy group ["+t.Group+"] cannot be found.")
	p.Parameters = map[string]string{"sharedPolicyGroup": t.Group}
	return nil, p
}

type groupOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Revision string `header:"Sluice-Revision" doc:"The deployed revision that the change made of the APIs that refer to the group"`
	Body     management.SharedPolicyGroup
}

// groupAnswer is the answer for the record as it is in a state.
func (s *Server) groupAnswer(st *fsm.State, t GroupTarget, warnings apidef.Problems) (*groupOutput, error) {
	g, err := t.find(st)
	if err != nil {
		return nil, err
	}
	view, err := viewGroup(st, g)
	if err != nil {
		return nil, s.fail(err)
	}
	view.Warnings = warnings
	return &groupOutput{ETag: etag(g.Version), Body: view}, nil
}

func viewGroup(st *fsm.State, g *fsm.Group) (management.SharedPolicyGroup, error) {
	out := management.SharedPolicyGroup{OrganizationID: g.Organization, EnvironmentID: g.Environment, LifecycleState: management.GroupUndeployed,
		Version: g.Number, CreatedAt: at(g.CreatedAtMS), UpdatedAt: at(g.UpdatedAtMS), DeployedAt: maybe(g.DeployedAtMS), APIs: []string{}}
	out.ID, out.CrossID, out.Name, out.Description, out.Prerequisite = g.ID, g.CrossID, g.Name, g.Description, g.Prerequisite
	out.APIType, out.Phase = strings.ToUpper(g.APIType), strings.ToUpper(strings.TrimPrefix(g.Phase, "entrypoint"))
	if err := json.Unmarshal(g.Steps, &out.Steps); err != nil {
		return out, fmt.Errorf("decode steps of shared policy group %s: %w", g.ID, err)
	}
	switch {
	case g.Pending():
		out.LifecycleState = management.GroupPending
	case g.Deployed != nil:
		out.LifecycleState = management.GroupDeployed
	}
	for a := range st.UsersOf(g.ID) {
		out.APIs = append(out.APIs, a.ID)
	}
	return out, nil
}

// changeGroup changes a shared policy group; see changing.
func (s *Server) changeGroup(ctx context.Context, t GroupTarget, c Condition, build func(*fsm.State, *fsm.Group) (*command.Command, error)) (*command.Result, *fsm.State, error) {
	return changing(ctx, s, c, t.find, func(g *fsm.Group) record { return record{"Shared policy group [" + g.ID + "]", g.Version} }, build)
}

type createGroupInput struct{ Scope }

func (s *Server) createGroup(ctx context.Context, in *createGroupInput) (*groupOutput, error) {
	put, warnings, err := s.decodeGroup(ctx)
	if err != nil {
		return nil, err
	}
	put.GroupId = cmp.Or(put.GetGroupId(), uuid.NewString())
	put.Create, put.Organization, put.Environment = true, in.Org, in.Env
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	result, err := s.propose(bounded, &command.Command{Change: &command.Command_PutGroup{PutGroup: put}})
	if err != nil {
		return nil, err
	}
	if e := result.GetError(); e != nil {
		return nil, refused(e)
	}
	out, err := s.groupAnswer(s.deps.Replica.State(), GroupTarget{Scope: in.Scope, Group: put.GetGroupId()}, warnings)
	if err == nil {
		out.Location = prefix + strings.NewReplacer("{org}", url.PathEscape(in.Org), "{env}", url.PathEscape(in.Env)).Replace(groupsBase) +
			"/" + url.PathEscape(put.GetGroupId())
	}
	return out, err
}

type groupChange struct {
	GroupTarget
	Condition
}

func (s *Server) updateGroup(ctx context.Context, in *groupChange) (*groupOutput, error) {
	put, warnings, err := s.decodeGroup(ctx)
	if err != nil {
		return nil, err
	}
	if put.GetGroupId() != "" && put.GetGroupId() != in.Group {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{groupProblem("/id",
			"is %s, but the path names shared policy group %s; leave the id out or make them equal", put.GetGroupId(), in.Group)})
	}
	put.GroupId = in.Group
	_, st, err := s.changeGroup(ctx, in.GroupTarget, in.Condition, func(_ *fsm.State, g *fsm.Group) (*command.Command, error) {
		put.ExpectVersion = g.Version
		return &command.Command{Change: &command.Command_PutGroup{PutGroup: put}}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(st, in.GroupTarget, warnings)
}

type listGroupsInput struct {
	Scope
	Consistency
	Name    string `query:"name" doc:"Only groups of this name"`
	Page    int    `query:"page" minimum:"1" default:"1" doc:"Page, from 1"`
	PerPage int    `query:"perPage" minimum:"0" maximum:"10000" doc:"Groups per page; 0 or none: all on one page"`
}

type listGroupsOutput struct {
	Body management.Page[management.SharedPolicyGroup]
}

func (s *Server) listGroups(ctx context.Context, in *listGroupsInput) (*listGroupsOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	var found []*fsm.Group
	for g := range st.Groups {
		if g.Organization == in.Org && g.Environment == in.Env && (in.Name == "" || g.Name == in.Name) {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, fsm.ByName)
	page := paginate(len(found), in.Page, cmp.Or(in.PerPage, maxPage))
	out := &listGroupsOutput{}
	out.Body.Data = []management.SharedPolicyGroup{}
	for _, g := range found[page.from:page.to] {
		view, err := viewGroup(st, g)
		if err != nil {
			return nil, s.fail(err)
		}
		out.Body.Data = append(out.Body.Data, view)
	}
	out.Body.Pagination, out.Body.Links = page.Pagination, page.links(requestOf(ctx).uri)
	return out, nil
}

type getGroupInput struct {
	GroupTarget
	Consistency
}

func (s *Server) getGroup(ctx context.Context, in *getGroupInput) (*groupOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(st, in.GroupTarget, nil)
}

func (s *Server) deleteGroup(ctx context.Context, in *groupChange) (*struct{}, error) {
	_, _, err := s.changeGroup(ctx, in.GroupTarget, in.Condition, func(_ *fsm.State, g *fsm.Group) (*command.Command, error) {
		return &command.Command{Change: &command.Command_DeleteGroup{DeleteGroup: &command.DeleteGroup{GroupId: g.ID, ExpectVersion: g.Version}}}, nil
	})
	return nil, err
}

func (s *Server) undeployGroup(ctx context.Context, in *groupChange) (*groupOutput, error) {
	_, st, err := s.changeGroup(ctx, in.GroupTarget, in.Condition, func(_ *fsm.State, g *fsm.Group) (*command.Command, error) {
		return &command.Command{Change: &command.Command_UndeployGroup{UndeployGroup: &command.UndeployGroup{GroupId: g.ID, ExpectVersion: g.Version}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(st, in.GroupTarget, nil)
}

type deployGroupInput struct {
	GroupTarget
	Condition
	Wait string `query:"wait" doc:"How long to wait for the workers to serve the APIs that refer to the group, e.g. 5s; at most 60s"`
}

func (s *Server) deployGroup(ctx context.Context, in *deployGroupInput) (*groupOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	result, st, err := s.changeGroup(ctx, in.GroupTarget, in.Condition, func(st *fsm.State, g *fsm.Group) (*command.Command, error) {
		if err := s.checkUsers(st, g); err != nil {
			return nil, err
		}
		return &command.Command{Change: &command.Command_DeployGroup{DeployGroup: &command.DeployGroup{GroupId: g.ID, ExpectVersion: g.Version}}}, nil
	})
	if err != nil {
		return nil, err
	}
	out, err := s.groupAnswer(st, in.GroupTarget, nil)
	if err != nil || result.GetRevision() == 0 {
		return out, err
	}
	out.Revision = strconv.FormatUint(result.GetRevision(), 10)
	ends := time.Now().Add(wait)
	for a := range st.UsersOf(in.Group) {
		if wait == 0 || !a.Started || a.Deployed.Revision != result.GetRevision() {
			continue
		}
		if _, err := s.await(ctx, a.ID, result.GetRevision(), max(time.Until(ends), time.Millisecond)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkUsers tells why a deployed API that refers to the group could not be served with the group as it is now.
func (s *Server) checkUsers(st *fsm.State, g *fsm.Group) error {
	for a := range st.UsersOf(g.ID) {
		api := &apidef.API{}
		if err := json.Unmarshal(a.Deployed.Definition, api); err != nil {
			return fmt.Errorf("decode deployed definition of API %s: %w", a.ID, err)
		}
		var uses []groupUse
		for place, step := range api.SharedGroups() {
			if ref, _, err := step.SharedGroup(); err == nil && ref.ID == g.ID {
				uses = append(uses, groupUse{at: place.Pointer, step: step, group: g})
			}
		}
		if err := embed(uses, savedSteps); err != nil {
			return err
		}
		if errs := s.deps.Deployable(api).Errors(); len(errs) > 0 {
			found := inGroups(uses, errs)
			for i := range found {
				found[i].Message = fmt.Sprintf("of API %q (%s), which refers to the group, could not be served: %s", a.Name, a.ID, found[i].Message)
			}
			return invalid(http.StatusBadRequest, management.CodeGroupInvalid, found)
		}
	}
	return nil
}

func groupProblem(pointer, format string, args ...any) apidef.Problem {
	return apidef.Problem{Pointer: pointer, Code: management.CodeGroupInvalid, Severity: apidef.Error, Message: fmt.Sprintf(format, args...)}
}

// decodeGroup reads the group in the request's body and checks it.
func (s *Server) decodeGroup(ctx context.Context) (*command.PutGroup, apidef.Problems, error) {
	body, err := asJSON(requestOf(ctx).body, "shared policy group")
	if err != nil {
		return nil, nil, err
	}
	in := struct {
		management.SharedPolicyGroupBody
		Steps json.RawMessage `json:"steps"` // read by the rules of definitions
	}{}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, nil, problem(http.StatusBadRequest, management.CodeDataInvalid, "The body is no shared policy group: "+err.Error())
	}
	typ := apidef.Type(strings.ToLower(in.APIType))
	phase := apidef.PhaseOf(typ, in.Phase)
	var found apidef.Problems
	if in.ID != "" && !goodID.MatchString(in.ID) {
		found = append(found, groupProblem("/id", "must be at most 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"))
	}
	if strings.TrimSpace(in.Name) == "" {
		found = append(found, groupProblem("/name", "is required: what people call the group"))
	}
	switch {
	case typ != apidef.TypeMessage && typ != apidef.TypeProxy && typ != apidef.TypeNative:
		found = append(found, groupProblem("/apiType", "must be one of: MESSAGE, PROXY, NATIVE"))
	case phase == "":
		found = append(found, groupProblem("/phase", "%q is no phase of %s APIs; phases are REQUEST, RESPONSE, PUBLISH, SUBSCRIBE, and of NATIVE APIs CONNECT, INTERACT, PUBLISH, SUBSCRIBE", in.Phase, in.APIType))
	}
	var steps []byte
	if len(found) == 0 {
		if steps, found, err = s.decodeSteps(typ, phase, in.Steps); err != nil {
			return nil, nil, s.fail(err)
		}
	}
	if len(found.Errors()) > 0 {
		return nil, nil, invalid(http.StatusBadRequest, "", found)
	}
	return &command.PutGroup{GroupId: in.ID, ApiType: string(typ), Phase: phase, CrossId: in.CrossID, Name: in.Name, Description: in.Description,
		Prerequisite: in.Prerequisite, Steps: steps}, found.Warnings(), nil
}

// decodeSteps reads the steps of a group as the steps of an API of the type, and says all that is wrong with them there.
func (s *Server) decodeSteps(typ apidef.Type, phase string, steps json.RawMessage) ([]byte, apidef.Problems, error) {
	if steps = bytes.TrimSpace(steps); len(steps) == 0 || string(steps) == "null" {
		return []byte("[]"), nil, nil
	}
	whole := fmt.Appendf(nil, `{"name":"group","apiVersion":"1","definitionVersion":"4.0.0","type":%q,"listeners":[],"endpointGroups":[],"flows":[{%q:%s}]}`, typ, phase, steps)
	doc, err := apidef.Decode(whole)
	var all apidef.Problems
	if doc == nil {
		if !errors.As(err, &all) {
			return nil, nil, fmt.Errorf("decode steps: %w", err)
		}
		return nil, all, nil
	}
	all = s.deps.Validate(doc)
	own, broken := stepProblems(phase, all)
	if broken {
		return nil, own, nil
	}
	flow := &doc.API.Flows[0]
	read := map[string][]apidef.Step{"request": flow.Request, "response": flow.Response, "publish": flow.Publish, "subscribe": flow.Subscribe,
		"interact": flow.Interact, "entrypointConnect": flow.EntrypointConnect}[phase]
	for i := range read {
		if read[i].IsSharedGroup() {
			own = append(own, groupProblem("/steps/"+strconv.Itoa(i), "refers to a shared policy group; a group cannot contain groups"))
		}
	}
	deep, _ := stepProblems(phase, s.deps.Deployable(doc.API)) // what the policies say of their settings
	b, err := json.Marshal(read)
	if err != nil {
		return nil, nil, fmt.Errorf("encode steps: %w", err)
	}
	return b, append(own, deep...), nil
}

// stepProblems are those of the steps, with pointers into the group; broken: one of them is an error.
func stepProblems(phase string, found apidef.Problems) (own apidef.Problems, broken bool) {
	for _, p := range found {
		if rest, ok := strings.CutPrefix(p.Pointer, "/flows/0/"+phase); ok && (rest == "" || rest[0] == '/') {
			p.Pointer, p.Line, p.Column = "/steps"+rest, 0, 0
			own = append(own, p)
		}
	}
	return own, len(own.Errors()) > 0
}
