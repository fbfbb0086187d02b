package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

const tagSubscriptions = "Subscriptions"

// subscriptionsPath is where the subscriptions of an API are (spec 8.1, 8.3).
const subscriptionsPath = base + "/{api}/subscriptions"

// Moves of a subscription.
const (
	moveAccept  = command.SubscriptionMove_SUBSCRIPTION_MOVE_ACCEPT
	moveReject  = command.SubscriptionMove_SUBSCRIPTION_MOVE_REJECT
	movePause   = command.SubscriptionMove_SUBSCRIPTION_MOVE_PAUSE
	moveResume  = command.SubscriptionMove_SUBSCRIPTION_MOVE_RESUME
	moveClose   = command.SubscriptionMove_SUBSCRIPTION_MOVE_CLOSE
	moveRestore = command.SubscriptionMove_SUBSCRIPTION_MOVE_RESTORE
	moveStop    = command.SubscriptionMove_SUBSCRIPTION_MOVE_STOP
	moveStart   = command.SubscriptionMove_SUBSCRIPTION_MOVE_START
)

func (s *Server) registerSubscriptions() {
	path, tag := subscriptionsPath, tagSubscriptions
	one := path + "/{subscription}"
	register(s, operation{id: "listSubscriptions", method: http.MethodGet, path: path, tag: tag, summary: "List an API's subscriptions, the newest first."}, s.listSubscriptions)
	register(s, operation{id: "createSubscription", method: http.MethodPost, path: path, tag: tag, status: http.StatusCreated, body: management.NewSubscription{},
		summary: "Subscribe to a plan. It waits to be accepted, unless the plan validates by itself."}, s.createSubscription)
	register(s, operation{id: "getSubscription", method: http.MethodGet, path: one, tag: tag, summary: "Read a subscription, and how it stands on the workers."}, s.getSubscription)
	register(s, operation{id: "updateSubscription", method: http.MethodPut, path: one, tag: tag, body: management.NewSubscription{}, bodyRequired: true,
		summary: "Change what the consumer says of a subscription; what the body leaves out stays. A masked secret keeps the one stored."}, s.updateSubscription)
	for _, m := range []struct {
		action, id, summary string
		move                command.SubscriptionMove
	}{
		{"_pause", "pauseSubscription", "Pause an accepted subscription.", movePause},
		{"_resume", "resumeSubscription", "Resume a paused subscription.", moveResume},
		{"_close", "closeSubscription", "Close a subscription for good; it can be restored.", moveClose},
		{"_restore", "restoreSubscription", "Have a closed or rejected subscription wait to be accepted again.", moveRestore},
	} {
		register(s, operation{id: m.id, method: http.MethodPost, path: one + "/" + m.action, tag: tag, status: http.StatusOK, summary: m.summary},
			func(ctx context.Context, in *subscriptionChange) (*subscriptionOutput, error) {
				return s.moveSubscription(ctx, in, m.move)
			})
	}
	register(s, operation{id: "acceptSubscription", method: http.MethodPost, path: one + "/_accept", tag: tag, status: http.StatusOK, body: management.SubscriptionDecision{},
		summary: "Accept a pending subscription."}, s.deciding(func(*management.SubscriptionDecision) command.SubscriptionMove { return moveAccept }))
	register(s, operation{id: "rejectSubscription", method: http.MethodPost, path: one + "/_reject", tag: tag, status: http.StatusOK, body: management.SubscriptionDecision{},
		summary: "Reject a pending subscription."}, s.deciding(func(*management.SubscriptionDecision) command.SubscriptionMove { return moveReject }))
	register(s, operation{id: "processSubscription", method: http.MethodPost, path: one + "/_process", tag: tag, status: http.StatusOK, body: management.SubscriptionDecision{}, bodyRequired: true,
		summary: "Accept or reject a pending subscription, as 3.20 has it."}, s.deciding(processed))
	register(s, operation{id: "changeSubscriptionStatus", method: http.MethodPost, path: one + "/status", tag: tag, status: http.StatusOK,
		summary: "Pause, resume or close a subscription, as 3.20 has it."}, s.changeSubscriptionStatus)
	register(s, operation{id: "changeConsumerStatus", method: http.MethodPost, path: one + "/_changeConsumerStatus", tag: tag, status: http.StatusOK,
		summary: "Stop delivery for the consumer, or start it again, also after a failure."}, s.changeConsumerStatus)
	register(s, operation{id: "getAttempts", method: http.MethodGet, path: one + "/attempts", tag: tag,
		summary: "Ask the workers for their last attempts to deliver, the newest first."}, s.getAttempts)
}

