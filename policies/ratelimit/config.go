package ratelimit

// Common is what the three policies have in common.
type Common struct {
	// ErrorStrategy is what happens where calls cannot be counted: FALLBACK_PASS_TROUGH (default) lets them through,
	// BLOCK_ON_INTERNAL_ERROR refuses them.
	ErrorStrategy string `json:"errorStrategy"`
	// Async lets counts reach other workers later, every 100 ms, and has them counted by the workers also where Redis counts
	// the others. Default false.
	Async bool `json:"async"`
}

// Limit is a limit.
type Limit struct {
	// Key tells counters apart beside the plan and the subscription; it may hold expressions. Default: empty.
	Key string `json:"key"`
	// UseKeyOnly leaves the plan and the subscription out of the counter, so that all who have the same key share it, also of other
	// APIs. Without Key it has no effect. Default false.
	UseKeyOnly bool `json:"useKeyOnly"`
	// Limit is how many calls a period may have. 0 (default): DynamicLimit says it.
	Limit int64 `json:"limit"`
	// DynamicLimit is a text with expressions whose value is the limit, where Limit is 0. Null is 0, which refuses every call.
	DynamicLimit string `json:"dynamicLimit"`
	// PeriodTime is how long a period is, in PeriodTimeUnit: 1 (default) or more.
	PeriodTime int64 `json:"periodTime"`
	// PeriodTimeUnit is SECONDS (default; of a quota MONTHS), MINUTES, HOURS, DAYS, WEEKS or MONTHS.
	PeriodTimeUnit string `json:"periodTimeUnit"`
	// DynamicPeriodTime is a text with expressions whose value takes the place of PeriodTime, in seconds; of a quota in hours.
	DynamicPeriodTime string `json:"dynamicPeriodTime"`
}

// Config is the configuration of rate-limit.
type Config struct {
	Common
	// AddHeaders tells clients of the limit in headers. Default false.
	AddHeaders bool `json:"addHeaders"`
	// Rate is the limit. Required.
	Rate *Limit `json:"rate"`
}

// QuotaConfig is the configuration of quota.
type QuotaConfig struct {
	Common
	// AddHeaders tells clients of the limit in headers. Default true.
	AddHeaders bool `json:"addHeaders"`
	// Quota is the limit. Required.
	Quota *Limit `json:"quota"`
}

// SpikeConfig is the configuration of spike-arrest.
type SpikeConfig struct {
	Common
	// AddHeaders tells clients of the limit in headers. Default false.
	AddHeaders bool `json:"addHeaders"`
	// Spike is the limit. Required.
	Spike *Limit `json:"spike"`
}
