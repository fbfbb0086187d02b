// Package jsontojson is the policy "json-to-json" (policies.md 3.4): it rearranges JSON bodies with a JOLT specification.
//
// It runs in the phases request, response, publish and subscribe. All operations of JOLT are known: shift, default, remove, sort,
// cardinality, modify-default-beta, modify-overwrite-beta and modify-define-beta, with all stock functions (package jolt, which is
// held against the Java library).
//
// A body is worked on where its Content-Type holds "json"; a message also where it has no Content-Type. An empty body stays as it
// is. On success Content-Length is set and, unless OverrideContentType is false, Content-Type: application/json. A body that is no JSON
// and a transformation that fails are a failure with status 500 and the key JSON_INVALID_SPECIFICATION, "Unable to apply JOLT
// transformation to payload". Where nothing comes out, the new body is null.
//
// A specification without expressions is checked when the definition is saved; one with expressions is read anew where its text
// changes, and the last few are kept. Documents may have 16 MiB, 1,000,000 values and 128 levels; the work on one is bounded.
package jsontojson

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/jsontojson/jolt"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of json-to-json.
type Config struct {
	// Specification is the JOLT specification: a list of operations, as JSON text. It may hold expressions, evaluated for each body.
	// Required.
	Specification string `json:"specification"`
	// OverrideContentType sets Content-Type to application/json. Default true.
	OverrideContentType bool `json:"overrideContentType"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "json-to-json",
	Name:    "JSON to JSON Transformation",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{OverrideContentType: true},
	Compile: compile,
}

// maxChains bounds how many specifications are kept where expressions make them: 16 serve a few tenants or versions, and no more
// memory goes to what content makes up.
const maxChains = 16

type policy struct {
	fixed *jolt.Chain // the specification, where it is always the same
	text  *policies.Expression

	mu     sync.Mutex
	chains map[string]*jolt.Chain // guarded by mu
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := Config{OverrideContentType: true}
	problems := settings.Decode(cfg, &c)
	if strings.TrimSpace(c.Specification) == "" {
		return nil, append(problems, settings.Invalid("/specification", "is required: a JOLT specification, a list of operations as JSON text"))
	}
	p := &policy{}
	var err error
	if p.text, err = policies.ParseExpression(c.Specification); err != nil {
		return nil, append(problems, settings.Invalid("/specification", err.Error()))
	}
	does := policies.Traits{Shared: p.text.Shared(), Uses: p.text.Uses()}
	if p.text.Constant() {
		if p.fixed, err = jolt.Parse([]byte(c.Specification)); err != nil {
			return nil, append(problems, settings.Invalid("/specification", "is no JOLT specification: "+err.Error()))
		}
	}
	out := &body.Policy{Work: p.work, Fail: failure, Length: true, Does: does}
	if c.OverrideContentType {
		out.ContentType = "application/json"
	}
	return out, problems
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "JSON_INVALID_SPECIFICATION",
		Message: "Unable to apply JOLT transformation to payload", Err: err}
}

func (p *policy) work(_ context.Context, c *policies.Context, in body.Input) ([]byte, bool, error) {
	if !applies(in) {
		return nil, false, nil
	}
	chain, err := p.chain(c)
	if err != nil {
		return nil, false, err
	}
	doc, err := jsondoc.Parse(in.Content)
	if err != nil {
		return nil, false, err
	}
	if doc, err = chain.Transform(doc); err != nil {
		return nil, false, err
	}
	out, err := jsondoc.Append(make([]byte, 0, len(in.Content)), doc)
	return out, true, err
}

// applies tells whether a body is JSON by its type; a message without a type is.
func applies(in body.Input) bool {
	if in.ContentType == "" {
		return in.Message != nil
	}
	return strings.Contains(strings.ToLower(in.ContentType), "json")
}

// chain is the specification now.
func (p *policy) chain(c *policies.Context) (*jolt.Chain, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	text, err := p.text.Text(c)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if made, ok := p.chains[text]; ok {
		return made, nil
	}
	made, err := jolt.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the specification, with its expressions evaluated: %w", err)
	}
	if p.chains == nil || len(p.chains) >= maxChains {
		p.chains = make(map[string]*jolt.Chain, maxChains)
	}
	p.chains[text] = made
	return made, nil
}
