// Package management is what the management API and its clients say to one another: the bodies of answers and errors,
// and the stable technical codes. It is data.
package management

// Error is the body of every answer from 400 on. It holds the members of both generations of such an API
// (spec 8.2), so that a client of either finds its own.
type Error struct {
	Message       string            `json:"message" doc:"What is wrong and what to do; the first problem where there are several"`
	HTTPStatus    int               `json:"http_status" doc:"The answer's status, as 3.20 names it"`
	HTTPStatus4   int               `json:"httpStatus" doc:"The answer's status, as 4.x names it"`
	TechnicalCode string            `json:"technicalCode" doc:"Stable code of the error"`
	Parameters    map[string]string `json:"parameters,omitempty" doc:"Facts that the message is made of"`
	Details       []Detail          `json:"details,omitempty" doc:"Every problem found"`
}

// Detail is one problem.
type Detail struct {
	Message       string `json:"message"`
	Location      string `json:"location" doc:"JSON pointer into the body, or the name of the parameter"`
	TechnicalCode string `json:"technicalCode,omitempty"`
	InvalidValue  any    `json:"invalidValue,omitempty"`
}

// Technical codes that are not of a definition's rules (those are proto/apidef's). A code never changes meaning. The
// first block is Sluice's own, the second is known to clients of such an API (spec 8.2).
const (
	CodeUnauthorized     = "security.unauthorized"
	CodeNotFound         = "resource.notFound"
	CodeMethodNotAllowed = "method.notAllowed"
	CodeTooLarge         = "body.tooLarge"
	CodeMediaType        = "body.mediaType.unsupported"
	CodeNotAcceptable    = "response.mediaType.unsupported"
	CodePrecondition     = "precondition.failed"
	CodeParameter        = "parameter.invalid"
	CodeAPIState         = "api.state.invalid"
	CodeHostExists       = "listeners.hosts.exists"
	CodePlanExists       = "plan.existing"
	CodePlanKeyless      = "plan.keyless.published"
	CodeRolloutFailed    = "deployment.failed"
	CodeRolloutPending   = "deployment.pending"
	CodeNoLeader         = "cluster.noLeader"
	CodeUnknownOutcome   = "cluster.outcomeUnknown"
	CodeInternal         = "internal"
	CodePropertySealed   = "properties.encryption.invalid"

	CodeSubscriptionExists = "subscription.existing"
	CodeReplayNotFound     = "subscription.replay.notFound"
	CodeReplayExists       = "subscription.replay.existing"
	CodeReplayRefused      = "subscription.replay.refused"

	CodeTrialFailed = "trial.failed" // a draft could not be tried

	CodeGroupNotFound    = "sharedPolicyGroup.notFound"
	CodeGroupExists      = "sharedPolicyGroup.existing"
	CodeGroupUsed        = "sharedPolicyGroup.used"
	CodeGroupNotDeployed = "sharedPolicyGroup.notDeployed"
	CodeGroupInvalid     = "sharedPolicyGroup.invalid"
	CodeGroupTooLarge    = "sharedPolicyGroup.tooLarge"

	CodeAPIExists        = "api.exists"
	CodeAPINotFound      = "api.notFound"
	CodeAPIRunning       = "api.running"
	CodeAPINotDeletable  = "api.notDeletable"
	CodeAPINotDeployable = "api.NotDeployable"
	CodeAPIDeprecated    = "api.deprecated"
	CodeLifecycle        = "api.lifecycleState.invalid"
	CodeAPIType          = "apiType.notAllowed"
	CodePathExists       = "api.listener.paths.path.exists"
	CodePlanNotFound     = "plan.notFound"
	CodePlanPublished    = "plan.published"
	CodePlanDeprecated   = "plan.deprecated"
	CodePlanClosed       = "plan.closed"
	CodePlanNotPublished = "plan.notPublished"
	CodePlanInvalid      = "plan.invalid"
	CodePlanNotDeletable = "plan.notDeletable"
	CodePlanSubscribed   = "plan.subscribed"

	CodePlanNotSubscribable           = "plan.notSubscribable"
	CodeSubscriptionNotFound          = "subscription.notFound"
	CodeSubscriptionProcessed         = "subscription.processed"
	CodeSubscriptionClosed            = "subscription.closed"
	CodeSubscriptionNotClosed         = "subscription.notClosed"
	CodeSubscriptionNotPausable       = "subscription.notPausable"
	CodeSubscriptionNotPaused         = "subscription.notPaused"
	CodeSubscriptionNotUpdatable      = "subscription.notUpdatable"
	CodeSubscriptionConsumerStatus    = "subscription.consumerStatusNotUpdatable"
	CodeSubscriptionEntrypointMissing = "subscription.entrypoint.missing"
	CodeSubscriptionFailure           = "subscription.failure"
	CodeDataInvalid                   = "data.invalid"
)