// SubscriptionTarget is one subscription of an API.
type SubscriptionTarget struct {
	Target
	Subscription string `path:"subscription" maxLength:"128" doc:"Id of the subscription"`
}

// findSubscription returns a record of the scope, and its API's.
func (t SubscriptionTarget) findSubscription(st *fsm.State) (*fsm.API, *fsm.Subscription, error) {
	a, err := t.find(st)
	if err != nil {
		return nil, nil, err
	}
	if sub := st.Subscription(t.Subscription); sub != nil && sub.API == a.ID {
		return a, sub, nil
	}
	p := problem(http.StatusNotFound, management.CodeSubscriptionNotFound, "Subscription ["+t.Subscription+"] cannot be found.")
	p.Parameters = map[string]string{"subscription": t.Subscription}
	return nil, nil, p
}

type subscriptionOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     subscriptionAnswer
}

// subscriptionAnswer is a subscription with what was noticed in the body sent.
type subscriptionAnswer struct {
	management.Subscription
	Warnings apidef.Problems `json:"warnings,omitempty" doc:"What was noticed in the body sent and does not refuse it"`
}

func (s *Server) subscriptionOutput(st *fsm.State, t SubscriptionTarget) (*subscriptionOutput, error) {
	_, sub, err := t.findSubscription(st)
	if err != nil {
		return nil, err
	}
	view, err := viewSubscription(sub)
	if err != nil {
		return nil, s.fail(err)
	}
	view.Workers = s.deps.Rollout.Subscription(sub.ID)
	return &subscriptionOutput{ETag: etag(sub.Version), Body: subscriptionAnswer{Subscription: view}}, nil
}

type listSubscriptionsInput struct {
	Target
	Consistency
	Status         string `query:"status" doc:"Statuses to list, separated by commas: PENDING, REJECTED, ACCEPTED, CLOSED, PAUSED; none: all"`
	Statuses       string `query:"statuses" doc:"The same, as 4.x spells it"`
	ConsumerStatus string `query:"consumerStatus" doc:"Consumer statuses to list, separated by commas: STARTED, STOPPED, FAILURE; none: all"`
	Plan           string `query:"plan" doc:"Ids of plans to list, separated by commas; none: all"`
	PlanIDs        string `query:"planIds" doc:"The same, as 4.x spells it"`
	Application    string `query:"application" doc:"Applications to list, separated by commas; none: all"`
	ApplicationIDs string `query:"applicationIds" doc:"The same, as 4.x spells it"`
	Page           int    `query:"page" minimum:"1" default:"1" doc:"Page, from 1"`
	PerPage        int    `query:"perPage" minimum:"1" maximum:"1000" default:"10" doc:"Subscriptions per page"`
}

// filter tells what to list.
func (in *listSubscriptionsInput) filter() (func(*fsm.Subscription) bool, error) {
	statuses, err := choices("status", in.Status+","+in.Statuses, "pending", "rejected", "accepted", "closed", "paused")
	if err != nil {
		return nil, err
	}
	consumers, err := choices("consumerStatus", in.ConsumerStatus, "started", "stopped", "failure")
	if err != nil {
		return nil, err
	}
	plans, applications := words(in.Plan+","+in.PlanIDs), words(in.Application+","+in.ApplicationIDs)
	among := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	return func(sub *fsm.Subscription) bool {
		return among(statuses, strings.ToLower(subscriptionStatuses[sub.Status])) && among(plans, sub.Plan) && among(applications, sub.Application) &&
			among(consumers, strings.ToLower(consumerStatuses[sub.ConsumerStatus]))
	}, nil
}

