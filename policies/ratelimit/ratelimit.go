// Package ratelimit is the policies "rate-limit", "quota" and "spike-arrest" (policies.md 2): of the calls that share a counter,
// so many are let through in each period, and the rest is answered with 429.
//
// They stand in the request phase, and count connections and requests, never messages. A period is a window of fixed length that
// begins with the first call; refused calls count too. rate-limit is for seconds and minutes, quota for hours to months (of the calendar, in
// the worker's time zone), and spike-arrest spreads its limit over slices of at least 100 ms: 10 a second are one per 100 ms, 1,000 are
// 100 per 100 ms.
//
// The counter is of the plan and the subscription (of a keyless plan: the client's address), and of the key where there is one. Two steps
// of one policy in an API share it unless their keys differ. A changed limit counts at once, a changed period from the next
// window.
//
// On one worker counting is exact. Workers that serve the same API exchange their counts, or count in Redis (flag --rates-redis) exactly.
// With the exchange up to N·(q−1) + R·t calls more than the limit are let through in a window, for N workers, R calls per second of that
// counter to all of them, q = max(1, ⌊limit/(20·N)⌋) and t, the time that a count takes from one worker to the others, a few milliseconds
// (metric sluice_rates_behind_seconds): package policies/rates derives it. A worker that restarts learns the counts from
// the others; where all restart at once they begin anew, except in Redis.
//
// Failures: 429 RATE_LIMIT_TOO_MANY_REQUESTS, QUOTA_TOO_MANY_REQUESTS or SPIKE_ARREST_TOO_MANY_REQUESTS; where calls cannot be counted
// (Redis is away; a worker's million windows are full) they pass, or are refused with 429 and a key that ends in
// BLOCK_ON_INTERNAL_ERROR; an expression without a value is a 500 with a key that ends in SERVER_ERROR.
package ratelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Type is the catalog entry of rate-limit.
var Type = policies.Type{ID: "rate-limit", Name: "Rate Limit", Phases: policies.Request, Config: &Config{Rate: defaults(rateLimit)},
	Compile: func(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
		var c Config
		problems := settings.Decode(cfg, &c)
		return compile(rateLimit, cfg, c.Common, c.AddHeaders, env, problems)
	}}

// Quota is the catalog entry of quota.
var Quota = policies.Type{ID: "quota", Name: "Quota", Phases: policies.Request, Config: &QuotaConfig{AddHeaders: true, Quota: defaults(quota)},
	Compile: func(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
		c := QuotaConfig{AddHeaders: true}
		problems := settings.Decode(cfg, &c)
		return compile(quota, cfg, c.Common, c.AddHeaders, env, problems)
	}}

// SpikeArrest is the catalog entry of spike-arrest.
var SpikeArrest = policies.Type{ID: "spike-arrest", Name: "Spike Arrest", Phases: policies.Request, Config: &SpikeConfig{Spike: defaults(spike)},
	Compile: func(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
		var c SpikeConfig
		problems := settings.Decode(cfg, &c)
		return compile(spike, cfg, c.Common, c.AddHeaders, env, problems)
	}}

// kind is what tells the three apart.
type kind struct {
	field       string // of the limit in the configuration
	suffix      string // of the counter
	key         string // what the keys of failures begin with
	header      string // what headers begin with
	exceeded    string
	blocked     string
	noService   string
	unit        string // default
	dynamicUnit rates.Unit
	calendar    bool
}

var (
	rateLimit = &kind{"rate", "rl", "RATE_LIMIT", "X-Rate-Limit", "Rate limit exceeded! You reached the limit of %d requests per %d %s",
		"Rate limit blocked the query due to internal error", "No rate-limit service has been installed", "SECONDS", rates.Seconds, false}
	quota = &kind{"quota", "q", "QUOTA", "X-Quota", "Quota exceeded! You reached the limit of %d requests per %d %s",
		"Quota blocked the query due to internal error", "No rate-limit service has been installed.", "MONTHS", rates.Hours, true}
	spike = &kind{"spike", "sa", "SPIKE_ARREST", "X-Spike-Arrest", "Spike limit exceeded! You reached the limit of %d requests per %d ms.",
		"Spike arrest blocked the query due to internal error", "No rate-limit service has been installed.", "SECONDS", rates.Seconds, false}
)

// units by their names. Those that the reference's forms do not offer for a policy are taken too, as its older versions did.
var units = map[string]rates.Unit{"MILLISECONDS": rates.Milliseconds, "SECONDS": rates.Seconds, "MINUTES": rates.Minutes, "HOURS": rates.Hours,
	"DAYS": rates.Days, "WEEKS": rates.Weeks, "MONTHS": rates.Months}

// maxPeriod bounds PeriodTime. A hundred years of months; what is longer is no limit.
const maxPeriod = 1_000_000

func defaults(k *kind) *Limit { return &Limit{PeriodTime: 1, PeriodTimeUnit: k.unit} }

