package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// maxLabel bounds a deployment's label, in characters (spec 8.1).
const maxLabel = 32

func (s *Server) registerLifecycle() {
	register(s, operation{id: "deployApi", method: http.MethodPost, path: base + "/{api}/deploy", tag: tagAPIs, status: http.StatusOK, body: deployBody{},
		summary: "Make the API as it is now what workers serve, if it is started."}, s.deployAPI)
	register(s, operation{id: "actOnApi", method: http.MethodPost, path: base + "/{api}", tag: tagAPIs, status: http.StatusNoContent,
		summary: "Start or stop an API. The first start of an API that was never deployed deploys it."}, s.actOnAPI)
	register(s, operation{id: "getDeployments", method: http.MethodGet, path: base + "/{api}/deployments", tag: tagAPIs,
		summary: "Tell which workers serve which revision of the API, and what they could not build."}, s.getDeployments)
}

// doneOutput is the answer without a body.
type doneOutput struct {
	ETag      string `header:"ETag"`
	Revision  string `header:"Sluice-Revision" doc:"The deployed revision that the change made"`
	Confirmed string `header:"Sluice-Workers-Confirmed" doc:"With ?wait: how many workers serve it, or have dropped the API"`
}

// done answers a change without a body, once the workers are where they should be.
func (s *Server) done(ctx context.Context, api string, result *command.Result, wait time.Duration) (*doneOutput, error) {
	out := &doneOutput{}
	if result.GetVersion() != 0 {
		out.ETag = etag(result.GetVersion())
	}
	if result.GetRevision() == 0 {
		return out, nil
	}
	out.Revision = strconv.FormatUint(result.GetRevision(), 10)
	rollout, err := s.await(ctx, api, result.GetRevision(), wait)
	if err != nil {
		return nil, err
	}
	if rollout != nil {
		out.Confirmed = strconv.Itoa(rollout.Confirmed)
	}
	return out, nil
}

