package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-gateway/sluice/controlplane/proxy"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Problem is an error answer.
type Problem management.Error

// Error is the message.
func (p *Problem) Error() string { return p.Message }

// GetStatus is the HTTP status; it makes Problem an error of huma's.
func (p *Problem) GetStatus() int { return p.HTTPStatus }

var _ huma.StatusError = (*Problem)(nil)

func problem(status int, code, message string) *Problem {
	return &Problem{Message: message, HTTPStatus: status, HTTPStatus4: status, TechnicalCode: code}
}

// answer is the status and code that an error is answered with.
type answer struct {
	status int
	code   string
}

// refusals is the one table of what the state machine refuses.
var refusals = map[command.Code]answer{
	command.Code_CODE_MALFORMED:           {http.StatusInternalServerError, management.CodeInternal},
	command.Code_CODE_UNSUPPORTED:         {http.StatusInternalServerError, management.CodeInternal},
	command.Code_CODE_VERSION_MISMATCH:    {http.StatusPreconditionFailed, management.CodePrecondition},
	command.Code_CODE_API_NOT_FOUND:       {http.StatusNotFound, management.CodeAPINotFound},
	command.Code_CODE_API_EXISTS:          {http.StatusBadRequest, management.CodeAPIExists},
	command.Code_CODE_PATH_CONFLICT:       {http.StatusBadRequest, management.CodePathExists},
	command.Code_CODE_HOST_CONFLICT:       {http.StatusBadRequest, management.CodeHostExists},
	command.Code_CODE_API_RUNNING:         {http.StatusBadRequest, management.CodeAPIRunning},
	command.Code_CODE_API_NOT_DELETABLE:   {http.StatusBadRequest, management.CodeAPINotDeletable},
	command.Code_CODE_API_NOT_DEPLOYABLE:  {http.StatusBadRequest, management.CodeAPINotDeployable},
	command.Code_CODE_API_STATE:           {http.StatusBadRequest, management.CodeAPIState},
	command.Code_CODE_LIFECYCLE_INVALID:   {http.StatusBadRequest, management.CodeLifecycle},
	command.Code_CODE_TYPE_CHANGED:        {http.StatusBadRequest, management.CodeAPIType},
	command.Code_CODE_API_DEPRECATED:      {http.StatusBadRequest, management.CodeAPIDeprecated},
	command.Code_CODE_PLAN_NOT_FOUND:      {http.StatusNotFound, management.CodePlanNotFound},
	command.Code_CODE_PLAN_EXISTS:         {http.StatusBadRequest, management.CodePlanExists},
	command.Code_CODE_PLAN_PUBLISHED:      {http.StatusBadRequest, management.CodePlanPublished},
	command.Code_CODE_PLAN_DEPRECATED:     {http.StatusBadRequest, management.CodePlanDeprecated},
	command.Code_CODE_PLAN_CLOSED:         {http.StatusBadRequest, management.CodePlanClosed},
	command.Code_CODE_PLAN_NOT_PUBLISHED:  {http.StatusBadRequest, management.CodePlanNotPublished},
	command.Code_CODE_PLAN_INVALID:        {http.StatusBadRequest, management.CodePlanInvalid},
	command.Code_CODE_PLAN_KEYLESS_EXISTS: {http.StatusBadRequest, management.CodePlanKeyless},
	command.Code_CODE_PLAN_NOT_DELETABLE:  {http.StatusBadRequest, management.CodePlanNotDeletable},

	command.Code_CODE_PLAN_NOT_SUBSCRIBABLE:           {http.StatusBadRequest, management.CodePlanNotSubscribable},
	command.Code_CODE_PLAN_SUBSCRIBED:                 {http.StatusBadRequest, management.CodePlanSubscribed},
	command.Code_CODE_SUBSCRIPTION_NOT_FOUND:          {http.StatusNotFound, management.CodeSubscriptionNotFound},
	command.Code_CODE_SUBSCRIPTION_EXISTS:             {http.StatusBadRequest, management.CodeSubscriptionExists},
	command.Code_CODE_SUBSCRIPTION_PROCESSED:          {http.StatusBadRequest, management.CodeSubscriptionProcessed},
	command.Code_CODE_SUBSCRIPTION_CLOSED:             {http.StatusBadRequest, management.CodeSubscriptionClosed},
	command.Code_CODE_SUBSCRIPTION_NOT_CLOSED:         {http.StatusBadRequest, management.CodeSubscriptionNotClosed},
	command.Code_CODE_SUBSCRIPTION_NOT_PAUSABLE:       {http.StatusBadRequest, management.CodeSubscriptionNotPausable},
	command.Code_CODE_SUBSCRIPTION_NOT_PAUSED:         {http.StatusBadRequest, management.CodeSubscriptionNotPaused},
	command.Code_CODE_SUBSCRIPTION_NOT_UPDATABLE:      {http.StatusBadRequest, management.CodeSubscriptionNotUpdatable},
	command.Code_CODE_SUBSCRIPTION_CONSUMER_STATUS:    {http.StatusBadRequest, management.CodeSubscriptionConsumerStatus},
	command.Code_CODE_SUBSCRIPTION_ENTRYPOINT_MISSING: {http.StatusBadRequest, management.CodeSubscriptionEntrypointMissing},
	command.Code_CODE_SUBSCRIPTION_STALE:              {http.StatusConflict, management.CodeSubscriptionFailure},
	command.Code_CODE_REPLAY_NOT_FOUND:                {http.StatusNotFound, management.CodeReplayNotFound},
	command.Code_CODE_REPLAY_EXISTS:                   {http.StatusBadRequest, management.CodeReplayExists},
	command.Code_CODE_REPLAY_REFUSED:                  {http.StatusBadRequest, management.CodeReplayRefused},

	command.Code_CODE_GROUP_NOT_FOUND:    {http.StatusNotFound, management.CodeGroupNotFound},
	command.Code_CODE_GROUP_EXISTS:       {http.StatusBadRequest, management.CodeGroupExists},
	command.Code_CODE_GROUP_USED:         {http.StatusBadRequest, management.CodeGroupUsed},
	command.Code_CODE_GROUP_NOT_DEPLOYED: {http.StatusBadRequest, management.CodeGroupNotDeployed},
	command.Code_CODE_GROUP_CHANGED:      {http.StatusBadRequest, management.CodeGroupInvalid},
	command.Code_CODE_GROUP_TOO_LARGE:    {http.StatusBadRequest, management.CodeGroupTooLarge},

	command.Code_CODE_UNSPECIFIED: {http.StatusInternalServerError, management.CodeInternal},
}

