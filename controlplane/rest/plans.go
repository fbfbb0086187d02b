package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gopkg.in/yaml.v3"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

const tagPlans = "Plans"

func (s *Server) registerPlans() {
	path := base + "/{api}/plans"
	register(s, operation{id: "listPlans", method: http.MethodGet, path: path, tag: tagPlans, summary: "List an API's plans by order: the published ones, unless ?status says otherwise."}, s.listPlans)
	register(s, operation{id: "createPlan", method: http.MethodPost, path: path, tag: tagPlans, status: http.StatusCreated, body: apidef.Plan{}, bodyRequired: true,
		summary: "Create a plan. It is staging, unless the body says published."}, s.createPlan)
	register(s, operation{id: "getPlan", method: http.MethodGet, path: path + "/{plan}", tag: tagPlans, summary: "Read a plan."}, s.getPlan)
	register(s, operation{id: "updatePlan", method: http.MethodPut, path: path + "/{plan}", tag: tagPlans, body: apidef.Plan{}, bodyRequired: true,
		summary: "Replace a plan's content. Its status only moves by _publish, _deprecate and _close."}, s.updatePlan)
	register(s, operation{id: "deletePlan", method: http.MethodDelete, path: path + "/{plan}", tag: tagPlans, summary: "Delete a plan."}, s.deletePlan)
	for _, m := range []struct {
		action, id, summary string
		to                  command.PlanStatus
	}{
		{"_publish", "publishPlan", "Publish a staging plan.", command.PlanStatus_PLAN_STATUS_PUBLISHED},
		{"_deprecate", "deprecatePlan", "Deprecate a published plan: it is served, and takes no new subscriptions.", command.PlanStatus_PLAN_STATUS_DEPRECATED},
		{"_depreciate", "depreciatePlan", "The same as _deprecate, as 3.20 spells it.", command.PlanStatus_PLAN_STATUS_DEPRECATED},
		{"_close", "closePlan", "Close a plan.", command.PlanStatus_PLAN_STATUS_CLOSED},
	} {
		register(s, operation{id: m.id, method: http.MethodPost, path: path + "/{plan}/" + m.action, tag: tagPlans, status: http.StatusOK, summary: m.summary},
			func(ctx context.Context, in *planChange) (*planOutput, error) { return s.movePlan(ctx, in, m.to) })
	}
}

// PlanTarget is one plan of an API.
type PlanTarget struct {
	Target
	Plan string `path:"plan" maxLength:"128" doc:"Id of the plan"`
}

func (t PlanTarget) findPlan(a *fsm.API) (*fsm.Plan, error) {
	if p := a.Plan(t.Plan); p != nil {
		return p, nil
	}
	p := problem(http.StatusNotFound, management.CodePlanNotFound, "Plan ["+t.Plan+"] cannot be found.")
	p.Parameters = map[string]string{"plan": t.Plan}
	return nil, p
}

type planOutput struct {
	ETag     string `header:"ETag" doc:"Of the API: its plans are versioned with it"`
	Location string `header:"Location"`
	Body     management.Plan
}

func (s *Server) planOutput(st *fsm.State, t PlanTarget) (*planOutput, error) {
	a, err := t.find(st)
	if err != nil {
		return nil, err
	}
	p, err := t.findPlan(a)
	if err != nil {
		return nil, err
	}
	view, err := viewPlan(a, p)
	if err != nil {
		return nil, s.fail(err)
	}
	return &planOutput{ETag: etag(a.Version), Body: view}, nil
}

type listPlansInput struct {
	Target
	Consistency
	Status   string `query:"status" default:"PUBLISHED" doc:"States to list, separated by commas: STAGING, PUBLISHED, DEPRECATED, CLOSED"`
	Security string `query:"security" doc:"Kinds of security to list, separated by commas: KEY_LESS, API_KEY, JWT, OAUTH2, MTLS, PUSH"`
}

type listPlansOutput struct {
	Body []management.Plan
}

func (s *Server) listPlans(ctx context.Context, in *listPlansInput) (*listPlansOutput, error) {
	statuses, err := choices("status", in.Status, "staging", "published", "deprecated", "closed")
	if err != nil {
		return nil, err
	}
	kinds, err := choices("security", in.Security, keyless, "api-key", "jwt", "oauth2", "mtls", "push", "subscription")
	if err != nil {
		return nil, err
	}
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	out := &listPlansOutput{Body: []management.Plan{}}
	for _, p := range a.Plans {
		if !slices.Contains(statuses, string(planStatuses[p.Status])) || (len(kinds) > 0 && !slices.ContainsFunc(kinds, p.Secures)) {
			continue
		}
		view, err := viewPlan(a, p)
		if err != nil {
			return nil, s.fail(err)
		}
		out.Body = append(out.Body, view)
	}
	return out, nil
}

// choices reads a list of names, in either spelling: API_KEY or api-key.
func choices(name, csv string, known ...string) ([]string, error) {
	var out []string
	for word := range strings.SplitSeq(csv, ",") {
		word = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(word)), "_", "-")
		if word == "" {
			continue
		}
		if !slices.Contains(known, word) {
			return nil, badParameter(name, "must be of "+strings.Join(known, ", ")+"; it is "+word)
		}
		out = append(out, word)
	}
	return out, nil
}

type getPlanInput struct {
	PlanTarget
	Consistency
}

func (s *Server) getPlan(ctx context.Context, in *getPlanInput) (*planOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	return s.planOutput(st, in.PlanTarget)
}

type createPlanInput struct {
	Target
	Condition
}

