// Package circuitbreaker is the policy "policy-circuit-breaker" (policies.md 6.7): where publishing fails too often, or is too slow, it is
// not tried for a while, so that clients have an answer at once and the endpoint has a rest.
//
// It stands in the request phase and works where messages are published. There is one breaker per step and worker. It looks at the last windowSize
// publishes: where so many percent of them failed (a failure of status 500 or more), or took longer than slowCallDurationThreshold, it opens. Open,
// messages are refused, or go to the endpoint or group that redirectToURL names. After waitDurationInOpenState one publish is let through on
// trial, and its outcome closes the breaker or leaves it open. A client that gives up is not counted.
//
// Failure: 503 CIRCUIT_BREAKER_OPEN_STATE with the parameters failure_rate and slow_call_rate.
package circuitbreaker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-circuit-breaker.
type Config struct {
	// FailureRateThreshold is at how many percent of failures it opens, 1 to 100. Default 50.
	FailureRateThreshold float64 `json:"failureRateThreshold"`
	// SlowCallRateThreshold is at how many percent of slow publishes it opens, 1 to 100. Default 100.
	SlowCallRateThreshold float64 `json:"slowCallRateThreshold"`
	// SlowCallDurationThreshold is above which time a publish is slow, in milliseconds. Default 1000.
	SlowCallDurationThreshold int64 `json:"slowCallDurationThreshold"`
	// WindowSize is how many publishes are looked at, 1 to 10000. Default 100.
	WindowSize int `json:"windowSize"`
	// WaitDurationInOpenState is how long nothing is tried, in milliseconds. Default 1000.
	WaitDurationInOpenState int64 `json:"waitDurationInOpenState"`
	// RedirectToURL is where messages go meanwhile: the name of an endpoint or a group, such as {#endpoints['backup']}; it may hold
	// expressions. Default: they are refused.
	RedirectToURL string `json:"redirectToURL"`
}

// maxWindow bounds WindowSize, one byte each.
const maxWindow = 10_000

// Type is the catalog entry.
var Type = policies.Type{ID: "policy-circuit-breaker", Aliases: []string{"circuit-breaker"}, Name: "Circuit Breaker",
	Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config {
	return &Config{FailureRateThreshold: 50, SlowCallRateThreshold: 100, SlowCallDurationThreshold: 1000, WindowSize: 100, WaitDurationInOpenState: 1000}
}

type policy struct {
	Config
	redirect *policies.Expression // nil: none

	mu sync.Mutex
	// guards the following
	window       []outcome // the last publishes, as a ring
	next         int
	failed, slow int
	opened       time.Time // zero: closed
	trial        bool      // one publish is on trial
}

// outcome is what became of a publish.
type outcome struct{ failed, slow bool }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: *defaults()}
	problems := settings.Decode(cfg, &p.Config)
	refuse := func(bad bool, pointer, text string) {
		if bad {
			problems = append(problems, settings.Invalid(pointer, text))
		}
	}
	refuse(p.FailureRateThreshold <= 0 || p.FailureRateThreshold > 100, "/failureRateThreshold", "must be more than 0 and at most 100 percent")
	refuse(p.SlowCallRateThreshold <= 0 || p.SlowCallRateThreshold > 100, "/slowCallRateThreshold", "must be more than 0 and at most 100 percent")
	refuse(p.SlowCallDurationThreshold < 1, "/slowCallDurationThreshold", "must be 1 millisecond or more")
	refuse(p.WindowSize < 1 || p.WindowSize > maxWindow, "/windowSize", "must be 1 to 10000")
	refuse(p.WaitDurationInOpenState < 1, "/waitDurationInOpenState", "must be 1 millisecond or more")
	if strings.TrimSpace(p.RedirectToURL) != "" {
		p.redirect = policies.ParseAt(&problems, "/redirectToURL", p.RedirectToURL)
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	c.Wrap(p)
	return nil
}

// Invoke implements policies.Invoker.
func (p *policy) Invoke(ctx context.Context, c *policies.Context, m *message.Message, next policies.Next) error {
	passes, trial, refusal := p.admit(time.Now())
	if !passes {
		if p.redirect == nil {
			return refusal
		}
		target, err := p.redirect.Text(c)
		if err != nil {
			refusal.Err = err
			return refusal
		}
		name, _, _ := strings.Cut(target, ":")
		return next.Elsewhere(ctx, m, name)
	}
	counted := false
	defer func() {
		if trial && !counted {
			p.release()
		}
	}()
	begin := time.Now()
	err := next.Publish(ctx, m)
	if ctx.Err() == nil {
		counted = true
		p.saw(outcome{failed(err), time.Since(begin) > time.Duration(p.SlowCallDurationThreshold)*time.Millisecond}, trial, time.Now())
	}
	return err
}

// failed tells whether an outcome is a failure of the endpoint.
func failed(err error) bool {
	var f *message.Failure
	return err != nil && (!errors.As(err, &f) || f.Status >= fasthttp.StatusInternalServerError)
}

// admit tells whether a publish may be tried, and whether it is on trial.
func (p *policy) admit(now time.Time) (passes, trial bool, refusal *message.Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened.IsZero() {
		return true, false, nil
	}
	if !p.trial && now.Sub(p.opened) >= time.Duration(p.WaitDurationInOpenState)*time.Millisecond {
		p.trial = true
		return true, true, nil
	}
	failing, slow := p.rates()
	return false, false, &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: "CIRCUIT_BREAKER_OPEN_STATE", Message: "Service temporarily unavailable",
		Parameters: map[string]any{"failure_rate": failing, "slow_call_rate": slow}}
}

// rates are the percentages; p.mu is held.
func (p *policy) rates() (failing, slow float64) {
	n := float64(max(1, len(p.window)))
	return 100 * float64(p.failed) / n, 100 * float64(p.slow) / n
}

// release takes a trial back whose outcome is not known.
func (p *policy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trial = false
}

// saw counts an outcome.
func (p *policy) saw(o outcome, trial bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if trial {
		p.trial = false
		if o.failed || o.slow {
			p.opened = now
			return
		}
		p.opened, p.window, p.next, p.failed, p.slow = time.Time{}, p.window[:0], 0, 0, 0
	}
	if !p.opened.IsZero() {
		return // begun before it opened
	}
	p.add(o)
	if failing, slow := p.rates(); failing >= p.FailureRateThreshold || slow >= p.SlowCallRateThreshold {
		p.opened = now
	}
}

// add puts an outcome into the window; p.mu is held.
func (p *policy) add(o outcome) {
	if len(p.window) < p.WindowSize {
		p.window = append(p.window, o)
	} else {
		old := p.window[p.next]
		p.failed -= number(old.failed)
		p.slow -= number(old.slow)
		p.window[p.next] = o
		p.next = (p.next + 1) % p.WindowSize
	}
	p.failed += number(o.failed)
	p.slow += number(o.slow)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

var (
	_ policies.RequestPolicy = (*policy)(nil)
	_ policies.Invoker       = (*policy)(nil)
)
