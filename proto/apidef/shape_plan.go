package apidef

import "strconv"

var (
	planStatuses    = &enum[PlanStatus]{code: CodeValueInvalid, values: []PlanStatus{PlanStaging, PlanPublished, PlanDeprecated, PlanClosed}}
	planModes       = &enum[string]{code: CodeValueInvalid, values: []string{planStandard, planPush}}
	planTypes       = &enum[string]{code: CodeValueInvalid, values: []string{"API", "CATALOG"}}
	planValidations = &enum[string]{code: CodeValueInvalid, values: []string{"AUTO", "MANUAL"}}
	securityTypes   = &enum[string]{
		code:   CodePlanInvalid,
		values: []string{securityKeyless, "api-key", "jwt", "oauth2", securityMTLS},
		// What 3.20 called security of type subscription is mode push; planShape turns it into that.
		also: map[string]string{"keyless": securityKeyless, "apikey": "api-key", "subscription": planPush, "push": planPush},
	}
)

const (
	planStandard    = "standard"
	planPush        = "push"
	securityKeyless = "key-less"
	securityMTLS    = "mtls"
)

// planShape says who may use an API (spec 1.11, 7.3, 9.2).
var planShape = &shape[Plan]{
	name: "plan",
	fields: []field[Plan]{
		member("id", func(p *Plan) *string { return &p.ID }, text),
		member("key", func(p *Plan) *string { return &p.Key }, text),
		member("crossId", func(p *Plan) *string { return &p.CrossID }, text),
		member("name", func(p *Plan) *string { return &p.Name }, text, required(CodeMemberMissing, "what subscribers call the plan")),
		member("description", func(p *Plan) *string { return &p.Description }, text),
		member("security", func(p *Plan) **PlanSecurity { return &p.Security }, optional(object(planSecurityShape))),
		member("mode", func(p *Plan) *string { return &p.Mode }, oneOf(planModes)),
		member("selectionRule", func(p *Plan) *string { return &p.SelectionRule }, text),
		member("flows", func(p *Plan) *[]Flow { return &p.Flows }, listOf(object(flowShape))),
		member("tags", func(p *Plan) *[]string { return &p.Tags }, listOf(text)),
		member("status", func(p *Plan) *PlanStatus { return &p.Status }, oneOf(planStatuses)),
		member("type", func(p *Plan) *string { return &p.Type }, oneOf(planTypes)),
		member("validation", func(p *Plan) *string { return &p.Validation }, oneOf(planValidations)),
		member("order", func(p *Plan) *int { return &p.Order }, looseNumber),
		member("characteristics", func(p *Plan) *[]string { return &p.Characteristics }, listOf(text)),
		member("excludedGroups", func(p *Plan) *[]string { return &p.ExcludedGroups }, listOf(text)),
		member("generalConditions", func(p *Plan) *string { return &p.GeneralConditions }, text),
		member("commentRequired", func(p *Plan) *bool { return &p.CommentRequired }, flag, as(CRD, "comment_required")),
		member("commentMessage", func(p *Plan) *string { return &p.CommentMessage }, text),
		member("bootstrapPort", func(p *Plan) *int { return &p.BootstrapPort }, looseNumber),
		member("brokerRangeStart", func(p *Plan) *int { return &p.BrokerRangeStart }, looseNumber),
		member("brokerRangeEnd", func(p *Plan) *int { return &p.BrokerRangeEnd }, looseNumber),
	},
	carried: []string{
		"api", "apiId", "apiType", "createdAt", "updatedAt", "publishedAt", "closedAt", "needRedeployAt", "environmentId",
		"definitionVersion", "hrid", "referenceId", "referenceType",
	},
	settle: settlePlan,
}

var planSecurityShape = &shape[PlanSecurity]{
	name: "planSecurity",
	fields: []field[PlanSecurity]{
		member("type", func(s *PlanSecurity) *string { return &s.Type }, oneOf(securityTypes), required(CodePlanInvalid, "one of "+securityTypes.choices())),
		member("configuration", func(s *PlanSecurity) *raw { return &s.Configuration }, opaque),
	},
}

// settlePlan fills the defaults on which the dialects disagree, so that they are not lost: a manifest publishes its
// plans and lets subscriptions in by itself (spec 9.2), elsewhere a plan is staged until someone publishes it (7.3).
func settlePlan(r *reader, n *node, at place, p *Plan) {
	if p.Security != nil && p.Security.Type == planPush {
		if p.Mode != planPush {
			r.warn(at.member("security", "security"), CodeMemberRenamed, "is written mode: push now, with no security")
		}
		p.Mode, p.Security = planPush, nil
	}
	if r.dialect == CRD && p.Validation == "" {
		p.Validation = "AUTO"
	}
	if status := n.get("status"); p.Status != "" || status != nil && status.kind != textKind && status.kind != nullKind {
		return // it is given, or was and could not be read
	}
	if r.dialect == CRD {
		p.Status = PlanPublished
		return
	}
	p.Status = PlanStaging
	r.warn(at.member("status", "status"), CodeValueDefaulted, "is missing and read as staging, which is not served; publish the plan with status: published")
}

// plans is a list of plans, or the map by the user's key that manifests hold, in the order they stand.
var plans = codec[[]Plan]{
	empty: func(v []Plan) bool { return len(v) == 0 },
	read: func(r *reader, n *node, at place) []Plan {
		if n.kind != objectKind {
			return listOf(object(planShape)).read(r, n, at)
		}
		var all []Plan
		for i, e := range n.entries {
			here := place{from: childOf(at.from, e.name), to: itemOf(at.to, i)}
			r.origins[here.to] = here.from
			if e.name == "" {
				r.fail(here, CodePlanInvalid, "has no key; subscriptions name a plan by its key")
			}
			plan := planShape.read(r, e.value, here)
			plan.Key = e.name
			if plan.Name == "" {
				plan.Name = e.name
			}
			all = append(all, plan)
		}
		return all
	},
	write: func(w *writer, at string, v []Plan) *node {
		if w.dialect != CRD {
			return listOf(object(planShape)).write(w, at, v)
		}
		n := &node{kind: objectKind}
		for i, plan := range v {
			key := plan.Key
			plan.Key = ""
			if key == "" {
				key = plan.Name
			}
			if key == "" || n.get(key) != nil {
				key = "plan-" + strconv.Itoa(i+1)
			}
			n.set(key, planShape.write(w, itemOf(at, i), plan))
		}
		return n
	},
	check: listOf(object(planShape)).check,
	schema: func(defs map[string]any) map[string]any {
		plan := planShape.schema(defs)
		return map[string]any{"oneOf": []any{
			map[string]any{"type": "array", "items": plan},
			map[string]any{"type": "object", "additionalProperties": plan},
		}}
	},
}
