package rest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
)

// storedPlan is a plan's definition as it is replicated: the normal form, and its unknown members by pointer into it.
type storedPlan struct {
	apidef.Plan
	Unknown map[string]json.RawMessage `json:"unknown,omitempty"`
}

// answered are members that answers add to a definition: a client that sends an answer back does not mean them.
var answered = []string{"/warnings", "/rollout", "/deployment", "/deploymentState", "/organizationId", "/environmentId", "/createdAt", "/updatedAt", "/deployedAt"}

// split takes a decoded definition apart into what an API's record holds and its plans.
func split(api *apidef.API) (definition []byte, plans []storedPlan, err error) {
	body := *api
	body.State, body.LifecycleState, body.Visibility = "", "", ""
	body.Plans = nil
	body.Unknown, body.Carried = map[string]json.RawMessage{}, map[string]json.RawMessage{}
	plans = make([]storedPlan, len(api.Plans))
	for i, p := range api.Plans {
		plans[i] = storedPlan{Plan: p}
	}
	for pointer, v := range api.Unknown {
		i, rest, ofPlan := planPointer(pointer)
		switch {
		case isAnswered(pointer):
		case !ofPlan:
			body.Unknown[pointer] = v
		case i < len(plans):
			if plans[i].Unknown == nil {
				plans[i].Unknown = map[string]json.RawMessage{}
			}
			plans[i].Unknown[rest] = v
		}
	}
	for pointer, v := range api.Carried {
		if _, _, ofPlan := planPointer(pointer); !ofPlan && !isAnswered(pointer) { // a plan's carried members are the record's own
			body.Carried[pointer] = v
		}
	}
	if definition, err = json.Marshal(&body); err != nil {
		return nil, nil, fmt.Errorf("encode definition: %w", err)
	}
	return definition, plans, nil
}

func isAnswered(pointer string) bool {
	for _, m := range answered {
		if pointer == m || strings.HasPrefix(pointer, m+"/") {
			return true
		}
	}
	return false
}

// planPointer splits /plans/1/x into 1 and /x.
func planPointer(pointer string) (index int, rest string, ok bool) {
	tail, ok := strings.CutPrefix(pointer, "/plans/")
	if !ok {
		return 0, "", false
	}
	number, rest, more := strings.Cut(tail, "/")
	index, err := strconv.Atoi(number)
	if err != nil || index < 0 {
		return 0, "", false
	}
	if more {
		rest = "/" + rest
	}
	return index, rest, true
}

// compose puts an API's record and those of its plans that keep allows back into one definition.
func compose(a *fsm.API, keep func(*fsm.Plan) bool) (*apidef.API, error) {
	api := &apidef.API{}
	if err := json.Unmarshal(a.Definition, api); err != nil {
		return nil, fmt.Errorf("decode definition of API %s: %w", a.ID, err)
	}
	api.ID, api.CrossID = a.ID, a.CrossID
	for _, p := range a.Plans {
		if !keep(p) {
			continue
		}
		plan, unknown, err := composePlan(p)
		if err != nil {
			return nil, err
		}
		for pointer, v := range unknown {
			if api.Unknown == nil {
				api.Unknown = map[string]json.RawMessage{}
			}
			api.Unknown["/plans/"+strconv.Itoa(len(api.Plans))+pointer] = v
		}
		api.Plans = append(api.Plans, plan)
	}
	return api, nil
}

func composePlan(p *fsm.Plan) (apidef.Plan, map[string]json.RawMessage, error) {
	var stored storedPlan
	if err := json.Unmarshal(p.Definition, &stored); err != nil {
		return apidef.Plan{}, nil, fmt.Errorf("decode definition of plan %s: %w", p.ID, err)
	}
	plan := stored.Plan
	plan.ID, plan.Key, plan.CrossID, plan.Name = p.ID, p.Key, p.CrossID, p.Name
	plan.Status, plan.Order = planStatuses[p.Status], int(p.Order)
	return plan, stored.Unknown, nil
}

