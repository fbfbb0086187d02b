// Package latency is the policy "latency" (policies.md 4.2): it makes requests, or messages one after the other, wait.
//
// Messages keep their order, so that one second of latency is at most one message per second, for each subscriber. A
// wait ends early, and with a failure, when the client goes or the request's time is over.
package latency

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of latency.
type Config struct {
	// Time is how long to wait, in TimeUnit. Default 100.
	Time int64 `json:"time"`
	// TimeUnit is MILLISECONDS (default) or SECONDS.
	TimeUnit string `json:"timeUnit"`
}

// maxWait bounds one wait. It is ours: what waits longer is stuck.
const maxWait = time.Hour

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "latency",
	Name:    "Latency",
	Phases:  policies.Request | policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config { return &Config{Time: 100, TimeUnit: "MILLISECONDS"} }

type policy struct{ wait time.Duration }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	unit := time.Millisecond
	switch c.TimeUnit {
	case "MILLISECONDS":
	case "SECONDS":
		unit = time.Second
	default:
		problems = append(problems, settings.Invalid("/timeUnit", "must be MILLISECONDS or SECONDS"))
	}
	if c.Time < 0 || c.Time > int64(maxWait/unit) {
		problems = append(problems, settings.Invalid("/time", "must be 0 or more, and one hour at most"))
	}
	return &policy{wait: time.Duration(c.Time) * unit}, problems
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	return policies.Traits{Shared: true, Filter: true, Blocks: p.wait > 0}
}

func (p *policy) pause(ctx context.Context) error {
	if p.wait == 0 {
		return nil
	}
	t := time.NewTimer(p.wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, _ *policies.Context) error { return p.pause(ctx) }

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(ctx context.Context, _ *policies.Context, _ *message.Message) error {
	return p.pause(ctx)
}

var (
	_ policies.RequestPolicy = (*policy)(nil)
	_ policies.MessagePolicy = (*policy)(nil)
	_ policies.Traited       = (*policy)(nil)
)
