package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
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

// base is where the resources of an environment are (spec 8.1).
const base = "/organizations/{org}/environments/{env}/v4/apis"

const tagAPIs = "APIs"

// maxPage bounds a page; a list that is not paged by its client is one page.
const maxPage = 10_000

// goodID is what an id that a client chooses may be.
var goodID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (s *Server) registerAPIs() {
	register(s, operation{id: "createApi", method: http.MethodPost, path: base, tag: tagAPIs, status: http.StatusCreated, body: apidef.API{}, bodyRequired: true,
		summary: "Create an API from a definition in any dialect, JSON or YAML. It is stopped and not deployed."}, s.createAPI)
	register(s, operation{id: "listApis", method: http.MethodGet, path: base, tag: tagAPIs, summary: "List the environment's APIs by name."}, s.listAPIs)
	register(s, operation{id: "getApi", method: http.MethodGet, path: base + "/{api}", tag: tagAPIs, summary: "Read an API."}, s.getAPI)
	register(s, operation{id: "updateApi", method: http.MethodPut, path: base + "/{api}", tag: tagAPIs, body: apidef.API{}, bodyRequired: true,
		summary: "Replace an API's definition. Where it holds plans, they become the API's plans: others are closed. Workers see it when it is deployed."}, s.updateAPI)
	register(s, operation{id: "deleteApi", method: http.MethodDelete, path: base + "/{api}", tag: tagAPIs, summary: "Delete a stopped API."}, s.deleteAPI)
}

// apiOutput is an API as an answer.
type apiOutput struct {
	ETag         string    `header:"ETag"`
	LastModified time.Time `header:"Last-Modified"`
	Location     string    `header:"Location"`
	Revision     uint64    `header:"Sluice-Revision" hidden:"true"`
	Status       int
	Body         apiBody
}

func (s *Server) output(a *fsm.API, more extras) (*apiOutput, error) {
	body, err := viewAPI(a, more)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &apiOutput{Status: http.StatusOK, ETag: etag(a.Version), LastModified: at(a.UpdatedAtMS), Body: body}
	if a.Deployed != nil {
		out.Revision = a.Deployed.Revision
	}
	return out, nil
}

type createInput struct{ Scope }

func (s *Server) createAPI(ctx context.Context, in *createInput) (*apiOutput, error) {
	doc, warnings, err := s.decode(ctx)
	if err != nil {
		return nil, err
	}
	api := doc.API
	if api.ID != "" && !goodID.MatchString(api.ID) {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{{Pointer: doc.Origin("/id"), Code: apidef.CodeValueInvalid, Severity: apidef.Error,
			Message: "must be at most 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"}})
	}
	id := cmp.Or(api.ID, uuid.NewString())
	if s.cfg.AutoKeylessPlan && len(api.Plans) == 0 {
		api.Plans = []apidef.Plan{{Name: "Keyless", Status: apidef.PlanPublished, Security: &apidef.PlanSecurity{Type: keyless}}}
		warnings = append(warnings, apidef.Problem{Pointer: "/plans", Code: management.CodePlanKeyless, Severity: apidef.Warning,
			Message: "is missing: a keyless plan was published, so everybody may use the API; only sluice dev does that"})
	}
	warnings = append(warnings, s.groupWarnings(in.Scope, doc)...)
	put, err := putCommand(api, id, nil)
	if err != nil {
		return nil, s.fail(err)
	}
	put.Create, put.Organization, put.Environment = true, in.Org, in.Env
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	result, err := s.propose(bounded, &command.Command{Change: &command.Command_PutApi{PutApi: put}})
	if err != nil {
		return nil, err
	}
	if e := result.GetError(); e != nil {
		return nil, locate(refused(e), doc)
	}
	t := Target{Scope: in.Scope, API: id}
	a, err := t.find(s.deps.Replica.State())
	if err != nil { // deleted in the same moment
		return nil, err
	}
	out, err := s.output(a, extras{warnings: warnings})
	if err == nil {
		out.Status, out.Location = http.StatusCreated, t.location()
	}
	return out, err
}

func (t Target) location() string {
	return prefix + "/organizations/" + url.PathEscape(t.Org) + "/environments/" + url.PathEscape(t.Env) + "/v4/apis/" + url.PathEscape(t.API)
}

