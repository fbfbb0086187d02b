package apidef

var samplingTypes = &enum[string]{code: CodeValueInvalid, values: []string{"count", "probability", "temporal", "windowed-count"}}

// analyticsShape says what is recorded (spec 1.9).
var analyticsShape = &shape[Analytics]{
	name: "analytics",
	fields: []field[Analytics]{
		member("enabled", func(a *Analytics) **bool { return &a.Enabled }, optional(flag)),
		member("messageSampling", func(a *Analytics) **Sampling { return &a.MessageSampling }, optional(object(samplingShape)),
			as(Management, "sampling"), as(CRD, "sampling")),
		member("logging", func(a *Analytics) *raw { return &a.Logging }, opaque),
		member("tracing", func(a *Analytics) **Tracing { return &a.Tracing }, optional(object(tracingShape))),
	},
	carried: []string{"reporterMetricsEnabled", "otelLogs"},
}

var samplingShape = &shape[Sampling]{
	name: "sampling",
	fields: []field[Sampling]{
		member("type", func(s *Sampling) *string { return &s.Type }, oneOf(samplingTypes), required(CodeMemberMissing, "one of "+samplingTypes.choices())),
		member("value", func(s *Sampling) *string { return &s.Value }, looseText, required(CodeMemberMissing, "how often, e.g. 100 for the type count")),
	},
}

var tracingShape = &shape[Tracing]{
	name: "tracing",
	fields: []field[Tracing]{
		member("enabled", func(t *Tracing) *bool { return &t.Enabled }, flag),
		member("verbose", func(t *Tracing) *bool { return &t.Verbose }, flag),
	},
}

// failoverShape bounds retries (spec 1.8).
var failoverShape = &shape[Failover]{
	name: "failover",
	fields: []field[Failover]{
		member("enabled", func(f *Failover) *bool { return &f.Enabled }, flag),
		member("maxRetries", func(f *Failover) **int { return &f.MaxRetries }, optional(looseNumber)),
		member("slowCallDuration", func(f *Failover) **int { return &f.SlowCallDurationMS }, optional(looseNumber)),
		member("openStateDuration", func(f *Failover) **int { return &f.OpenStateDurationMS }, optional(looseNumber)),
		member("maxFailures", func(f *Failover) **int { return &f.MaxFailures }, optional(looseNumber)),
		member("perSubscription", func(f *Failover) **bool { return &f.PerSubscription }, optional(flag)),
	},
}
