// Package policydataloggingmasking is the policy "policy-data-logging-masking" (policies.md 9.6): it says what of headers and bodies
// must not be seen in what a gateway reports of requests. It never changes traffic.
//
// It may stand in the phases request and response. Sluice's logs, metrics and traces hold neither headers nor bodies of
// requests, so nothing is left to mask: the step is checked, so that a definition that is wrong is refused, and has no effect, of which
// a warning tells when the definition is saved. To mask what is passed on, use the policy data-masking, whose rules are these and
// more.
package policydataloggingmasking

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of policy-data-logging-masking.
type Config struct {
	// Scope is REQUEST_CONTENT or RESPONSE_CONTENT: what would be masked. Default REQUEST_CONTENT.
	Scope string `json:"scope"`
	// HeaderRules name headers.
	HeaderRules []HeaderRule `json:"headerRules"`
	// BodyRules name parts of bodies.
	BodyRules []BodyRule `json:"bodyRules"`
}

// HeaderRule names a header.
type HeaderRule struct {
	// Path is the name of the header. Required.
	Path string `json:"path"`
	// Replacer would take its place. Default *.
	Replacer string `json:"replacer"`
}

// BodyRule names a part of a body.
type BodyRule struct {
	// Path is a JSONPath or XPath. Path, Type or Regex is required.
	Path string `json:"path"`
	// Type is CUSTOM, CREDIT_CARD, EMAIL, IP or URI.
	Type string `json:"type"`
	// Regex is what CUSTOM means.
	Regex string `json:"regex"`
	// Replacer would take its place. Default *.
	Replacer string `json:"replacer"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "policy-data-logging-masking",
	Aliases: []string{"data-logging-masking"},
	Name:    "Data Logging Masking",
	Phases:  policies.Request | policies.Response,
	Config:  &Config{Scope: "REQUEST_CONTENT"},
	Compile: compile,
}

var types = []string{"", "CUSTOM", "CREDIT_CARD", "EMAIL", "IP", "URI"}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := &Config{Scope: "REQUEST_CONTENT"}
	problems := settings.Decode(cfg, c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	if c.Scope != "REQUEST_CONTENT" && c.Scope != "RESPONSE_CONTENT" {
		fail("/scope", "must be REQUEST_CONTENT or RESPONSE_CONTENT")
	}
	for i, h := range c.HeaderRules {
		if h.Path == "" {
			fail(fmt.Sprintf("/headerRules/%d/path", i), "is required: the name of a header")
		}
	}
	for i, b := range c.BodyRules {
		at := fmt.Sprintf("/bodyRules/%d", i)
		if b.Path+b.Type+b.Regex == "" {
			fail(at+"/path", "is required where there is neither a type nor a regex")
		}
		if !slices.Contains(types, b.Type) {
			fail(at+"/type", "must be one of: CUSTOM, CREDIT_CARD, EMAIL, IP, URI")
		}
		if _, err := regexp.Compile(b.Regex); err != nil {
			fail(at+"/regex", "is no regular expression (RE2): "+err.Error())
		}
	}
	return policy{}, append(problems, apidef.Problem{Pointer: "", Code: settings.CodeInvalid, Severity: apidef.Warning,
		Message: "has no effect: nothing that Sluice reports holds headers or bodies; to mask what is passed on, use data-masking"})
}

type policy struct{}

// OnRequest implements policies.RequestPolicy.
func (policy) OnRequest(context.Context, *policies.Context) error { return nil }

// OnResponse implements policies.ResponsePolicy.
func (policy) OnResponse(context.Context, *policies.Context) error { return nil }

var (
	_ policies.RequestPolicy  = policy{}
	_ policies.ResponsePolicy = policy{}
)
