package policyhttpcallout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/message"
)

// named is a header or a variable, compiled.
type named struct {
	name, text string
	value      *policies.Expression
	asText     bool
}

type policy struct {
	log       *slog.Logger
	client    *callout.Client
	later     *later // nil: calls are waited for
	url, body *policies.Expression
	method    string
	headers   []named
	variables []named
	condition *policies.Expression
	content   *policies.Expression
	status    int
	exit      bool
	uses      policies.Uses
	problems  apidef.Problems // while it is compiled
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	if p.later != nil {
		return policies.Traits{Shared: !p.uses.PerExchange(), Filter: true, Uses: p.uses}
	}
	return policies.Traits{Blocks: true, Uses: p.uses}
}

// Close implements io.Closer. What is queued may still be sent, for a while.
func (p *policy) Close() error {
	if p.later != nil {
		p.later.close()
	}
	return p.client.Close()
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	return p.run(ctx, c, c.Exchange.SetAttribute)
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(ctx context.Context, c *policies.Context) error {
	return p.run(ctx, c, c.Exchange.SetAttribute)
}

// OnMessage implements policies.MessagePolicy. The message's attributes may be shared, so they are copied.
func (p *policy) OnMessage(ctx context.Context, c *policies.Context, m *message.Message) error {
	copied := false
	return p.run(ctx, c, func(name string, value any) {
		if !copied {
			out := make(map[string]any, len(m.Attributes)+len(p.variables))
			maps.Copy(out, m.Attributes)
			m.Attributes, copied = out, true
		}
		m.Attributes[strings.TrimPrefix(name, "gravitee.attribute.")] = value
	})
}

func (p *policy) run(ctx context.Context, c *policies.Context, set func(string, any)) error {
	r, err := p.request(c)
	if t := policies.TrialOf(ctx); t != nil && err == nil {
		t.Note(noteOf(r))
		return nil
	}
	if p.later != nil {
		if err != nil {
			p.later.lost("call cannot be made", err)
			return nil
		}
		p.later.take(r)
		return nil
	}
	if err == nil {
		err = p.call(ctx, c, r, set)
	}
	var told *message.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case p.exit:
		return &message.Failure{Status: p.status, Key: "CALLOUT_HTTP_ERROR", Message: err.Error(), Err: err}
	}
	return err
}

// maxNoted bounds what a note tells of a body, in bytes.
const maxNoted = 200

// noteOf tells of a call that a trial does not make.
func noteOf(r *callout.Request) string {
	body := r.Body[:min(len(r.Body), maxNoted)]
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL, body))
}

func (p *policy) request(c *policies.Context) (*callout.Request, error) {
	url, err := p.url.Text(c)
	if err != nil {
		return nil, err
	}
	r := &callout.Request{Method: p.method, URL: url, Header: make([]callout.Field, 0, len(p.headers))}
	if p.body != nil {
		body, err := p.body.Text(c)
		if err != nil {
			return nil, err
		}
		r.Body = []byte(body)
	}
	for i := range p.headers {
		h := &p.headers[i]
		value, ok, err := h.value.TextOrNull(c)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			value = h.text
		}
		r.Header = append(r.Header, callout.Field{Name: h.name, Value: value})
	}
	return r, nil
}

// variable is the name of the answer in expressions.
const variable = "calloutResponse"

func (p *policy) call(ctx context.Context, c *policies.Context, r *callout.Request, set func(string, any)) error {
	a, err := p.client.Do(ctx, r)
	if err != nil {
		return err
	}
	c.Provide(variable, el.OfMembers(&answer{Answer: a, content: string(a.Body)}))
	defer c.Provide(variable, el.Value{})
	if p.exit {
		bad, err := p.condition.Bool(c)
		if err != nil {
			return err
		}
		if bad {
			text, err := p.content.Text(c)
			if err != nil {
				return err
			}
			return &message.Failure{Status: p.status, Key: "CALLOUT_EXIT_ON_ERROR", Message: text}
		}
	}
	for i := range p.variables {
		v := &p.variables[i]
		set(v.name, nil)
		value, err := v.of(c)
		if err != nil {
			return err
		}
		set(v.name, value)
	}
	return nil
}

func (v *named) of(c *policies.Context) (any, error) {
	if !v.asText {
		return v.value.Value(c)
	}
	text, ok, err := v.value.TextOrNull(c)
	if !ok || err != nil {
		return nil, err
	}
	return text, nil
}

// answer is what expressions see.
type answer struct {
	*callout.Answer
	content string
}

// Member implements el.Members.
func (a *answer) Member(name string) (el.Value, bool) {
	switch name {
	case "status":
		return el.OfInt(int64(a.Status)), true
	case "content":
		return el.OfText(a.content), true
	case "headers":
		return el.OfNames(headers(a.Header)), true
	}
	return el.Value{}, false
}

type headers http.Header

// At implements el.Names.
func (h headers) At(name string, i int) (string, bool) {
	values := http.Header(h).Values(name)
	if i < 0 || i >= len(values) {
		return "", false
	}
	return values[i], true
}

// Count implements el.Names.
func (h headers) Count(name string) int { return len(http.Header(h).Values(name)) }

// Each implements el.Names.
func (h headers) Each(f func(name string) bool) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !f(name) {
			return
		}
	}
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