func (s *Server) createPlan(ctx context.Context, in *createPlanInput) (*planOutput, error) {
	fresh := uuid.NewString()
	var id string
	_, st, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		plan, err := s.decodePlan(ctx, a)
		if err != nil {
			return nil, err
		}
		id = cmp.Or(plan.ID, fresh)
		return s.putPlan(a, plan, id, true)
	})
	if err != nil {
		return nil, err
	}
	t := PlanTarget{Target: in.Target, Plan: id}
	out, err := s.planOutput(st, t)
	if err == nil {
		out.Location = in.location() + "/plans/" + id
	}
	return out, err
}

type planChange struct {
	PlanTarget
	Condition
}

func (s *Server) updatePlan(ctx context.Context, in *planChange) (*planOutput, error) {
	_, st, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		if _, err := in.findPlan(a); err != nil {
			return nil, err
		}
		plan, err := s.decodePlan(ctx, a)
		if err != nil {
			return nil, err
		}
		if plan.ID != "" && plan.ID != in.Plan {
			return nil, invalid(http.StatusBadRequest, "", apidef.Problems{{Pointer: "/id", Code: apidef.CodeValueInvalid, Severity: apidef.Error,
				Message: "is " + plan.ID + ", but the path names plan " + in.Plan + "; leave the id out or make them equal"}})
		}
		plan.Status = "" // moves by its own calls only
		return s.putPlan(a, plan, in.Plan, false)
	})
	if err != nil {
		return nil, err
	}
	return s.planOutput(st, in.PlanTarget)
}

func (s *Server) putPlan(a *fsm.API, plan storedPlan, id string, create bool) (*command.Command, error) {
	if !goodID.MatchString(id) {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{{Pointer: "/id", Code: apidef.CodeValueInvalid, Severity: apidef.Error,
			Message: "must be at most 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"}})
	}
	cmd, err := planCommand(plan, id)
	if err != nil {
		return nil, err
	}
	return &command.Command{Change: &command.Command_PutPlan{PutPlan: &command.PutPlan{ApiId: a.ID, ExpectVersion: a.Version, Create: create, Plan: cmd}}}, nil
}

// decodePlan reads the plan in the request's body, in any dialect, and checks it within its API.
func (s *Server) decodePlan(ctx context.Context, a *fsm.API) (storedPlan, error) {
	body, err := asJSON(requestOf(ctx).body, "plan")
	if err != nil {
		return storedPlan{}, err
	}
	api, err := compose(a, func(*fsm.Plan) bool { return false })
	if err != nil {
		return storedPlan{}, err
	}
	text, err := apidef.Encode(api, apidef.Gateway)
	if err != nil {
		return storedPlan{}, err //nolint:wrapcheck // it names the API
	}
	whole := slices.Concat([]byte(`{"plans":[`), body, []byte(`],`), bytes.TrimPrefix(text, []byte("{")))
	doc, err := apidef.Decode(whole)
	var found apidef.Problems
	if doc != nil {
		found = s.deps.Validate(doc)
	} else if !errors.As(err, &found) {
		return storedPlan{}, err //nolint:wrapcheck // Decode's own error
	}
	if own := planProblems(found); len(own.Errors()) > 0 {
		return storedPlan{}, invalid(http.StatusBadRequest, "", own)
	}
	if doc == nil || len(doc.API.Plans) != 1 {
		return storedPlan{}, invalid(http.StatusBadRequest, "", found)
	}
	_, plans, err := split(doc.API)
	if err != nil {
		return storedPlan{}, err
	}
	return plans[0], nil
}

// planProblems are those of the one plan, with pointers into it.
func planProblems(found apidef.Problems) (own apidef.Problems) {
	for _, p := range found {
		if _, rest, ok := planPointer(p.Pointer); ok {
			p.Pointer, p.Line, p.Column = rest, 0, 0
			own = append(own, p)
		}
	}
	return own
}

// asJSON reads a body that may be YAML; the result is one JSON object.
func asJSON(body []byte, what string) ([]byte, error) {
	body = bytes.TrimSpace(body)
	malformed := problem(http.StatusBadRequest, apidef.CodeMalformed, "The body must be one "+what+", as a JSON or YAML object")
	if !bytes.HasPrefix(body, []byte("{")) {
		var v map[string]any
		if err := yaml.Unmarshal(body, &v); err != nil || v == nil {
			return nil, malformed
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, malformed
		}
		return b, nil
	}
	if !json.Valid(body) {
		return nil, malformed
	}
	return body, nil
}

func (s *Server) movePlan(ctx context.Context, in *planChange, to command.PlanStatus) (*planOutput, error) {
	_, st, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		if _, err := in.findPlan(a); err != nil {
			return nil, err
		}
		return &command.Command{Change: &command.Command_MovePlan{MovePlan: &command.MovePlan{
			ApiId: a.ID, ExpectVersion: a.Version, PlanId: in.Plan, To: to,
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.planOutput(st, in.PlanTarget)
}

type planGone struct {
	ETag string `header:"ETag" doc:"Of the API"`
}

func (s *Server) deletePlan(ctx context.Context, in *planChange) (*planGone, error) {
	result, _, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		if _, err := in.findPlan(a); err != nil {
			return nil, err
		}
		return &command.Command{Change: &command.Command_DeletePlan{DeletePlan: &command.DeletePlan{
			ApiId: a.ID, ExpectVersion: a.Version, PlanId: in.Plan,
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &planGone{ETag: etag(result.GetVersion())}, nil
}
