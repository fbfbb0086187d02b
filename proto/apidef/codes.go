package apidef

// Technical codes of the problems that this package reports. Their meaning never changes. Those of the first block
// are Sluice's own; the others are the ones that clients of such a management API already know (spec 8.2).
const (
	CodeMalformed       = "definition.malformed"         // the text is neither JSON nor YAML
	CodeLimit           = "definition.limit"             // too large, too deep or too many values
	CodeMemberDuplicate = "definition.member.duplicated" // one member twice, or under two of its names
	CodeMemberType      = "definition.member.type"       // a text where a number is wanted, and the like
	CodeMemberMissing   = "definition.member.missing"    // a required member is absent or empty
	CodeMemberUnknown   = "definition.member.unknown"    // warning: no dialect has it
	CodeMemberRenamed   = "definition.member.renamed"    // warning: an old name, or another dialect's
	CodeMemberIgnored   = "definition.member.ignored"    // warning: has no effect where it stands
	CodeValueInvalid    = "definition.value.invalid"     // not one of the known values, or out of bounds
	CodeValueDefaulted  = "definition.value.defaulted"   // warning: an unknown value was read as the default
	CodeKindUnsupported = "definition.kind.unsupported"  // a manifest of another kind
	CodeTypeUnsupported = "api.type.unsupported"         // a type of API that Sluice does not serve

	CodeListenerUnsupported = "api.listeners.type.unsupported" // listener and API types do not go together
	CodeListenerHosts       = "listeners.hosts.missing"
	CodeListenerHost        = "listeners.hosts.invalid"
	CodeListenerHostTwice   = "listeners.hosts.duplicated"
	CodeListenerHostExists  = "listeners.hosts.exists" // another API has it
	CodePathDuplicate       = "path.duplicated"
	CodeCORSInvalid         = "listeners.http.cors.invalid"
	CodeResponseTemplate    = "api.responseTemplates.invalid"
	CodeFailoverInvalid     = "api.failover.invalid"
	CodeNativeUnsupported   = "api.native.unsupported" // a native API has none of this (spec 9.8)
	CodePolicyUnknown       = "flow.step.policy.unknown"
	CodeFlowPhase           = "flow.phase.invalid" // steps in a phase that this type of API does not have
)

const (
	CodeVersionUnsupported    = "api.definitionVersionNotSupported"
	CodePathsMissing          = "listeners.http.paths.missing"
	CodePathExists            = "api.listener.paths.path.exists"
	CodePathInvalid           = "path.invalid"
	CodePathHostInvalid       = "path.host.invalid"
	CodeListenerDuplicate     = "api.listeners.type.duplicated"
	CodeEntrypointsMissing    = "listeners.entrypoints.missing"
	CodeEntrypointTypeMissing = "listeners.entrypoints.type.missing"
	CodeEntrypointDuplicate   = "api.listeners.entrypoints.type.duplicated"
	CodeEntrypointUnsupported = "listeners.entrypoints.type.unsupported"
	CodeQoSInvalid            = "listeners.entrypoints.qos.invalid"
	CodeQoSUnsupported        = "listeners.entrypoints.qos.unsupported"
	CodeDLQInvalid            = "listeners.entrypoints.dlq.invalid"
	CodeDLQUnsupported        = "listeners.entrypoints.dlq.unsupported"
	CodeEndpointMissing       = "endpoint.missing"
	CodeGroupTypeInvalid      = "api.endpointsGroup.type.invalid"
	CodeGroupNameExists       = "api.endpointsGroup.name.exists"
	CodeEndpointTypeInvalid   = "api.endpointsGroup.endpoint.type.invalid"
	CodeEndpointNameExists    = "api.endpointsGroup.endpoint.name.exists"
	CodeEndpointInvalid       = "api.endpoint.invalid"
	CodeSelectorDuplicate     = "flow.selectors.type.duplicated"
	CodeSelectorInvalid       = "flow.selectors.type.invalid"
	CodeSelectorEntrypoint    = "flow.selectors.entrypoints.invalid"
	CodeAnalyticsIncompatible = "analytics.incompatible"
	CodeSamplingInvalid       = "analytics.messageSampling.value.invalid"
	CodeLoggingIncompatible   = "logging.incompatible"
	CodeLoggingInvalid        = "logging.invalid"
	CodePlanInvalid           = "plan.invalid"
	CodeTagNotAllowed         = "tag.notAllowed"
)