// putCommand builds the change from a definition. Plans that the record has already keep their ids.
func putCommand(api *apidef.API, id string, old *fsm.API) (*command.PutApi, error) {
	api.ID = id
	definition, plans, err := split(api)
	if err != nil {
		return nil, err
	}
	put := &command.PutApi{
		ApiId: id, CrossId: api.CrossID, Name: api.Name, Type: string(api.Type), Definition: definition, Tags: api.Tags, Claims: claimsOf(api),
		LifecycleState: strings.ToUpper(api.LifecycleState), Visibility: strings.ToUpper(api.Visibility), CloseOtherPlans: len(plans) > 0,
	}
	taken := map[string]bool{}
	for _, p := range plans {
		was := matchPlan(old, p.Plan, taken)
		planID := cmp.Or(p.ID, uuid.NewString())
		if was != nil {
			planID = was.ID
			if p.Status == apidef.PlanStaging { // what a definition says of a plan that was never published: nothing is taken back
				p.Status = ""
			}
		}
		taken[planID] = true
		cmd, err := planCommand(p, planID)
		if err != nil {
			return nil, err
		}
		put.Plans = append(put.Plans, cmd)
	}
	return put, nil
}

// matchPlan finds the plan of the record that a plan of a definition means: by id, else among the open ones by the
// definition's key, cross id or name.
func matchPlan(old *fsm.API, p apidef.Plan, taken map[string]bool) *fsm.Plan {
	if old == nil {
		return nil
	}
	if p.ID != "" {
		return old.Plan(p.ID)
	}
	for _, same := range []func(*fsm.Plan) bool{
		func(o *fsm.Plan) bool { return p.Key != "" && o.Key == p.Key },
		func(o *fsm.Plan) bool { return p.CrossID != "" && o.CrossID == p.CrossID },
		func(o *fsm.Plan) bool { return p.Name != "" && o.Name == p.Name },
	} {
		i := slices.IndexFunc(old.Plans, func(o *fsm.Plan) bool {
			return o.Status != command.PlanStatus_PLAN_STATUS_CLOSED && !taken[o.ID] && same(o)
		})
		if i >= 0 {
			return old.Plans[i]
		}
	}
	return nil
}

// locate adds where in the body the value stands that was refused.
func locate(err error, doc *apidef.Document) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	var pointer string
	switch p.TechnicalCode {
	case management.CodePathExists, management.CodeHostExists:
		pointer = claimPointer(doc.API, p.Parameters["host"], p.Parameters["path"])
	case management.CodeLifecycle:
		pointer = "/lifecycleState"
	case management.CodeAPIType:
		pointer = "/type"
	case management.CodeAPIExists:
		pointer = "/id"
	default:
		return err
	}
	p.Details = []management.Detail{{Message: p.Message, Location: doc.Origin(pointer), TechnicalCode: p.TechnicalCode}}
	return p
}

// claimPointer finds a path or host in a definition.
func claimPointer(api *apidef.API, host, path string) string {
	for i, l := range api.Listeners {
		here := "/listeners/" + strconv.Itoa(i)
		for j, p := range l.Paths {
			if strings.EqualFold(p.Host, host) && p.Path == path {
				return here + "/paths/" + strconv.Itoa(j) + "/path"
			}
		}
		for j, h := range l.Hosts {
			if path == "" && strings.EqualFold(h, host) {
				return here + "/hosts/" + strconv.Itoa(j)
			}
		}
		if path == "" && strings.EqualFold(l.Host, host) {
			return here + "/host"
		}
	}
	return ""
}

type getInput struct {
	Target
	Consistency
	IfNoneMatch string `header:"If-None-Match" doc:"ETag that the client has; it gets 304 where that is still current"`
}

func (s *Server) getAPI(ctx context.Context, in *getInput) (*apiOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	if noneMatch(in.IfNoneMatch, a.Version) {
		return &apiOutput{Status: http.StatusNotModified, ETag: etag(a.Version), LastModified: at(a.UpdatedAtMS)}, nil
	}
	return s.output(a, extras{})
}

