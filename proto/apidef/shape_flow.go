package apidef

var flowModes = &enum[string]{code: CodeValueInvalid, values: []string{"default", "best-match"}, fallback: "default"}

var flowExecutionShape = &shape[FlowExecution]{
	name: "flowExecution",
	fields: []field[FlowExecution]{
		member("mode", func(f *FlowExecution) *string { return &f.Mode }, oneOf(flowModes)),
		member("matchRequired", func(f *FlowExecution) *bool { return &f.MatchRequired }, flag),
	},
}

// flowShape is a list of steps per phase (spec 1.10).
var flowShape = &shape[Flow]{
	name: "flow",
	fields: []field[Flow]{
		member("id", func(f *Flow) *string { return &f.ID }, text),
		member("name", func(f *Flow) *string { return &f.Name }, text),
		member("enabled", func(f *Flow) **bool { return &f.Enabled }, optional(flag)),
		member("selectors", func(f *Flow) *[]Selector { return &f.Selectors }, listOf(object(selectorShape))),
		member("request", func(f *Flow) *[]Step { return &f.Request }, steps),
		member("response", func(f *Flow) *[]Step { return &f.Response }, steps),
		member("subscribe", func(f *Flow) *[]Step { return &f.Subscribe }, steps),
		member("publish", func(f *Flow) *[]Step { return &f.Publish }, steps),
		member("connect", func(f *Flow) *[]Step { return &f.Connect }, steps),
		member("interact", func(f *Flow) *[]Step { return &f.Interact }, steps),
		member("entrypointConnect", func(f *Flow) *[]Step { return &f.EntrypointConnect }, steps),
		member("tags", func(f *Flow) *[]string { return &f.Tags }, listOf(text)),
	},
}

var steps = listOf(object(stepShape))

var (
	selectorTypes = &enum[string]{code: CodeSelectorInvalid, values: []string{"http", "channel", "condition"}}
	pathOperators = &enum[string]{code: CodeValueInvalid, values: []string{"STARTS_WITH", "EQUALS"}, fallback: "STARTS_WITH"}
	operations    = &enum[string]{code: CodeValueInvalid, values: []string{"subscribe", "publish"}}
)

// selectorShape is every kind of selector at once; which members count is checked in validate_flow.go.
var selectorShape = &shape[Selector]{
	name: "selector",
	fields: []field[Selector]{
		member("type", func(s *Selector) *string { return &s.Type }, oneOf(selectorTypes), required(CodeMemberMissing, "one of "+selectorTypes.choices())),
		member("path", func(s *Selector) *string { return &s.Path }, text),
		member("pathOperator", func(s *Selector) *string { return &s.PathOperator }, oneOf(pathOperators)),
		member("methods", func(s *Selector) *[]string { return &s.Methods }, listOf(oneOf(httpMethods))),
		member("channel", func(s *Selector) *string { return &s.Channel }, text),
		member("channelOperator", func(s *Selector) *string { return &s.ChannelOperator }, oneOf(pathOperators)),
		member("operations", func(s *Selector) *[]string { return &s.Operations }, listOf(oneOf(operations))),
		member("entrypoints", func(s *Selector) *[]string { return &s.Entrypoints }, listOf(text)),
		member("condition", func(s *Selector) *string { return &s.Condition }, text),
	},
}

var stepShape = &shape[Step]{
	name: "step",
	fields: []field[Step]{
		member("name", func(s *Step) *string { return &s.Name }, text),
		member("description", func(s *Step) *string { return &s.Description }, text),
		member("enabled", func(s *Step) **bool { return &s.Enabled }, optional(flag)),
		member("policy", func(s *Step) *string { return &s.Policy }, text),
		member("configuration", func(s *Step) *raw { return &s.Configuration }, opaque),
		member("condition", func(s *Step) *string { return &s.Condition }, text),
		member("messageCondition", func(s *Step) *string { return &s.MessageCondition }, text),
		member("failureMode", func(s *Step) *string { return &s.FailureMode }, text),
		member("sharedPolicyGroupRef", func(s *Step) *raw { return &s.SharedPolicyGroupRef }, anything),
	},
}
