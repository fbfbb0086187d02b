// Package trafficshadowing is the policy "traffic-shadowing" (policies.md 6.8): what is published is published to another endpoint of the
// API too, to try that one with real traffic.
//
// It stands in the request phase and works where messages are published. The target is the name of an endpoint or a group of the API, such as
// {#endpoints['next']}; the message goes there at the same time, with further headers where they are configured, and its header Host is left
// out. The publisher is told what the first endpoint says, when both are done; what the second says only comes into the log. A
// target that the API has not changes nothing. The messages of a connection are published one after the other. There is no failure.
package trafficshadowing

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of traffic-shadowing.
type Config struct {
	// Target is the name of an endpoint or a group; it may hold expressions. Required.
	Target string `json:"target"`
	// Headers are set on the copy.
	Headers []Header `json:"headers"`
}

// Header is a header of the copy.
type Header struct {
	// Name is the header's name. Required.
	Name string `json:"name"`
	// Value may hold expressions; null leaves the header as it is. Required.
	Value string `json:"value"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "traffic-shadowing", Name: "Traffic Shadowing", Phases: policies.Request, Config: &Config{}, Compile: compile}

type field struct {
	name  string
	value *policies.Expression
}

type policy struct {
	target  *policies.Expression
	headers []field
	log     *slog.Logger
	failed  atomic.Uint64
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{log: env.Log}
	if strings.TrimSpace(c.Target) == "" {
		problems = append(problems, settings.Invalid("/target", "is required: the name of an endpoint or a group"))
	} else {
		p.target = policies.ParseAt(&problems, "/target", c.Target)
	}
	for i, h := range c.Headers {
		at := fmt.Sprintf("/headers/%d", i)
		if strings.TrimSpace(h.Name) == "" {
			problems = append(problems, settings.Invalid(at+"/name", "is required"))
			continue
		}
		if value := policies.ParseAt(&problems, at+"/value", h.Value); value != nil {
			p.headers = append(p.headers, field{h.Name, value})
		}
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
	name, shadow, err := p.shadow(c, m)
	if err != nil {
		p.warn("", err)
		return next.Publish(ctx, m)
	}
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		if err := next.Elsewhere(ctx, shadow, name); err != nil {
			p.warn(name, err)
		}
	})
	return next.Publish(ctx, m)
}

// shadow is the message for the other endpoint. It shares the bytes of m, which the caller keeps until Invoke returns.
func (p *policy) shadow(c *policies.Context, m *message.Message) (name string, out *message.Message, err error) {
	if name, err = p.target.Text(c); err != nil {
		return "", nil, err
	}
	name = strings.TrimSuffix(name, ":")
	out = &message.Message{Timestamp: m.Timestamp, Topic: m.Topic, Key: m.Key, Content: m.Content, Attributes: m.Attributes}
	out.Headers = slices.DeleteFunc(slices.Clone(m.Headers), func(h message.Header) bool { return strings.EqualFold(h.Name, "Host") })
	for i := range p.headers {
		f := &p.headers[i]
		value, ok, err := f.value.TextOrNull(c)
		if err != nil || !ok {
			continue
		}
		out.Headers = slices.DeleteFunc(out.Headers, func(h message.Header) bool { return strings.EqualFold(h.Name, f.name) })
		out.Headers = append(out.Headers, message.Header{Name: f.name, Value: []byte(value)})
	}
	return name, out, nil
}

// warn logs each power of two.
func (p *policy) warn(name string, err error) {
	if n := p.failed.Add(1); n&(n-1) == 0 {
		p.log.Warn("shadow message is not published", "endpoint", name, "err", err, "count", n)
	}
}

var (
	_ policies.RequestPolicy = (*policy)(nil)
	_ policies.Invoker       = (*policy)(nil)
)