// noneMatch tells whether the client has this version already; weak tags count (RFC 9110, 13.1.2).
func noneMatch(header string, version uint64) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag(version) {
			return true
		}
	}
	return false
}

type updateInput struct {
	Target
	Condition
}

func (s *Server) updateAPI(ctx context.Context, in *updateInput) (*apiOutput, error) {
	doc, warnings, err := s.decode(ctx)
	if err != nil {
		return nil, err
	}
	if doc.API.ID != "" && doc.API.ID != in.API {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{{Pointer: doc.Origin("/id"), Code: apidef.CodeValueInvalid, Severity: apidef.Error,
			Message: "is " + doc.API.ID + ", but the path names API " + in.API + "; leave the id out or make them equal"}})
	}
	warnings = append(warnings, s.groupWarnings(in.Scope, doc)...)
	var closed []string
	_, st, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		put, err := putCommand(doc.API.Clone(), a.ID, a)
		if err != nil {
			return nil, err
		}
		put.ExpectVersion = a.Version
		closed = closedBy(put, a)
		return &command.Command{Change: &command.Command_PutApi{PutApi: put}}, nil
	})
	if err != nil {
		return nil, locate(err, doc)
	}
	for _, name := range closed {
		warnings = append(warnings, apidef.Problem{Pointer: "/plans", Code: management.CodePlanClosed, Severity: apidef.Warning,
			Message: "no longer holds plan " + strconv.Quote(name) + ", which was closed"})
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	return s.output(a, extras{warnings: warnings})
}

// closedBy names the open plans that a definition leaves out.
func closedBy(put *command.PutApi, a *fsm.API) (names []string) {
	for _, p := range a.Plans {
		kept := slices.ContainsFunc(put.GetPlans(), func(n *command.Plan) bool { return n.GetId() == p.ID })
		if put.GetCloseOtherPlans() && !kept && p.Status != command.PlanStatus_PLAN_STATUS_CLOSED {
			names = append(names, p.Name)
		}
	}
	return names
}

type listInput struct {
	Scope
	Consistency
	Name    string `query:"name" doc:"Only APIs of this name"`
	CrossID string `query:"crossId" doc:"Only the API of this cross id"`
	State   string `query:"state" enum:"STARTED,STOPPED" doc:"Only APIs in this state"`
	Page    int    `query:"page" minimum:"1" default:"1" doc:"Page, from 1"`
	PerPage int    `query:"perPage" minimum:"0" maximum:"10000" doc:"APIs per page; 0 or none: all on one page"`
}

type listOutput struct {
	Body management.Page[apiBody]
}

func (s *Server) listAPIs(ctx context.Context, in *listInput) (*listOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	var found []*fsm.API
	for a := range st.APIs {
		if a.Organization == in.Org && a.Environment == in.Env && (in.Name == "" || a.Name == in.Name) &&
			(in.CrossID == "" || a.CrossID == in.CrossID) && (in.State == "" || stateOf(a) == in.State) {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(x, y *fsm.API) int { return cmp.Compare(x.Name, y.Name) })
	page := paginate(len(found), in.Page, cmp.Or(in.PerPage, maxPage))
	out := &listOutput{}
	out.Body.Data = []apiBody{}
	for _, a := range found[page.from:page.to] {
		view, err := viewAPI(a, extras{})
		if err != nil {
			return nil, s.fail(err)
		}
		out.Body.Data = append(out.Body.Data, view)
	}
	out.Body.Pagination, out.Body.Links = page.Pagination, page.links(requestOf(ctx).uri)
	return out, nil
}

type deleteInput struct {
	Target
	Condition
	ClosePlans string `query:"closePlans" enum:"true,false" doc:"Close the open plans first; without it an open plan refuses the deletion"`
	Wait       string `query:"wait" doc:"How long to wait for the workers to drop the API, e.g. 5s; at most 60s"`
}

func (s *Server) deleteAPI(ctx context.Context, in *deleteInput) (*doneOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	result, _, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		return &command.Command{Change: &command.Command_DeleteApi{DeleteApi: &command.DeleteApi{
			ApiId: a.ID, ExpectVersion: a.Version, ClosePlans: in.ClosePlans == "true",
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.done(ctx, in.API, result, wait)
}