// outOfSync tells whether the record says something else than what is deployed (spec 8.4).
func outOfSync(a *fsm.API) (bool, error) {
	if a.Deployed == nil {
		return true, nil
	}
	if a.Deployed.Revision == a.Version && len(a.Deployed.Slots) == 0 { // nothing was changed since; a group's deployment is no change of the record
		return false, nil
	}
	now, err := compose(a, (*fsm.Plan).Served)
	if err != nil {
		return false, err
	}
	was := &apidef.API{}
	if err := json.Unmarshal(a.Deployed.Definition, was); err != nil {
		return false, fmt.Errorf("decode deployed definition of API %s: %w", a.ID, err)
	}
	for _, api := range []*apidef.API{now, was} {
		for _, step := range api.SharedGroups() {
			if err := step.StripSharedGroup(); err != nil {
				return false, fmt.Errorf("compare API %s: %w", a.ID, err)
			}
		}
	}
	return now.Hash() != was.Hash(), nil
}

// claimsOf lists the places that a definition takes.
func claimsOf(api *apidef.API) []*command.Claim {
	var out []*command.Claim
	for _, l := range api.Listeners {
		switch l.Type {
		case apidef.ListenerHTTP:
			for _, p := range l.Paths {
				out = append(out, &command.Claim{Kind: command.Claim_KIND_HTTP, Host: strings.ToLower(p.Host), Path: p.Path})
			}
		case apidef.ListenerTCP:
			for _, h := range l.Hosts {
				out = append(out, &command.Claim{Kind: command.Claim_KIND_TCP, Host: strings.ToLower(h)})
			}
		case apidef.ListenerKafka:
			if l.Host != "" {
				out = append(out, &command.Claim{Kind: command.Claim_KIND_KAFKA, Host: strings.ToLower(l.Host)})
			}
		case apidef.ListenerSubscription:
		}
	}
	return out
}

// planStatuses are the names of the states of a plan; statusOf is the inverse.
var planStatuses = map[command.PlanStatus]apidef.PlanStatus{
	command.PlanStatus_PLAN_STATUS_STAGING:    apidef.PlanStaging,
	command.PlanStatus_PLAN_STATUS_PUBLISHED:  apidef.PlanPublished,
	command.PlanStatus_PLAN_STATUS_DEPRECATED: apidef.PlanDeprecated,
	command.PlanStatus_PLAN_STATUS_CLOSED:     apidef.PlanClosed,
}

func statusOf(s apidef.PlanStatus) command.PlanStatus {
	for status, name := range planStatuses {
		if name == s {
			return status
		}
	}
	return command.PlanStatus_PLAN_STATUS_UNSPECIFIED
}

// planCommand is a plan on its way into the log.
func planCommand(p storedPlan, id string) (*command.Plan, error) {
	settlePlan(&p.Plan)
	out := &command.Plan{Id: id, Key: p.Key, CrossId: p.CrossID, Name: p.Name, Status: statusOf(p.Status), Order: int32(p.Order)} //nolint:gosec // checked by settlePlan
	if p.Security != nil {
		out.Security = p.Security.Type
	}
	p.ID, p.Status, p.Order = "", "", 0 // the record's
	b, err := json.Marshal(&p)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	out.Definition = b
	return out, nil
}

// settlePlan fills in a new plan's defaults (spec 7.3).
func settlePlan(p *apidef.Plan) {
	if p.Type == "" {
		p.Type = "API"
	}
	if p.Mode == "" {
		p.Mode = "standard"
	}
	if p.Validation == "" {
		p.Validation = "MANUAL"
	}
	if p.Security != nil && p.Security.Type == keyless {
		p.Validation = "AUTO"
	}
	p.Order = min(max(p.Order, 0), 1<<30)
}

// keyless is the security of a plan that lets everybody in.
const keyless = "key-less"
