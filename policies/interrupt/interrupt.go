// Package interrupt is the policy "policy-interrupt" (policies.md 6.9): it ends an exchange with a failure, which a response
// template may render.
//
// The failure has the configured key and text and the status 500; a template for its key gives it another status. In the request
// phase nothing reaches the endpoint; in the response phase what was published is stored, and only the client is told
// otherwise. A step usually has a condition. A text that cannot be evaluated is told as it is written. Variables of the reference have
// no effect.
package interrupt

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-interrupt. The status is 500 unless a response template says another.
type Config struct {
	// ErrorKey is the key of the failure, which selects the response template. Required.
	ErrorKey string `json:"errorKey"`
	// Message is what the client is told where there is no template. Required.
	Message string `json:"message"`
	// Scope is REQUEST, REQUEST_CONTENT, RESPONSE or RESPONSE_CONTENT: in the other phase the step does nothing. Absent: both.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "policy-interrupt",
	Aliases: []string{"interrupt"},
	Name:    "Interrupt",
	Phases:  policies.Request | policies.Response,
	Config:  &Config{},
	Compile: compile,
}

type policy struct {
	config Config
	text   *policies.Expression
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{}
	problems := settings.Decode(cfg, &p.config)
	if strings.TrimSpace(p.config.ErrorKey) == "" {
		problems = append(problems, settings.Invalid("/errorKey", "is required: the key of the failure"))
	}
	if strings.TrimSpace(p.config.Message) == "" {
		problems = append(problems, settings.Invalid("/message", "is required: what the client is told"))
	}
	switch p.config.Scope {
	case "", "REQUEST", "REQUEST_CONTENT", "RESPONSE", "RESPONSE_CONTENT":
	default:
		problems = append(problems, settings.Invalid("/scope", "must be one of: REQUEST, REQUEST_CONTENT, RESPONSE, RESPONSE_CONTENT"))
	}
	var err error
	if p.text, err = policies.ParseExpression(p.config.Message); err != nil {
		problems = append(problems, settings.Invalid("/message", err.Error()))
	}
	return p, problems
}

// in tells whether the scope is of a phase, which its values begin with.
func (p *policy) in(phase string) bool {
	return p.config.Scope == "" || strings.HasPrefix(p.config.Scope, phase)
}

func (p *policy) end(c *policies.Context) error {
	text, err := p.text.Text(c)
	if err != nil {
		text = p.config.Message
	}
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: p.config.ErrorKey, Message: text}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if !p.in("REQUEST") {
		return nil
	}
	return p.end(c)
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	if !p.in("RESPONSE") {
		return nil
	}
	return p.end(c)
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
)
