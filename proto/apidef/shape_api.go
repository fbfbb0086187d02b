package apidef

import "strings"

var apiTypes = &enum[Type]{
	code:   CodeTypeUnsupported,
	values: []Type{TypeMessage, TypeProxy, TypeNative},
	also:   map[string]Type{"async": TypeMessage, "sync": TypeProxy},
	// What the reference has besides (addenda 0.2-b).
	foreign: []string{"llm-proxy", "mcp-proxy", "a2a-proxy", "edge", "authz"},
}

var (
	apiStates       = &enum[string]{code: CodeValueInvalid, values: []string{"STARTED", "STOPPED"}, also: map[string]string{"initialized": "STOPPED", "closed": "STOPPED", "stopping": "STOPPED"}}
	lifecycleStates = &enum[string]{code: CodeValueInvalid, values: []string{"CREATED", "PUBLISHED", "UNPUBLISHED", "DEPRECATED", "ARCHIVED"}}
	visibilities    = &enum[string]{code: CodeValueInvalid, values: []string{"PUBLIC", "PRIVATE"}}
)

// apiShape is the definition (spec 1.2).
var apiShape = &shape[API]{
	name: "api",
	fields: []field[API]{
		member("id", func(a *API) *string { return &a.ID }, text),
		member("crossId", func(a *API) *string { return &a.CrossID }, text),
		member("name", func(a *API) *string { return &a.Name }, text, required(CodeMemberMissing, "what people call the API")),
		member("description", func(a *API) *string { return &a.Description }, text),
		member("type", func(a *API) *Type { return &a.Type }, oneOf(apiTypes), required(CodeMemberMissing, "one of "+apiTypes.choices())),
		member("apiVersion", func(a *API) *string { return &a.APIVersion }, looseText, as(CRD, "version"), required(CodeMemberMissing, `the version of the API, e.g. "1.0"`)),
		member("definitionVersion", func(a *API) *string { return &a.DefinitionVersion }, definitionVersion, formerly("gravitee")),
		member("tags", func(a *API) *[]string { return &a.Tags }, listOf(text)),
		member("listeners", func(a *API) *[]Listener { return &a.Listeners }, listOf(object(listenerShape)), required(CodeMemberMissing, "a listener is a way in to the API")),
		member("endpointGroups", func(a *API) *[]EndpointGroup { return &a.EndpointGroups }, listOf(object(groupShape)), required(CodeEndpointMissing, "an endpoint group is where the API leads to")),
		member("properties", func(a *API) *[]Property { return &a.Properties }, listOf(object(propertyShape))),
		member("resources", func(a *API) *[]Resource { return &a.Resources }, listOf(object(resourceShape))),
		member("plans", func(a *API) *[]Plan { return &a.Plans }, plans),
		member("flowExecution", func(a *API) **FlowExecution { return &a.FlowExecution }, optional(object(flowExecutionShape))),
		flowMode,
		member("flows", func(a *API) *[]Flow { return &a.Flows }, listOf(object(flowShape))),
		member("responseTemplates", func(a *API) *map[string]map[string]ResponseTemplate { return &a.ResponseTemplates }, mapOf(mapOf(object(responseTemplateShape)))),
		member("services", func(a *API) **APIServices { return &a.Services }, optional(object(apiServicesShape))),
		member("analytics", func(a *API) **Analytics { return &a.Analytics }, optional(object(analyticsShape))),
		member("failover", func(a *API) **Failover { return &a.Failover }, optional(object(failoverShape))),
		member("state", func(a *API) *string { return &a.State }, oneOf(apiStates)),
		member("lifecycleState", func(a *API) *string { return &a.LifecycleState }, oneOf(lifecycleStates)),
		member("visibility", func(a *API) *string { return &a.Visibility }, oneOf(visibilities)),
		member("labels", func(a *API) *[]string { return &a.Labels }, listOf(text)),
		member("categories", func(a *API) *[]string { return &a.Categories }, listOf(text)),
		member("groups", func(a *API) *[]string { return &a.Groups }, listOf(text)),
		member("definitionContext", func(a *API) *raw { return &a.DefinitionContext }, anything),
		member("metadata", func(a *API) *raw { return &a.Metadata }, anything),
		member("members", func(a *API) *raw { return &a.Members }, anything),
		member("pages", func(a *API) *raw { return &a.Pages }, anything),
	},
	// Members of the REST and CRD dialects (spec 1.2, 8.3, 9.2) and of an export that no process here reads.
	carried: []string{
		"contextRef", "groupRefs", "notifyMembers", "notificationsRefs", "consoleNotificationConfiguration", "portalNavigation",
		"allowedInApiProducts", "allowMultiJwtOauth2Subscriptions", "picture", "pictureUrl", "background", "backgroundUrl",
		"disableMembershipNotifications", "createdAt", "updatedAt", "deployedAt", "primaryOwner", "workflowState",
		"deploymentState", "originContext", "hrid", "environmentId", "organizationId", "links", "_links",
		"export", "apiMedia", "apiPicture", "apiBackground",
	},
	settle: func(_ *reader, _ *node, _ place, a *API) {
		if a.DefinitionVersion == "" {
			a.DefinitionVersion = definitionV4
		}
	},
}