// words splits a list at its commas.
func words(csv string) (out []string) {
	for w := range strings.SplitSeq(csv, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

type listSubscriptionsOutput struct {
	Body management.Page[management.Subscription]
}

func (s *Server) listSubscriptions(ctx context.Context, in *listSubscriptionsInput) (*listSubscriptionsOutput, error) {
	wanted, err := in.filter()
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
	var found []*fsm.Subscription
	for sub := range st.SubscriptionsOf(a.ID) {
		if wanted(sub) {
			found = append(found, sub)
		}
	}
	slices.SortFunc(found, func(x, y *fsm.Subscription) int {
		return cmp.Or(cmp.Compare(y.CreatedAtMS, x.CreatedAtMS), cmp.Compare(x.ID, y.ID))
	})
	page := paginate(len(found), in.Page, in.PerPage)
	out := &listSubscriptionsOutput{}
	out.Body.Data = []management.Subscription{}
	for _, sub := range found[page.from:page.to] {
		view, err := viewSubscription(sub)
		if err != nil {
			return nil, s.fail(err)
		}
		out.Body.Data = append(out.Body.Data, view)
	}
	out.Body.Pagination, out.Body.Links = page.Pagination, page.links(requestOf(ctx).uri)
	return out, nil
}

type getSubscriptionInput struct {
	SubscriptionTarget
	Consistency
}

func (s *Server) getSubscription(ctx context.Context, in *getSubscriptionInput) (*subscriptionOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	return s.subscriptionOutput(st, in.SubscriptionTarget)
}

type createSubscriptionInput struct {
	Target
	Plan        string `query:"plan" doc:"Id of the plan, as 3.20 has it"`
	Application string `query:"application" doc:"Who subscribes, as 3.20 has it"`
}

func (s *Server) createSubscription(ctx context.Context, in *createSubscriptionInput) (*subscriptionOutput, error) {
	text := requestOf(ctx).body
	if len(text) == 0 { // 3.20 subscribes to a plan without one
		text = []byte("{}")
	}
	body, err := decodeSubscription(text)
	if err != nil {
		return nil, err
	}
	body.Plan, body.Application = cmp.Or(body.Plan, in.Plan), cmp.Or(body.Application, in.Application)
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	st, err := s.deps.Replica.Read(bounded)
	if err != nil {
		return nil, s.fail(err)
	}
	a, err := in.find(st)
	if err != nil {
		return nil, err
	}
	put, err := s.newSubscription(a, body)
	if err != nil {
		return nil, s.fail(err)
	}
	put.SubscriptionId, put.Create = cmp.Or(body.ID, uuid.NewString()), true
	result, err := s.propose(bounded, &command.Command{Change: &command.Command_PutSubscription{PutSubscription: put}})
	if err != nil {
		return nil, err
	}
	if e := result.GetError(); e != nil {
		return nil, refused(e)
	}
	t := SubscriptionTarget{Target: in.Target, Subscription: put.GetSubscriptionId()}
	out, err := s.subscriptionOutput(s.deps.Replica.State(), t)
	if err == nil {
		out.Location = in.location() + "/subscriptions/" + url.PathEscape(t.Subscription)
		out.Body.Warnings = body.warnings
	}
	return out, err
}

// newSubscription is the change that creates a subscription, but for its id.
func (s *Server) newSubscription(a *fsm.API, body *subscriptionBody) (*command.PutSubscription, error) {
	if body.Plan == "" {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/planId", "is required: the id of the plan to subscribe to")})
	}
	plan, err := PlanTarget{Plan: body.Plan}.findPlan(a)
	if err != nil {
		return nil, err
	}
	definition, _, err := composePlan(plan)
	if err != nil {
		return nil, err
	}
	if plan.Security != "" && plan.Security != keyless && plan.Served() { // of others the state machine says more
		p := problem(http.StatusBadRequest, management.CodePlanNotSubscribable, "Plan ["+plan.ID+"] has security "+plan.Security+
			", which this version does not serve: subscribe to a push plan")
		p.Parameters = map[string]string{"plan": plan.ID}
		return nil, p
	}
	if definition.CommentRequired && strings.TrimSpace(body.Request) == "" {
		return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/request", cmp.Or(definition.CommentMessage, "is required: the plan asks its consumers for a comment"))})
	}
	put, err := s.putSubscription(a, body, nil)
	if err != nil {
		return nil, err
	}
	put.Accept = definition.Validation == "AUTO"
	return put, nil
}

type subscriptionChange struct {
	SubscriptionTarget
	Condition
}

// changeSubscription reads the record, builds a command from it and has that applied to that very version, as change does
// for APIs.
func (s *Server) changeSubscription(ctx context.Context, in *subscriptionChange, build func(*fsm.API, *fsm.Subscription) (*command.Command, error)) (*subscriptionOutput, error) {
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	st, err := s.deps.Replica.Read(bounded)
	if err != nil {
		return nil, s.fail(err)
	}
	for {
		a, sub, err := in.findSubscription(st)
		if err != nil {
			return nil, err
		}
		if !in.allows(sub.Version) {
			p := problem(http.StatusPreconditionFailed, management.CodePrecondition,
				"Subscription ["+sub.ID+"] was changed meanwhile: read it again and repeat the change on what it is now")
			p.Parameters = map[string]string{"etag": etag(sub.Version)}
			return nil, p
		}
		cmd, err := build(a, sub)
		if err != nil {
			return nil, s.fail(err)
		}
		result, err := s.propose(bounded, cmd)
		if err != nil {
			return nil, err
		}
		st = s.deps.Replica.State()
		switch e := result.GetError(); {
		case e == nil:
			return s.subscriptionOutput(st, in.SubscriptionTarget)
		case e.GetCode() != command.Code_CODE_VERSION_MISMATCH, bounded.Err() != nil:
			return nil, refused(e)
		}
	}
}

func (s *Server) updateSubscription(ctx context.Context, in *subscriptionChange) (*subscriptionOutput, error) {
	body, err := decodeSubscription(requestOf(ctx).body)
	if err != nil {
		return nil, err
	}
	out, err := s.changeSubscription(ctx, in, func(a *fsm.API, sub *fsm.Subscription) (*command.Command, error) {
		for _, fixed := range []struct{ at, is, was string }{
			{"/id", body.ID, sub.ID}, {"/planId", body.Plan, sub.Plan}, {"/applicationId", body.Application, sub.Application},
		} {
			if fixed.is != "" && fixed.is != fixed.was {
				return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad(fixed.at, "is "+fixed.is+" where the subscription has "+fixed.was+", which cannot be changed; leave it out")})
			}
		}
		put, err := s.putSubscription(a, body, sub)
		if err != nil {
			return nil, err
		}
		return &command.Command{Change: &command.Command_PutSubscription{PutSubscription: put}}, nil
	})
	if err == nil {
		out.Body.Warnings = body.warnings
	}
	return out, err
}

