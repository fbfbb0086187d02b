// Package jsonvalidation is the policy "json-validation" (policies.md 5.1): bodies and messages that do not fit a JSON Schema
// are refused.
//
// The keys of failures are JSON_INVALID_PAYLOAD for what does not fit and JSON_INVALID_FORMAT for what is no JSON, in the request
// phase with 400; JSON_INVALID_RESPONSE_PAYLOAD and JSON_INVALID_RESPONSE_FORMAT with 500 for answers; and with 400
// JSON_INVALID_MESSAGE_REQUEST_... for published messages and JSON_INVALID_MESSAGE_RESPONSE_... for those of subscribers, which end
// the stream. Requests and answers without a body, and the heads of streams, are not looked at; a message without content is no JSON.
//
// Schemas are read as draft-07 unless they name another draft; the reference knows drafts 3 and 4, whose common keywords
// mean the same. References to other documents are refused at deploy: nothing is loaded.
package jsonvalidation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/valyala/fasthttp"
	"golang.org/x/text/language"
	text "golang.org/x/text/message"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of json-validation.
type Config struct {
	// Schema is the JSON Schema, as text. SchemaSource takes its place. One of both is required.
	Schema string `json:"schema"`
	// SchemaSource is where the schema is.
	SchemaSource *Source `json:"schemaSource"`
	// ErrorMessage is what clients are told instead of "Bad Request"; it may hold expressions.
	ErrorMessage string `json:"errorMessage"`
	// StraightRespondMode lets what does not fit through, except requests. Default false.
	StraightRespondMode bool `json:"straightRespondMode"`
	// ReturnDetailedErrorReport tells clients what does not fit, up to 50 places. Default false.
	ReturnDetailedErrorReport bool `json:"returnDetailedErrorReport"`
	// ValidateUnchecked, DeepCheck and Scope are accepted and have no effect, as in the reference's V4 engine.
	ValidateUnchecked bool   `json:"validateUnchecked"`
	DeepCheck         bool   `json:"deepCheck"`
	Scope             string `json:"scope"`
}

// Source is where a schema is.
type Source struct {
	// SourceType is STATIC_SCHEMA; schema registries are not served by this version.
	SourceType string `json:"sourceType"`
	// StaticSchema is the JSON Schema, as text.
	StaticSchema string `json:"staticSchema"`
}

// maxReported bounds the places of a detailed report.
const maxReported = 50

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "json-validation",
	Name:    "JSON Validation",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

// kind is what a phase's failures are like.
type kind struct {
	status                   int
	invalid, malformed, text string
}

var kinds = map[policies.Phase]kind{
	policies.Request:   {fasthttp.StatusBadRequest, "JSON_INVALID_PAYLOAD", "JSON_INVALID_FORMAT", "Bad Request"},
	policies.Response:  {fasthttp.StatusInternalServerError, "JSON_INVALID_RESPONSE_PAYLOAD", "JSON_INVALID_RESPONSE_FORMAT", "Internal Error"},
	policies.Publish:   {fasthttp.StatusBadRequest, "JSON_INVALID_MESSAGE_REQUEST_PAYLOAD", "JSON_INVALID_MESSAGE_REQUEST_FORMAT", "Bad Request"},
	policies.Subscribe: {fasthttp.StatusBadRequest, "JSON_INVALID_MESSAGE_RESPONSE_PAYLOAD", "JSON_INVALID_MESSAGE_RESPONSE_FORMAT", "Bad Request"},
}

type policy struct {
	kind
	schema   *jsonschema.Schema
	text     *policies.Expression // nil: the kind's
	lenient  bool
	detailed bool
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{kind: kinds[env.Phase], detailed: c.ReturnDetailedErrorReport, lenient: c.StraightRespondMode && env.Phase != policies.Request}
	at, source := "/schema", c.Schema
	if s := c.SchemaSource; s != nil {
		at, source = "/schemaSource/staticSchema", s.StaticSchema
		if s.SourceType != "STATIC_SCHEMA" {
			problems = append(problems, settings.Invalid("/schemaSource/sourceType", fmt.Sprintf("%q is not served by this version; use STATIC_SCHEMA", s.SourceType)))
			return p, problems
		}
	}
	var err error
	if p.schema, err = parse(source); err != nil {
		problems = append(problems, settings.Invalid(at, err.Error()))
	}
	if c.ErrorMessage != "" {
		if p.text, err = policies.ParseExpression(c.ErrorMessage); err != nil {
			problems = append(problems, settings.Invalid("/errorMessage", err.Error()))
		}
	}
	return p, problems
}

var errLoads = errors.New("other documents are not loaded; put the definitions into this one")

type loader struct{}

// Load implements jsonschema.URLLoader.
func (loader) Load(string) (any, error) { return nil, errLoads }

func parse(source string) (*jsonschema.Schema, error) {
	if strings.TrimSpace(source) == "" {
		return nil, errors.New("is required: a JSON Schema, as text")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(source))
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(loader{})
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, fmt.Errorf("is no JSON Schema: %w", err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		return nil, fmt.Errorf("is no JSON Schema: %w", err)
	}
	return s, nil
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	t := policies.Traits{Filter: true, Shared: true}
	if p.text != nil {
		t.Shared, t.Uses = p.text.Shared(), p.text.Uses()
	}
	return t
}

// check refuses content that does not fit.
func (p *policy) check(c *policies.Context, content []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	key := p.malformed
	if err == nil {
		if err = p.schema.Validate(doc); err == nil {
			return nil
		}
		key = p.invalid
	}
	if p.lenient {
		return nil
	}
	return &message.Failure{Status: p.status, Key: key, Message: p.told(c, err), Err: err}
}

// told is what a client is told of err.
func (p *policy) told(c *policies.Context, err error) string {
	if p.detailed {
		if out := report(err); out != "" {
			return out
		}
	}
	if p.text != nil {
		if out, err := p.text.Text(c); err == nil {
			return out
		}
	}
	return p.kind.text
}

// report tells what does not fit: "<pointer or (root)> — <text>", joined.
func report(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return ""
	}
	printer := text.NewPrinter(language.English)
	var out []string
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(out) == maxReported {
			return
		}
		if len(e.Causes) == 0 {
			at := "(root)"
			if len(e.InstanceLocation) > 0 {
				at = "/" + strings.Join(e.InstanceLocation, "/")
			}
			out = append(out, at+" — "+e.ErrorKind.LocalizedString(printer))
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(invalid)
	return strings.Join(out, "; ")
}

// OnRequest implements policies.RequestPolicy. A request without body is not looked at.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if body := c.Exchange.HTTP.Request.Body(); len(body) > 0 {
		return p.check(c, body)
	}
	return nil
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	if c.Streaming {
		return nil
	}
	if body := c.Exchange.HTTP.Response.Body(); len(body) > 0 {
		return p.check(c, body)
	}
	return nil
}

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	return p.check(c, m.Content)
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