// definitionV4 is the only definition version served, in the normal form.
const definitionV4 = "4.0.0"

const unsupportedVersion = "%s is not supported; Sluice serves V4 definitions: V4 or 4.0.0"

// isV4 tells whether a definition version is one of V4, however it is written. Older formats are another language, not
// another spelling.
func isV4(version string) bool {
	version = strings.TrimPrefix(strings.ToLower(version), "v")
	return version == "4" || strings.HasPrefix(version, "4.")
}

// definitionVersion reads every spelling of V4 as one. What is not V4 was refused before the definition is read.
var definitionVersion = codec[string]{
	empty: isZero[string],
	read: func(r *reader, n *node, at place) string {
		if isV4(looseText.read(r, n, at)) {
			return definitionV4
		}
		return ""
	},
	write: func(w *writer, _ string, v string) *node {
		if w.dialect != Gateway && v == definitionV4 {
			v = "V4"
		}
		return textNode(v)
	},
	check: func(c *checker, at string, v string) {
		if v != definitionV4 {
			c.fail(at, CodeVersionUnsupported, unsupportedVersion, v)
		}
	},
	schema: func(map[string]any) map[string]any { return map[string]any{"enum": []string{definitionV4, "V4"}} },
}

// flowMode is what 3.20 called flowExecution.mode. It stands after flowExecution in the table, which goes before it.
var flowMode = field[API]{
	naming: naming{name: "flowMode"},
	read: func(r *reader, n *node, at place, a *API) {
		r.warn(at, CodeMemberRenamed, "is called flowExecution.mode now")
		mode := oneOf(flowModes).read(r, n, at)
		if a.FlowExecution == nil {
			a.FlowExecution = &FlowExecution{}
			r.origins["/flowExecution"] = at.from
		}
		if a.FlowExecution.Mode == "" {
			a.FlowExecution.Mode = mode
			r.origins["/flowExecution/mode"] = at.from
		}
	},
	write:  func(*writer, string, *API) *node { return nil },
	check:  func(*checker, string, *API) {},
	schema: oneOf(flowModes).schema,
}

var propertyShape = &shape[Property]{
	name: "property",
	fields: []field[Property]{
		member("key", func(p *Property) *string { return &p.Key }, text, required(CodeMemberMissing, "policies find the property by it")),
		member("value", func(p *Property) *string { return &p.Value }, looseText),
		member("encrypted", func(p *Property) *bool { return &p.Encrypted }, flag),
		member("encryptable", func(p *Property) *bool { return &p.Encryptable }, flag),
		member("dynamic", func(p *Property) *bool { return &p.Dynamic }, flag),
	},
}

var resourceShape = &shape[Resource]{
	name: "resource",
	fields: []field[Resource]{
		member("name", func(o *Resource) *string { return &o.Name }, text),
		member("type", func(o *Resource) *string { return &o.Type }, text),
		member("enabled", func(o *Resource) **bool { return &o.Enabled }, optional(flag)),
		member("configuration", func(o *Resource) *raw { return &o.Configuration }, opaque),
		member("ref", func(o *Resource) *raw { return &o.Ref }, anything),
	},
}

var responseTemplateShape = &shape[ResponseTemplate]{
	name: "responseTemplate",
	fields: []field[ResponseTemplate]{
		member("status", func(t *ResponseTemplate) *int { return &t.Status }, looseNumber, as(Management, "statusCode")),
		member("headers", func(t *ResponseTemplate) *map[string]string { return &t.Headers }, mapOf(looseText)),
		member("body", func(t *ResponseTemplate) *string { return &t.Body }, text),
		member("propagateErrorKeyToLogs", func(t *ResponseTemplate) *bool { return &t.PropagateErrorKeyToLogs }, flag),
	},
}

var apiServicesShape = &shape[APIServices]{
	name: "apiServices",
	fields: []field[APIServices]{
		member("dynamicProperty", func(s *APIServices) **Service { return &s.DynamicProperty }, optional(object(serviceShape))),
	},
}

var serviceShape = &shape[Service]{
	name: "service",
	fields: []field[Service]{
		member("enabled", func(s *Service) **bool { return &s.Enabled }, optional(flag)),
		member("overrideConfiguration", func(s *Service) *bool { return &s.OverrideConfiguration }, flag),
		member("type", func(s *Service) *string { return &s.Type }, text),
		member("configuration", func(s *Service) *raw { return &s.Configuration }, opaque),
	},
}
