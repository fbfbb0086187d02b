// Package transformheaders is the policy "transform-headers" (policies.md 3.1): it sets, appends and removes headers of
// requests, answers and messages.
//
// The lists are worked through in the order add, append, remove, whitelist, so that a header that was just added goes again
// where it is to be removed or is not on the whitelist. Names are compared whatever their case and are no expressions. Entries
// without a name or a value are passed over, a value that is null leaves the header as it is, and later values see what
// earlier ones set. A value that cannot be evaluated fails with 500 and the key TRANSFORM_HEADERS_FAILURE.
package transformheaders

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Header is a header to set or append.
type Header struct {
	// Name is taken as it is. Required, without blanks.
	Name string `json:"name"`
	// Value may hold expressions; where it is null, the header stays as it is. Required.
	Value *string `json:"value"`
}

// Config is the configuration of transform-headers. The lists are worked through in the order of the fields, so a header
// that was added is removed again where RemoveHeaders names it or WhitelistHeaders does not.
type Config struct {
	// AddHeaders are set: all values that a header has are replaced.
	AddHeaders []Header `json:"addHeaders"`
	// AppendHeaders are added to the values that a header has.
	AppendHeaders []Header `json:"appendHeaders"`
	// RemoveHeaders are removed, whatever their case.
	RemoveHeaders []string `json:"removeHeaders"`
	// WhitelistHeaders, where there are any, are the only ones that stay, whatever their case.
	WhitelistHeaders []string `json:"whitelistHeaders"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "transform-headers",
	Name:    "Transform Headers",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

// field is a header to set or append, compiled.
type field struct {
	name  string
	value *policies.Expression
	fixed []byte // the value, where it is always the same
}

type policy struct {
	set, add []field
	remove   []string
	keep     []string
	uses     policies.Uses
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{remove: names(c.RemoveHeaders), keep: names(c.WhitelistHeaders)}
	p.set = p.fields("/addHeaders", c.AddHeaders, &problems)
	p.add = p.fields("/appendHeaders", c.AppendHeaders, &problems)
	return p, problems
}

// names are the names of a list without blank ones, which definitions may hold.
func names(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return strings.TrimSpace(n) == "" })
}

func (p *policy) fields(at string, headers []Header, problems *apidef.Problems) []field {
	var out []field
	for i, h := range headers {
		here := fmt.Sprintf("%s/%d", at, i)
		switch {
		case h.Value == nil || strings.TrimSpace(h.Name) == "":
			continue // as the reference does
		case strings.ContainsAny(h.Name, " \t\r\n"):
			*problems = append(*problems, settings.Invalid(here+"/name", "must have no blanks"))
			continue
		}
		value, err := policies.ParseExpression(*h.Value)
		if err != nil {
			*problems = append(*problems, settings.Invalid(here+"/value", err.Error()))
			continue
		}
		f := field{name: h.Name, value: value}
		if value.Constant() {
			f.fixed = []byte(*h.Value)
		}
		p.uses.Merge(value.Uses())
		out = append(out, f)
	}
	return out
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	return policies.Traits{Shared: !p.uses.PerExchange(), Uses: p.uses}
}

// text is a field's value now; ok false: it is null.
func (f *field) text(c *policies.Context) (value []byte, ok bool, err error) {
	if f.fixed != nil {
		return f.fixed, true, nil
	}
	s, ok, err := f.value.TextOrNull(c)
	return []byte(s), ok, err
}

// drops tells whether a header is removed.
func (p *policy) drops(name string) bool {
	is := func(other string) bool { return strings.EqualFold(name, other) }
	return slices.ContainsFunc(p.remove, is) || len(p.keep) > 0 && !slices.ContainsFunc(p.keep, is)
}

// failed is the failure where a value has none (policies.md 3.1).
func failed(text string, err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "TRANSFORM_HEADERS_FAILURE", Message: text, Err: err}
}

// OnMessage implements policies.MessagePolicy. The headers are copied once, with room for what is added.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	out := make([]message.Header, len(m.Headers), len(m.Headers)+len(p.set)+len(p.add))
	copy(out, m.Headers)
	m.Headers = out
	for i := range p.set {
		f := &p.set[i]
		value, ok, err := f.text(c)
		if err != nil {
			return failed("Unable to apply headers transformation on message", err)
		}
		if ok {
			m.Headers = append(slices.DeleteFunc(m.Headers, func(h message.Header) bool { return strings.EqualFold(h.Name, f.name) }), message.Header{Name: f.name, Value: value})
		}
	}
	for i := range p.add {
		value, ok, err := p.add[i].text(c)
		if err != nil {
			return failed("Unable to apply headers transformation on message", err)
		}
		if ok {
			m.Headers = append(m.Headers, message.Header{Name: p.add[i].name, Value: value})
		}
	}
	m.Headers = slices.DeleteFunc(m.Headers, func(h message.Header) bool { return p.drops(h.Name) })
	return nil
}

// fields is what requests and answers have in common.
type fields interface {
	SetBytesV(name string, value []byte)
	AddBytesV(name string, value []byte)
	Del(name string)
	All() iter.Seq2[[]byte, []byte]
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	return p.work(c, &c.Exchange.HTTP.Request.Header)
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	return p.work(c, &c.Exchange.HTTP.Response.Header)
}

func (p *policy) work(c *policies.Context, h fields) error {
	if err := p.apply(c, h); err != nil {
		return err
	}
	var present []string
	for name := range h.All() {
		present = append(present, string(name))
	}
	p.clean(h, present)
	return nil
}

func (p *policy) apply(c *policies.Context, h fields) error {
	for i := range p.set {
		value, ok, err := p.set[i].text(c)
		if err != nil {
			return failed("Unable to apply headers transformation", err)
		}
		if ok {
			h.Del(p.set[i].name)
			h.SetBytesV(p.set[i].name, value)
		}
	}
	for i := range p.add {
		value, ok, err := p.add[i].text(c)
		if err != nil {
			return failed("Unable to apply headers transformation", err)
		}
		if ok {
			h.AddBytesV(p.add[i].name, value)
		}
	}
	return nil
}

func (p *policy) clean(h fields, present []string) {
	for _, name := range present {
		if p.drops(name) {
			h.Del(name)
		}
	}
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
