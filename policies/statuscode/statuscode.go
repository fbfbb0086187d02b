// Package statuscode is the policy "status-code" (policies.md 3.9): it gives answers another status.
//
// It runs in the phase response. All mappings look at the status as it was, and the last that fits is taken; a status that none
// names stays. Of a stream the status of its head is changed. It never fails.
package statuscode

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of status-code.
type Config struct {
	// StatusMappings are what becomes what. Required.
	StatusMappings []Mapping `json:"statusMappings"`
}

// Mapping is what one status becomes.
type Mapping struct {
	// InputStatusCode is the status as it was: 100 to 599. Required.
	InputStatusCode int `json:"inputStatusCode"`
	// OutputStatusCode is what it becomes: 100 to 599. Required.
	OutputStatusCode int `json:"outputStatusCode"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "status-code",
	Aliases: []string{"transform-status-code"},
	Name:    "Transform Status Code",
	Phases:  policies.Response,
	Config:  &Config{},
	Compile: compile,
}

type policy struct{ becomes map[int]int }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	if len(c.StatusMappings) == 0 {
		problems = append(problems, settings.Invalid("/statusMappings", "is required: what becomes what"))
	}
	p := &policy{becomes: map[int]int{}}
	for i, m := range c.StatusMappings {
		for _, s := range []struct {
			name string
			code int
		}{{"inputStatusCode", m.InputStatusCode}, {"outputStatusCode", m.OutputStatusCode}} {
			if s.code < 100 || s.code > 599 {
				problems = append(problems, settings.Invalid(fmt.Sprintf("/statusMappings/%d/%s", i, s.name), "must be between 100 and 599"))
			}
		}
		p.becomes[m.InputStatusCode] = m.OutputStatusCode
	}
	return p, problems
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	if to, ok := p.becomes[c.Exchange.HTTP.Response.StatusCode()]; ok {
		c.Exchange.HTTP.Response.SetStatusCode(to)
	}
	return nil
}

var _ policies.ResponsePolicy = (*policy)(nil)
