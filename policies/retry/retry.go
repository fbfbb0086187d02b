// Package retry is the policy "retry" (policies.md 6.6): what could not be published is tried again.
//
// It stands in the request phase and works where messages are published: each attempt waits for the endpoint's answer at most
// timeout, and is followed by another, after delay, where the endpoint failed, did not answer in time, or the condition is true; up to
// 1 + maxRetries attempts in all. In the condition #response.status is 202 where the message was taken, else the status of the
// failure, and #response.content its text. The load balancer chooses an endpoint for each request, not for each attempt.
//
// The messages of a connection are published one after the other, so a retry keeps their order. An attempt that was not answered in time may have stored
// the message all the same: the next one may store it twice, which at-least-once and auto allow; under at-most-once and none such a message is not tried
// again. Failure: 502 without a key, or with lastResponse what the last attempt said.
package retry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of retry.
type Config struct {
	// Condition is an expression: true tries again, also where nothing failed. Required.
	Condition string `json:"condition"`
	// MaxRetries is how often it is tried again, 1 (default) to 100.
	MaxRetries int `json:"maxRetries"`
	// Delay is how long to wait between two attempts, in milliseconds, at most one minute. Default 0.
	Delay int64 `json:"delay"`
	// Timeout is how long an attempt may take, in milliseconds, at most one minute. Default 1000.
	Timeout int64 `json:"timeout"`
	// LastResponse tells clients what the last attempt said, instead of 502. Default false.
	LastResponse bool `json:"lastResponse"`
}

// Bounds of the settings. They are ours: a client waits while it is tried again.
const (
	maxRetries = 100
	maxWaitMS  = 60_000
)

// Type is the catalog entry.
var Type = policies.Type{ID: "retry", Name: "Retry", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config { return &Config{MaxRetries: 1, Timeout: 1000} }

type policy struct {
	Config
	condition *policies.Expression
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: *defaults()}
	problems := settings.Decode(cfg, &p.Config)
	if strings.TrimSpace(p.Condition) == "" {
		problems = append(problems, settings.Invalid("/condition", "is required: an expression, such as {#response.status >= 500}"))
	} else {
		p.condition = policies.ParseAt(&problems, "/condition", p.Condition)
	}
	if p.MaxRetries == 0 {
		p.MaxRetries = 1
	}
	if p.Timeout == 0 {
		p.Timeout = 1000
	}
	if p.MaxRetries < 0 || p.MaxRetries > maxRetries {
		problems = append(problems, settings.Invalid("/maxRetries", "must be 1 to 100"))
	}
	if p.Delay < 0 || p.Delay > maxWaitMS {
		problems = append(problems, settings.Invalid("/delay", "must be 0 to 60000 milliseconds"))
	}
	if p.Timeout < 0 || p.Timeout > maxWaitMS {
		problems = append(problems, settings.Invalid("/timeout", "must be 1 to 60000 milliseconds"))
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
	endpoint, routed := c.Exchange.Attribute("request.endpoint")
	for left := p.MaxRetries; ; left-- {
		if routed {
			c.Exchange.SetAttribute("request.endpoint", endpoint) // what is within may have chosen another
		}
		err := p.attempt(ctx, m, next)
		again := err != nil && !p.final(c, err) || p.asks(c, err)
		switch {
		case !again || ctx.Err() != nil:
			return err
		case left == 0 && p.LastResponse:
			return err
		case left == 0:
			return &message.Failure{Status: fasthttp.StatusBadGateway, Err: err}
		}
		if pause(ctx, time.Duration(p.Delay)*time.Millisecond) != nil {
			return err
		}
	}
}

func (p *policy) attempt(ctx context.Context, m *message.Message, next policies.Next) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.Timeout)*time.Millisecond)
	defer cancel()
	return next.Publish(ctx, m)
}

// final tells whether a failure must not be followed by another attempt: a message that may be stored already, under a level that
// does not allow it twice.
func (p *policy) final(c *policies.Context, err error) bool {
	var f *message.Failure
	return errors.As(err, &f) && f.Unknown && c.Exchange.QoS != qos.Auto && c.Exchange.QoS != qos.AtLeastOnce
}

// asks evaluates the condition. One without a value asks for nothing.
func (p *policy) asks(c *policies.Context, err error) bool {
	if p.final(c, err) {
		return false
	}
	c.Provide("response", el.OfMembers(outcome{err}))
	defer c.Provide("response", el.Value{})
	again, evaluated := p.condition.Bool(c)
	return evaluated == nil && again
}

// outcome is #response of an attempt.
type outcome struct{ err error }

// Member implements el.Members.
func (o outcome) Member(name string) (el.Value, bool) {
	f := &message.Failure{Status: fasthttp.StatusAccepted}
	if o.err != nil && !errors.As(o.err, &f) {
		f = &message.Failure{Status: fasthttp.StatusInternalServerError, Message: o.err.Error()}
	}
	switch name {
	case "status":
		return el.OfInt(int64(f.Status)), true
	case "reason":
		return el.OfText(fasthttp.StatusMessage(f.Status)), true
	case "content":
		return el.OfText(f.Message), true
	}
	return el.Value{}, false
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var (
	_ policies.RequestPolicy = (*policy)(nil)
	_ policies.Invoker       = (*policy)(nil)
)