// refused is the answer to a refusal of the state machine.
func refused(e *command.Error) *Problem {
	a, ok := refusals[e.GetCode()]
	if !ok { // a code of a later version
		a = answer{http.StatusBadRequest, management.CodeDataInvalid}
	}
	p := problem(a.status, a.code, e.GetMessage())
	for _, param := range e.GetParameters() {
		if p.Parameters == nil {
			p.Parameters = map[string]string{}
		}
		p.Parameters[param.GetName()] = param.GetValue()
	}
	return p
}

// unavailable is the answer to a change or read that found no leader.
func unavailable(err error) *Problem {
	switch {
	case errors.Is(err, proxy.ErrOutcomeUnknown):
		return problem(http.StatusGatewayTimeout, management.CodeUnknownOutcome,
			"The change was handed to the cluster and its answer was lost: it may have been made. Read before you ask again.")
	case errors.Is(err, proxy.ErrNoLeader), errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, management.CodeNoLeader,
			"The cluster has no leader now, so nothing was changed and nothing current can be read; try again, or read with ?consistency=stale")
	default:
		return problem(http.StatusInternalServerError, management.CodeInternal, "Unexpected error; the server's log tells more")
	}
}

// invalid is the answer to problems in a definition; the first one gives the message and the code.
func invalid(status int, code string, ps apidef.Problems) *Problem {
	errs := ps.Errors()
	if len(errs) == 0 {
		return problem(status, code, "The definition is not valid")
	}
	message := errs[0].Message
	if errs[0].Pointer != "" {
		message = errs[0].Pointer + " " + message
	}
	if n := len(errs) - 1; n > 0 {
		message = fmt.Sprintf("%s (and %d more, see details)", message, n)
	}
	if code == "" {
		code = errs[0].Code
	}
	p := problem(status, code, message)
	for _, e := range errs {
		p.Details = append(p.Details, management.Detail{Message: e.Message, Location: e.Pointer, TechnicalCode: e.Code})
	}
	return p
}

// badParameter is the answer to a parameter that cannot be understood.
func badParameter(name, message string) *Problem {
	p := problem(http.StatusBadRequest, management.CodeParameter, name+" "+message)
	p.Details = []management.Detail{{Message: message, Location: name, TechnicalCode: management.CodeParameter}}
	return p
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.HTTPStatus)
	_ = encodeJSON(w, p) // the client is gone if it fails
}

// asProblem gives huma's own errors, about parameters, our body.
func asProblem(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	ctx.SetHeader("Content-Type", "application/json")
	p := problem(parameterStatus(m.Status), management.CodeParameter, m.Detail)
	for _, d := range m.Errors {
		p.Details = append(p.Details, management.Detail{Message: d.Message, Location: d.Location, TechnicalCode: management.CodeParameter, InvalidValue: d.Value})
	}
	if len(p.Details) > 0 {
		p.Message = p.Details[0].Location + " " + p.Details[0].Message
	}
	if m.Status >= http.StatusInternalServerError {
		p.TechnicalCode = management.CodeInternal
	}
	return p, nil
}

// parameterStatus turns huma's 422 into the 400 of this API.
func parameterStatus(status int) int {
	if status == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return status
}

// asBadRequest does so for the status line.
func asBadRequest(ctx huma.Context, next func(huma.Context)) { next(statusContext{ctx}) }

// inner is embedded under another name, because huma.Context has a method Context.
type inner = huma.Context

type statusContext struct{ inner }

func (c statusContext) SetStatus(status int) { c.inner.SetStatus(parameterStatus(status)) }

// Unwrap lets the adapter find its own context.
func (c statusContext) Unwrap() huma.Context { return c.inner }