func (s *Server) moveSubscription(ctx context.Context, in *subscriptionChange, move command.SubscriptionMove) (*subscriptionOutput, error) {
	return s.stepSubscription(ctx, in, &command.MoveSubscription{Move: move})
}

// stepSubscription applies a move to the record as it is.
func (s *Server) stepSubscription(ctx context.Context, in *subscriptionChange, m *command.MoveSubscription) (*subscriptionOutput, error) {
	return s.changeSubscription(ctx, in, func(_ *fsm.API, sub *fsm.Subscription) (*command.Command, error) {
		m.SubscriptionId, m.ExpectVersion = sub.ID, sub.Version
		return &command.Command{Change: &command.Command_MoveSubscription{MoveSubscription: m}}, nil
	})
}

// deciding makes the handler of a decision about a pending subscription; which tells which, none being no decision.
func (s *Server) deciding(which func(*management.SubscriptionDecision) command.SubscriptionMove) func(context.Context, *subscriptionChange) (*subscriptionOutput, error) {
	return func(ctx context.Context, in *subscriptionChange) (*subscriptionOutput, error) {
		d := management.SubscriptionDecision{}
		if body := requestOf(ctx).body; len(strings.TrimSpace(string(body))) > 0 {
			if err := json.Unmarshal(body, &d); err != nil {
				return nil, problem(http.StatusBadRequest, management.CodeDataInvalid, `The body must be JSON like {"reason": "welcome"}`)
			}
		}
		move := which(&d)
		switch {
		case move == 0:
			return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/accepted", "is required: true or false")})
		case len(d.Reason) > maxText:
			return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/reason", "must be at most 4 KiB of text")})
		case d.StartingAt != nil && d.EndingAt != nil && !d.EndingAt.After(*d.StartingAt):
			return nil, invalid(http.StatusBadRequest, "", apidef.Problems{bad("/endingAt", "must be after startingAt")})
		}
		return s.stepSubscription(ctx, in, &command.MoveSubscription{
			Move: move, Reason: d.Reason, StartingAtMs: millis(d.StartingAt), EndingAtMs: millis(d.EndingAt),
		})
	}
}