// await waits until every live worker has said what it made of a revision. A worker that could not build it, or has
// not said in time, makes the answer an error that tells which and why; the change itself stands.
func (s *Server) await(ctx context.Context, api string, revision uint64, wait time.Duration) (*management.Rollout, error) {
	if wait == 0 {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(stopping(ctx), cancel)()
	workers, err := s.deps.Rollout.Await(bounded, api, revision)
	if err != nil && bounded.Err() == nil {
		return nil, s.fail(fmt.Errorf("wait for workers: %w", err))
	}
	r := &management.Rollout{Revision: revision, Workers: workers}
	var failed, pending []management.WorkerOutcome
	for _, w := range workers {
		switch w.State {
		case management.WorkerServing, management.WorkerRemoved:
			r.Confirmed++
		case management.WorkerFailed:
			failed = append(failed, w)
		default:
			pending = append(pending, w)
		}
	}
	switch {
	case len(failed) > 0:
		p := problem(http.StatusBadRequest, management.CodeRolloutFailed, fmt.Sprintf(
			"Revision %d is stored, but %d of %d workers cannot build it and serve what they served before: %s", revision, len(failed), len(workers), failed[0].Error))
		return nil, p.outcomes(revision, r.Confirmed, failed)
	case len(workers) == 0: // nobody is there to wait for, and the answer says so
		r.Workers = []management.WorkerOutcome{}
	case err != nil || len(pending) > 0:
		p := problem(http.StatusGatewayTimeout, management.CodeRolloutPending, fmt.Sprintf(
			"Revision %d is stored, and after %s %d of %d workers have confirmed it; GET .../deployments tells how it goes on", revision, wait, r.Confirmed, len(workers)))
		return nil, p.outcomes(revision, r.Confirmed, pending)
	}
	return r, nil
}

// outcomes lists the workers that an answer is about.
func (p *Problem) outcomes(revision uint64, confirmed int, workers []management.WorkerOutcome) *Problem {
	p.Parameters = map[string]string{"revision": strconv.FormatUint(revision, 10), "confirmed": strconv.Itoa(confirmed)}
	for _, w := range workers {
		message := w.Error
		if message == "" {
			message = "has not said yet; it serves revision " + strconv.FormatUint(w.Revision, 10)
		}
		where := "control plane" // it could not send the revision
		if w.Worker != "" {
			where = "worker " + w.Worker
		}
		p.Details = append(p.Details, management.Detail{Message: message, Location: where, TechnicalCode: p.TechnicalCode})
	}
	return p
}

// deployBody is the optional body of a deployment.
type deployBody struct {
	Label string `json:"deploymentLabel,omitempty" maxLength:"32" doc:"The deployment's name"`
}

type deployInput struct {
	Target
	Condition
	Wait string `query:"wait" doc:"How long to wait for the workers to serve the revision, e.g. 5s; at most 60s"`
}

func (s *Server) deployAPI(ctx context.Context, in *deployInput) (*apiOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	label, err := deployLabel(requestOf(ctx).body)
	if err != nil {
		return nil, err
	}
	result, st, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		definition, slots, err := s.definitionToDeploy(a)
		if err != nil {
			return nil, err
		}
		return &command.Command{Change: &command.Command_Deploy{Deploy: &command.Deploy{
			ApiId: a.ID, ExpectVersion: a.Version, Definition: definition, Slots: slots, Label: label,
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	var more extras
	if a.Started { // a stopped API is served by nobody: there is nothing to wait for
		if more.rollout, err = s.await(ctx, in.API, result.GetRevision(), wait); err != nil {
			return nil, err
		}
	} else if wait > 0 {
		more.rollout = &management.Rollout{Revision: result.GetRevision(), Workers: []management.WorkerOutcome{}}
	}
	return s.output(a, more)
}

func deployLabel(body []byte) (string, error) {
	if len(strings.TrimSpace(string(body))) == 0 {
		return "", nil
	}
	var b deployBody
	if err := json.Unmarshal(body, &b); err != nil {
		return "", problem(http.StatusBadRequest, management.CodeDataInvalid, `The body must be empty or JSON like {"deploymentLabel": "first"}`)
	}
	if len([]rune(b.Label)) > maxLabel {
		return "", invalid(http.StatusBadRequest, management.CodeDataInvalid, apidef.Problems{{
			Pointer: "/deploymentLabel", Code: management.CodeDataInvalid, Severity: apidef.Error, Message: "must be at most 32 characters",
		}})
	}
	return b.Label, nil
}

// definitionToDeploy is what workers would get of a record, with slots for the steps of shared policy groups, or why they
// cannot.
func (s *Server) definitionToDeploy(a *fsm.API) ([]byte, []*command.Slot, error) {
	api, err := compose(a, (*fsm.Plan).Served)
	if err != nil {
		return nil, nil, err
	}
	if len(api.Plans) == 0 { // the state machine says so, with what to do
		b, err := json.Marshal(api)
		if err != nil {
			return nil, nil, fmt.Errorf("encode definition of API %s: %w", a.ID, err)
		}
		return b, nil, nil
	}
	uses, found := findGroups(s.deps.Replica.State(), a.Organization, a.Environment, api)
	if len(found) > 0 {
		return nil, nil, invalid(http.StatusBadRequest, management.CodeAPINotDeployable, found)
	}
	if err := embed(uses, deployedSteps); err != nil {
		return nil, nil, err
	}
	if found := s.deps.Deployable(api); len(found.Errors()) > 0 {
		return nil, nil, invalid(http.StatusBadRequest, management.CodeAPINotDeployable, inGroups(uses, found))
	}
	return slotted(api, uses)
}

type actInput struct {
	Target
	Condition
	Action string `query:"action" required:"true" enum:"START,STOP" doc:"What to do"`
	Wait   string `query:"wait" doc:"How long to wait for the workers to serve or drop the API, e.g. 5s; at most 60s"`
}

func (s *Server) actOnAPI(ctx context.Context, in *actInput) (*doneOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	to := command.ApiState_API_STATE_STOPPED
	if in.Action == "START" {
		to = command.ApiState_API_STATE_STARTED
	}
	result, _, err := s.change(ctx, in.Target, in.Condition, func(a *fsm.API) (*command.Command, error) {
		set := &command.SetState{ApiId: a.ID, ExpectVersion: a.Version, To: to}
		if to == command.ApiState_API_STATE_STARTED && a.Deployed == nil {
			if set.Definition, set.Slots, err = s.definitionToDeploy(a); err != nil {
				return nil, err
			}
		}
		return &command.Command{Change: &command.Command_SetState{SetState: set}}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.done(ctx, in.API, result, wait)
}

type deploymentsInput struct {
	Target
	Consistency
}

type deploymentsOutput struct {
	Body management.Deployments
}

func (s *Server) getDeployments(ctx context.Context, in *deploymentsInput) (*deploymentsOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	out := &deploymentsOutput{Body: management.Deployments{API: a.ID, State: stateOf(a), Workers: []management.WorkerOutcome{}}}
	if a.Deployed != nil {
		out.Body.Current = viewDeployment(a.Deployed)
		if a.Started {
			out.Body.Revision = a.Deployed.Revision
		}
		out.Body.Workers = append(out.Body.Workers, s.deps.Rollout.Outcomes(a.ID, a.Deployed.Revision)...)
	}
	return out, nil
}
