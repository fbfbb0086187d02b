// Package policyhttpcallout is the policy "policy-http-callout" (policies.md 6.10): it calls an HTTP server and keeps what it
// answers in attributes.
//
// It runs in the phases request, response, publish and subscribe. The address, the headers and the body may hold expressions;
// the answer is the variable #calloutResponse (status, headers, content) in errorCondition, errorContent and the variables, and
// nowhere else. On request and response the variables are attributes of the exchange, on publish and subscribe of the message.
//
// Where exitOnError is set, an answer that meets errorCondition ends the exchange with errorStatusCode and the key
// CALLOUT_EXIT_ON_ERROR, and a call that gets no answer ends it with errorStatusCode and CALLOUT_HTTP_ERROR. Where it is not
// set, a call without an answer is a 500 without a key, as in the reference.
//
// With fireAndForget nobody waits: calls are queued, up to 8 MiB per step, and sent in the background; those that find the queue
// full are given up, counted and logged. On subscribe such a step, where its expressions read the message alone, calls once per
// message and not once per subscriber.
//
// Differences from the reference: certificates are verified, answers are bounded (http.maxResponseSize, 1 MiB), calls end after
// http.connectTimeout and http.readTimeout, and link-local and metadata addresses are refused. It also runs per message.
package policyhttpcallout

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of policy-http-callout.
type Config struct {
	// URL is what is called; it may hold expressions. Required.
	URL string `json:"url"`
	// Method is GET, POST, PUT, DELETE, PATCH, HEAD, CONNECT, OPTIONS or TRACE. Default GET.
	Method string `json:"method"`
	// Headers are sent.
	Headers []Header `json:"headers"`
	// Body is sent; it may hold expressions. Default: none.
	Body string `json:"body"`
	// FireAndForget does not wait for the answer: no variable is set, no error ends anything. Default false.
	FireAndForget bool `json:"fireAndForget"`
	// Variables are set from the answer.
	Variables []Variable `json:"variables"`
	// ExitOnError ends the exchange where ErrorCondition is met or no answer came. Default false.
	ExitOnError bool `json:"exitOnError"`
	// ErrorCondition is what answers count as errors. Default {#calloutResponse.status >= 400 and #calloutResponse.status <= 599}.
	ErrorCondition string `json:"errorCondition"`
	// ErrorStatusCode is the status that errors end the exchange with. Default 500.
	ErrorStatusCode int `json:"errorStatusCode"`
	// ErrorContent is what the client is told; it may hold expressions. Default "Request is terminated.".
	ErrorContent string `json:"errorContent"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`

	callout.Config
}

// Header is a header of the call.
type Header struct {
	// Name is taken as it is. Required.
	Name string `json:"name"`
	// Value may hold expressions; where its value is null, the text is sent as it stands.
	Value string `json:"value"`
}

// Variable is an attribute to set from the answer.
type Variable struct {
	// Name is that of the attribute. Required.
	Name string `json:"name"`
	// Value may hold expressions, also over #calloutResponse. Null sets the attribute to null.
	Value string `json:"value"`
	// EvaluateAsString keeps the value as text, whatever it is. Default true.
	EvaluateAsString *bool `json:"evaluateAsString"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "policy-http-callout",
	Aliases: []string{"http-callout"},
	Name:    "HTTP Callout",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

var methods = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "CONNECT", "OPTIONS", "TRACE"}

func defaults() *Config {
	return &Config{Method: "GET", ErrorStatusCode: 500, ErrorContent: "Request is terminated.", Config: callout.Defaults(),
		ErrorCondition: "{#calloutResponse.status >= 400 and #calloutResponse.status <= 599}"}
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	p := &policy{log: env.Log}
	p.problems = settings.Decode(cfg, c)
	if strings.TrimSpace(c.URL) == "" {
		p.fail("/url", "is required: what is called, e.g. https://example.org/check")
	}
	if p.url = p.expression("/url", c.URL); p.url != nil && p.url.Constant() && c.URL != "" {
		if err := callout.CheckURL(c.URL); err != nil {
			p.fail("/url", err.Error())
		}
	}
	if p.method = strings.ToUpper(c.Method); !slices.Contains(methods, p.method) {
		p.fail("/method", "must be one of: "+strings.Join(methods, ", "))
	}
	if p.status = c.ErrorStatusCode; p.status < 100 || p.status > 599 {
		p.fail("/errorStatusCode", "must be between 100 and 599")
	}
	if c.Body != "" {
		p.body = p.expression("/body", c.Body)
	}
	for i, h := range c.Headers {
		if strings.TrimSpace(h.Name) == "" {
			continue // as the reference does
		}
		p.headers = append(p.headers, named{h.Name, h.Value, p.expression(fmt.Sprintf("/headers/%d/value", i), h.Value), true})
	}
	p.exit = c.ExitOnError
	if !c.FireAndForget {
		p.condition = p.expression("/errorCondition", c.ErrorCondition)
		p.content = p.expression("/errorContent", c.ErrorContent)
		for i, v := range c.Variables {
			if strings.TrimSpace(v.Name) == "" {
				p.fail(fmt.Sprintf("/variables/%d/name", i), "is required: the attribute that is set")
			}
			p.variables = append(p.variables, named{v.Name, v.Value, p.expression(fmt.Sprintf("/variables/%d/value", i), v.Value), v.EvaluateAsString == nil || *v.EvaluateAsString})
		}
	}
	var more apidef.Problems
	p.client, more = c.Client("", env.Dial)
	problems := append(p.problems, more...)
	p.problems = nil
	if c.FireAndForget {
		p.later = newLater(p.client, c.HTTP.MaxConcurrentConnections, env.Log)
	}
	return p, problems
}

func (p *policy) fail(pointer, text string) {
	p.problems = append(p.problems, settings.Invalid(pointer, text))
}

// expression parses a text, and remembers what it reads.
func (p *policy) expression(at, text string) *policies.Expression {
	e, err := policies.ParseExpression(text)
	if err != nil {
		p.fail(at, err.Error())
		return nil
	}
	p.uses.Merge(e.Uses())
	return e
}
