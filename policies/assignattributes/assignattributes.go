// Package assignattributes is the policy "policy-assign-attributes" (policies.md 3.2): it sets attributes of exchanges and
// messages.
//
// In request and response attributes are set on the exchange, one after the other, so that later ones see earlier ones; in
// publish and subscribe on the message, where connectors find theirs, such as kafka.recordKey. A value that is exactly one
// expression keeps its type. It fails nothing: an expression that has no value, or cannot be evaluated, sets nothing, and the
// latter is logged.
package assignattributes

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Attribute is an attribute to set.
type Attribute struct {
	// Name is taken as it is, without a prefix. Required.
	Name string `json:"name"`
	// Value may hold expressions. Exactly one keeps its type; null sets nothing. Required.
	Value *string `json:"value"`
}

// Config is the configuration of policy-assign-attributes.
type Config struct {
	// Attributes are set in order: on an exchange, later ones see earlier ones.
	Attributes []Attribute `json:"attributes"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "policy-assign-attributes",
	Aliases: []string{"assign-attributes"},
	Name:    "Assign Attributes",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

type entry struct {
	name  string
	value *policies.Expression
}

type policy struct {
	entries []entry
	uses    policies.Uses
	log     *slog.Logger
	failed  atomic.Uint64
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{log: env.Log}
	for i, a := range c.Attributes {
		if a.Value == nil || strings.TrimSpace(a.Name) == "" {
			continue // as the reference does
		}
		value, err := policies.ParseExpression(*a.Value)
		if err != nil {
			problems = append(problems, settings.Invalid(fmt.Sprintf("/attributes/%d/value", i), err.Error()))
			continue
		}
		p.uses.Merge(value.Uses())
		p.entries = append(p.entries, entry{a.Name, value})
	}
	return p, problems
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	return policies.Traits{Shared: !p.uses.PerExchange(), Uses: p.uses}
}

// each sets what has a value. An expression that has none is passed over: this policy fails nothing. Every power of two is
// logged.
func (p *policy) each(c *policies.Context, set func(name string, value any)) {
	for i := range p.entries {
		e := &p.entries[i]
		v, err := e.value.Value(c)
		if err != nil {
			if n := p.failed.Add(1); n&(n-1) == 0 {
				p.log.Warn("attribute is not set", "attribute", e.name, "err", err, "count", n)
			}
			continue
		}
		if v != nil {
			set(e.name, v)
		}
	}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	p.each(c, c.Exchange.SetAttribute)
	return nil
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	p.each(c, c.Exchange.SetAttribute)
	return nil
}

// OnMessage implements policies.MessagePolicy. The message's attributes may be shared, so they are copied.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	out := make(map[string]any, len(m.Attributes)+len(p.entries))
	maps.Copy(out, m.Attributes)
	p.each(c, func(name string, value any) { out[strings.TrimPrefix(name, "gravitee.attribute.")] = value })
	m.Attributes = out
	return nil
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
