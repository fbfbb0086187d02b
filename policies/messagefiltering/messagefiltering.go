// Package messagefiltering is the policy "message-filtering" (policies.md 4.1): messages for which an expression is not true
// go no further.
//
// A dropped message is done with: its publisher is told that all is well, and for a subscriber it counts as received, unless
// ackFilteredMessage is false. The filter never fails a message: what cannot be evaluated, or is null, drops it, or keeps it
// where filterMessageOnFilteringError is false. Where the value of the filter for a connection, before its first message, is a text,
// that text is the filter of this connection, so that a subscription's metadata can bring its own. A filter that depends on the
// message and the API alone is evaluated once per message, however many subscribers there are.
package messagefiltering

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of message-filtering.
type Config struct {
	// Filter is a condition: messages for which it is true go on. Where its value for a connection, without any message, is a
	// text, that text is the condition, so a subscription's metadata can hold one. Required.
	Filter string `json:"filter"`
	// AckFilteredMessage has a message that is dropped count as received. Else no checkpoint passes it. Default true.
	AckFilteredMessage bool `json:"ackFilteredMessage"`
	// FilterMessageOnFilteringError drops messages for which the condition cannot be evaluated. Default true.
	FilterMessageOnFilteringError bool `json:"filterMessageOnFilteringError"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "message-filtering",
	Name:    "Message Filtering",
	Phases:  policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{AckFilteredMessage: true, FilterMessageOnFilteringError: true}
}

// compile builds the policy: one that is settled per connection where the filter could be a text that holds another.
func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	if strings.TrimSpace(c.Filter) == "" {
		return nil, append(problems, settings.Invalid("/filter", "is required: the condition that messages must meet, e.g. {#message.headers['type'][0] == 'order'}"))
	}
	filter, err := policies.ParseExpression(c.Filter)
	if err != nil {
		return nil, append(problems, settings.Invalid("/filter", err.Error()))
	}
	p := &policy{filter: filter, dropped: policies.ErrDrop, onError: c.FilterMessageOnFilteringError}
	if !c.AckFilteredMessage {
		p.dropped = policies.ErrHold
	}
	if filter.OfMessage() || filter.Shared() {
		return p, problems
	}
	return &perConnection{*p}, problems
}

// policy filters by one condition.
type policy struct {
	filter  *policies.Expression
	dropped error
	onError bool // drops what cannot be judged
}

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, _ *message.Message) error {
	keep, err := p.filter.Bool(c) // null is false, as an error is unless it is configured otherwise
	if err != nil {
		keep = !p.onError
	}
	if keep {
		return nil
	}
	return p.dropped
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	return policies.Traits{Shared: p.filter.Shared(), Filter: true, Uses: p.filter.Uses()}
}

// perConnection is a policy whose filter may come from the connection.
type perConnection struct{ policy }

// Connect implements policies.Connector.
func (p *perConnection) Connect(c *policies.Context) policies.MessagePolicy {
	text, ok := p.filter.OwnText(c)
	if !ok {
		return &p.policy
	}
	filter, err := policies.ParseExpression(text)
	if err != nil {
		return &p.policy // the text is what is judged, and it is no condition
	}
	out := p.policy
	out.filter = filter
	return &out
}

var (
	_ policies.Traited   = (*policy)(nil)
	_ policies.Connector = (*perConnection)(nil)
)