type policy struct {
	*kind
	env       policies.Env
	limit     *Limit
	period    rates.Period
	key       *policies.Expression // nil: none
	dynLimit  *policies.Expression
	dynPeriod *policies.Expression
	headers   bool
	blocks    bool
	async     bool
	log       *slog.Logger
	failed    atomic.Uint64
}

func compile(k *kind, cfg json.RawMessage, common Common, headers bool, env policies.Env, problems apidef.Problems) (any, apidef.Problems) {
	p := &policy{kind: k, env: env, headers: headers, async: common.Async, log: env.Log}
	at := "/" + k.field
	var outer map[string]json.RawMessage
	_ = json.Unmarshal(cfg, &outer) // what is wrong with it was told
	p.limit = defaults(k)
	if raw := outer[k.field]; raw == nil || string(raw) == "null" {
		problems = append(problems, settings.Invalid(at, "is required: the limit"))
	} else {
		settings.Decode(raw, p.limit) // told too
	}
	switch common.ErrorStrategy {
	case "", "FALLBACK_PASS_TROUGH", "FALLBACK_PASS_THROUGH":
	case "BLOCK_ON_INTERNAL_ERROR":
		p.blocks = true
	default:
		problems = append(problems, settings.Invalid("/errorStrategy", "must be FALLBACK_PASS_TROUGH or BLOCK_ON_INTERNAL_ERROR"))
	}
	unit, known := units[strings.ToUpper(p.limit.PeriodTimeUnit)]
	if !known {
		problems = append(problems, settings.Invalid(at+"/periodTimeUnit", "must be one of: SECONDS, MINUTES, HOURS, DAYS, WEEKS, MONTHS"))
	}
	if p.limit.PeriodTime < 1 || p.limit.PeriodTime > maxPeriod {
		problems = append(problems, settings.Invalid(at+"/periodTime", fmt.Sprintf("must be 1 to %d", maxPeriod)))
	}
	if p.limit.Limit < 0 {
		problems = append(problems, settings.Invalid(at+"/limit", "must be 0 or more"))
	}
	p.period = rates.Period{N: p.limit.PeriodTime, Unit: unit, Calendar: k.calendar}
	for _, e := range []struct {
		name, text string
		into       **policies.Expression
	}{{"key", p.limit.Key, &p.key}, {"dynamicLimit", p.limit.DynamicLimit, &p.dynLimit}, {"dynamicPeriodTime", p.limit.DynamicPeriodTime, &p.dynPeriod}} {
		if strings.TrimSpace(e.text) != "" {
			*e.into = policies.ParseAt(&problems, at+"/"+e.name, e.text)
		}
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	if t := policies.TrialOf(ctx); t != nil {
		t.Note("count the call")
		return nil
	}
	if p.env.Rates == nil {
		return p.failure(fasthttp.StatusInternalServerError, "_SERVER_ERROR", p.noService, nil)
	}
	limit, period, key, err := p.settle(c)
	if err != nil {
		return p.failure(fasthttp.StatusInternalServerError, "_SERVER_ERROR", "Unknown error", err)
	}
	effective := period
	slice := limit
	if p.kind == spike {
		slice, effective = slices(limit, period)
	}
	n, err := p.env.Rates.Hit(ctx, rates.Call{Key: rates.KeyOf(key), Limit: slice, Period: effective, Lazy: p.async})
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return p.uncounted(c, slice, effective, err)
	}
	p.tell(c, slice, max(0, slice-n.Calls), n.Reset.UnixMilli(), effective)
	if n.Calls > slice {
		return p.refused(limit, slice, period, effective)
	}
	return nil
}

// settle evaluates what is not fixed: the limit, the period and the text of the counter.
func (p *policy) settle(c *policies.Context) (limit int64, period rates.Period, key []byte, err error) {
	if limit = p.limit.Limit; limit == 0 && p.dynLimit != nil {
		if limit, err = number(p.dynLimit, c); err != nil {
			return 0, period, nil, fmt.Errorf("dynamicLimit: %w", err)
		}
	}
	period = p.period
	if p.dynPeriod != nil {
		n, err := number(p.dynPeriod, c)
		if err != nil || n < 1 || n > maxPeriod {
			return 0, period, nil, fmt.Errorf("dynamicPeriodTime: %d is not 1 to %d (%w)", n, maxPeriod, err)
		}
		period = rates.Period{N: n, Unit: p.dynamicUnit, Calendar: p.calendar}
	}
	own := ""
	if p.key != nil {
		if own, err = p.key.Text(c); err != nil {
			return 0, period, nil, fmt.Errorf("key: %w", err)
		}
	}
	return max(0, limit), period, p.counter(c, own), nil
}

