// Package mock is the policy "mock" (policies.md 6.4): it answers in place of the backend.
//
// It runs in the phase request. The answer has the status, the content and the headers of the configuration, all but the status with
// expressions, which see the request and its content. Where no header says otherwise, the content type is guessed: application/json,
// text/xml or text/plain; empty content has none. The response phase runs on the answer. Content that cannot be evaluated is a 500 without
// a key, with the error as its text; a header that cannot be evaluated is left out.
//
// Difference from the reference: the steps of the request phase that stand behind it do not run, since the exchange is answered.
package mock

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of mock.
type Config struct {
	// Status is that of the answer: 100 to 599. Default 200.
	Status int `json:"status"`
	// Headers are those of the answer.
	Headers []Header `json:"headers"`
	// Content is that of the answer; it may hold expressions. Default: none.
	Content string `json:"content"`
}

// Header is a header of the answer.
type Header struct {
	// Name is taken as it is. Required.
	Name string `json:"name"`
	// Value may hold expressions.
	Value string `json:"value"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "mock",
	Aliases: []string{"policy-mock"},
	Name:    "Mock",
	Phases:  policies.Request,
	Config:  &Config{Status: fasthttp.StatusOK},
	Compile: compile,
}

type field struct {
	name  string
	value *policies.Expression
}

type policy struct {
	status  int
	headers []field
	content *policies.Expression
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := &Config{Status: fasthttp.StatusOK}
	problems := settings.Decode(cfg, c)
	p := &policy{status: c.Status}
	if c.Status < 100 || c.Status > 599 {
		problems = append(problems, settings.Invalid("/status", "must be between 100 and 599"))
	}
	var err error
	if p.content, err = policies.ParseExpression(c.Content); err != nil {
		problems = append(problems, settings.Invalid("/content", err.Error()))
	}
	for i, h := range c.Headers {
		if strings.TrimSpace(h.Name) == "" {
			continue // as the reference does
		}
		value, err := policies.ParseExpression(h.Value)
		if err != nil {
			problems = append(problems, settings.Invalid(fmt.Sprintf("/headers/%d/value", i), err.Error()))
		}
		p.headers = append(p.headers, field{h.Name, value})
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	content, err := p.content.Text(c)
	if err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: err.Error(), Err: err}
	}
	if strings.TrimSpace(content) == "" {
		content = ""
	}
	out := &c.Exchange.HTTP.Response
	out.SetStatusCode(p.status)
	out.SetBodyString(content)
	if typ := guess([]byte(content)); typ != "" {
		out.Header.SetContentType(typ)
	} else {
		out.Header.SetNoDefaultContentType(true)
	}
	for i := range p.headers {
		if value, err := p.headers[i].value.Text(c); err == nil {
			out.Header.Set(p.headers[i].name, value)
		}
	}
	return policies.ErrAnswered
}

// guess is the content type that content looks like.
func guess(content []byte) string {
	text := bytes.TrimSpace(content)
	switch {
	case len(text) == 0:
		return ""
	case json.Valid(text):
		return "application/json"
	case text[0] == '<' && text[len(text)-1] == '>':
		return "text/xml"
	}
	return "text/plain"
}

var _ policies.RequestPolicy = (*policy)(nil)