// processed reads the decision of 3.20.
func processed(d *management.SubscriptionDecision) command.SubscriptionMove {
	switch {
	case d.Accepted == nil:
		return 0
	case *d.Accepted:
		return moveAccept
	}
	return moveReject
}

type subscriptionStatusInput struct {
	SubscriptionTarget
	Condition
	Status string `query:"status" required:"true" enum:"PAUSED,RESUMED,CLOSED" doc:"What to make of it"`
}

func (s *Server) changeSubscriptionStatus(ctx context.Context, in *subscriptionStatusInput) (*subscriptionOutput, error) {
	move := map[string]command.SubscriptionMove{"PAUSED": movePause, "RESUMED": moveResume, "CLOSED": moveClose}[in.Status]
	return s.moveSubscription(ctx, &subscriptionChange{in.SubscriptionTarget, in.Condition}, move)
}

type consumerStatusInput struct {
	SubscriptionTarget
	Condition
	Status string `query:"status" required:"true" enum:"STARTED,STOPPED" doc:"What to make of it"`
}

func (s *Server) changeConsumerStatus(ctx context.Context, in *consumerStatusInput) (*subscriptionOutput, error) {
	move := moveStop
	if in.Status == management.ConsumerStarted {
		move = moveStart
	}
	return s.changeSubscription(ctx, &subscriptionChange{in.SubscriptionTarget, in.Condition}, func(a *fsm.API, sub *fsm.Subscription) (*command.Command, error) {
		kinds, err := subscriptionEntrypoints(a)
		if err != nil {
			return nil, err
		}
		if len(kinds) == 0 {
			p := problem(http.StatusBadRequest, management.CodeSubscriptionConsumerStatus,
				"The consumer status of subscription ["+sub.ID+"] cannot be changed: its API has no subscription listener.")
			p.Parameters = map[string]string{"subscription": sub.ID}
			return nil, p
		}
		return &command.Command{Change: &command.Command_MoveSubscription{MoveSubscription: &command.MoveSubscription{
			SubscriptionId: sub.ID, ExpectVersion: sub.Version, Move: move,
		}}}, nil
	})
}

type attemptsInput struct {
	SubscriptionTarget
	Consistency
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many are wanted"`
}

type attemptsOutput struct {
	Body management.Attempts
}

func (s *Server) getAttempts(ctx context.Context, in *attemptsInput) (*attemptsOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	if _, _, err := in.findSubscription(st); err != nil {
		return nil, err
	}
	all, err := s.deps.Rollout.Attempts(ctx, in.Subscription, in.Limit)
	if err != nil {
		return nil, s.fail(err)
	}
	return &attemptsOutput{all}, nil
}