// number is a value as a whole number; null is 0.
func number(e *policies.Expression, c *policies.Context) (int64, error) {
	text, ok, err := e.TextOrNull(c)
	text = strings.TrimSpace(text)
	if err != nil || !ok || text == "" {
		return 0, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(f) > math.MaxInt32*float64(1000) {
		return 0, fmt.Errorf("%q is no number that can be used", text)
	}
	return int64(f), nil
}

// counter is the text that tells counters apart (policies.md 2.2).
func (p *policy) counter(c *policies.Context, own string) []byte {
	x := c.Exchange
	dst := make([]byte, 0, 128)
	if p.limit.UseKeyOnly && own != "" {
		return append(append(append(dst, own...), ':'), p.suffix...)
	}
	if plan, ok := x.Attribute("plan"); ok {
		dst = fmt.Append(dst, plan)
		if subscription, ok := x.Attribute("user-id"); ok {
			dst = fmt.Append(dst, subscription)
		}
	} else if client, ok := x.Attribute("oauth.client_id"); ok {
		dst = fmt.Append(dst, client)
	} else {
		dst = append(dst, x.API.ID...)
	}
	if strings.TrimSpace(own) != "" {
		dst = append(append(dst, ':'), own...)
	}
	return append(append(dst, ':'), p.suffix...)
}

// slices spreads a limit over slices of at least 100 ms (policies.md 2.7).
func slices(limit int64, period rates.Period) (int64, rates.Period) {
	const least = 100 // milliseconds
	if limit == 0 {
		return 0, period
	}
	each := float64(period.Length().Milliseconds()) / float64(limit)
	if each >= least {
		return 1, rates.Period{N: int64(each), Unit: rates.Milliseconds}
	}
	n := math.Round(least / each)
	return int64(n), rates.Period{N: max(1, int64(each*n)), Unit: rates.Milliseconds}
}

// tell tells the client, and of a quota later steps.
func (p *policy) tell(c *policies.Context, limit, remaining, reset int64, period rates.Period) {
	x := c.Exchange
	if p.kind == quota {
		static := p.limit.Limit
		if reset < 0 {
			static = limit
		}
		x.SetAttribute("quota.count", limit-remaining)
		x.SetAttribute("quota.remaining", remaining)
		x.SetAttribute("quota.limit", static)
		x.SetAttribute("quota.reset.time", reset)
	}
	if !p.headers || x.HTTP == nil {
		return
	}
	h := &x.HTTP.Response.Header
	h.Set(p.header+"-Limit", strconv.FormatInt(limit, 10))
	h.Set(p.header+"-Reset", strconv.FormatInt(reset, 10))
	if p.kind == spike {
		h.Set(p.header+"-Slice-Period", strconv.FormatInt(period.Length().Milliseconds(), 10)+"ms")
		return
	}
	h.Set(p.header+"-Remaining", strconv.FormatInt(remaining, 10))
}

// uncounted is what becomes of a call that could not be counted.
func (p *policy) uncounted(c *policies.Context, limit int64, period rates.Period, err error) error {
	p.tell(c, limit, limit, -1, period)
	if p.blocks {
		return p.failure(fasthttp.StatusTooManyRequests, "_BLOCK_ON_INTERNAL_ERROR", p.blocked, err)
	}
	if n := p.failed.Add(1); n&(n-1) == 0 {
		p.log.Warn("limit is not applied", "key", p.kind.key+"_NOT_APPLIED", "err", err, "count", n)
	}
	return nil
}

func (p *policy) refused(limit, slice int64, period, effective rates.Period) error {
	unit := unitName(period.Unit)
	out := p.failure(fasthttp.StatusTooManyRequests, "_TOO_MANY_REQUESTS", "", nil)
	switch p.kind {
	case spike:
		ms := effective.Length().Milliseconds()
		out.Message = fmt.Sprintf(p.exceeded, slice, ms)
		out.Parameters = map[string]any{"slice_limit": slice, "slice_period_time": ms, "slice_period_unit": "MILLISECONDS",
			"limit": limit, "period_time": period.N, "period_unit": unit}
	case quota:
		out.Message = fmt.Sprintf(p.exceeded, limit, period.N, unit[:1]+strings.ToLower(unit[1:]))
		out.Parameters = map[string]any{"limit": limit, "period_time": period.N, "period_unit": unit[:1] + strings.ToLower(unit[1:])}
	default:
		out.Message = fmt.Sprintf(p.exceeded, limit, period.N, strings.ToLower(unit))
		out.Parameters = map[string]any{"limit": limit, "period_time": period.N, "period_unit": strings.ToLower(unit)}
	}
	return out
}

func unitName(u rates.Unit) string {
	for name, unit := range units {
		if unit == u {
			return name
		}
	}
	return ""
}

func (p *policy) failure(status int, suffix, text string, err error) *message.Failure {
	return &message.Failure{Status: status, Key: p.kind.key + suffix, Message: text, Err: err}
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits { return policies.Traits{Blocks: true} }

var (
	_ policies.RequestPolicy = (*policy)(nil)
	_ policies.Traited       = (*policy)(nil)
)
