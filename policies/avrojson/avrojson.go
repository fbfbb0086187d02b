// Package avrojson is the policy "avro-json" (policies.md 9.2): it makes JSON of Avro's binary form, or Avro of JSON.
//
// It runs in the phases request, response, publish and subscribe. The schema is in the configuration, or in a schema registry, from where
// the id in front of each message names it (Confluent's wire format: a zero byte, the id in 4 bytes, the value). In front of a value
// whose schema is in the configuration, SerializationFormat confluent takes the same 5 bytes away and does not look at the id.
//
// JSON is as Avro's specification has it (JSON encoding): values of unions in an object with the name of their type, unless JSONEncoding is
// UNWRAPPED; bytes as the characters U+0000 to U+00FF; logical types as the types below them. From JSON, a field that is missing gets its
// default, and without WRAPPED the first branch of a union that fits is taken.
//
// Empty content stays as it is. JSON that comes out has Content-Type: application/json; otherwise headers stay. What does not fit is a
// failure with status 500 and the key INVALID_AVRO_TRANSFORMATION; so is a registry that cannot be asked. A combination of settings that
// cannot work is refused when the definition is saved, where the reference fails each message with UNSUPPORTED_CONFIGURATION_KEY.
// Documents may have 16 MiB, 1,000,000 values and 128 levels.
package avrojson

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/avrodoc"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of avro-json.
type Config struct {
	// Conversion is avro-to-json or json-to-avro. Required.
	Conversion string `json:"conversion"`
	// SchemaLocation is inline or schema-registry; the latter serves avro-to-json. Default inline.
	SchemaLocation string `json:"schemaLocation"`
	// SchemaDefinition is the Avro schema, as JSON text. Required with inline.
	SchemaDefinition string `json:"schemaDefinition"`
	// SerializationFormat is simple, the value alone, or confluent, with 5 bytes in front. Default simple, and with schema-registry
	// confluent. json-to-avro makes simple.
	SerializationFormat string `json:"serializationFormat"`
	// ResourceName is the name of the API's schema registry. Required with schema-registry.
	ResourceName string `json:"resourceName"`
	// JSONEncoding is WRAPPED or UNWRAPPED: whether values of unions stand in an object with the name of their type. Default WRAPPED.
	JSONEncoding string `json:"jsonEncoding"`
	// UnknownFields is STRICT or LENIENT: whether members that no field has are an error. LENIENT needs UNWRAPPED. Default STRICT.
	UnknownFields string `json:"unknownFields"`
	// NullFields is KEEP or OMIT: whether fields that are null are written to JSON. Default KEEP.
	NullFields string `json:"nullFields"`
	// ValueMapping is another place of the schema.
	ValueMapping Mapping `json:"valueMapping"`
}

// Mapping is another place of the schema.
type Mapping struct {
	// SchemaDefinition is the Avro schema, where Config has none.
	SchemaDefinition string `json:"schemaDefinition"`
	// Source is a text with expressions whose value is converted. Default: the content.
	Source string `json:"source"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "avro-json",
	Name:    "Avro to JSON",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{SchemaLocation: "inline", JSONEncoding: "WRAPPED", UnknownFields: "STRICT", NullFields: "KEEP"}
}

type policy struct {
	form   avrodoc.Form
	toJSON bool
	framed bool        // 5 bytes are in front
	schema avro.Schema // nil: of the registry
	source *policies.Expression
	known  resource.Parsed[avro.Schema] // those of the registry
}

func oneOf(at, value string, problems *apidef.Problems, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	*problems = append(*problems, settings.Invalid(at, "must be one of: "+strings.Join(allowed, ", ")))
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	oneOf("/conversion", c.Conversion, &problems, "avro-to-json", "json-to-avro")
	oneOf("/schemaLocation", c.SchemaLocation, &problems, "inline", "schema-registry")
	oneOf("/serializationFormat", c.SerializationFormat, &problems, "", "simple", "confluent")
	oneOf("/jsonEncoding", c.JSONEncoding, &problems, "WRAPPED", "UNWRAPPED")
	oneOf("/unknownFields", c.UnknownFields, &problems, "STRICT", "LENIENT")
	oneOf("/nullFields", c.NullFields, &problems, "KEEP", "OMIT")
	if c.UnknownFields == "LENIENT" && c.JSONEncoding != "UNWRAPPED" {
		problems = append(problems, settings.Invalid("/unknownFields", "LENIENT needs jsonEncoding UNWRAPPED"))
	}
	p := &policy{toJSON: c.Conversion == "avro-to-json", framed: c.SerializationFormat == "confluent",
		form: avrodoc.Form{Wrapped: c.JSONEncoding == "WRAPPED", OmitNulls: c.NullFields == "OMIT", Lenient: c.UnknownFields == "LENIENT"}}
	does := policies.Traits{Shared: true}
	if c.SchemaLocation == "schema-registry" {
		p.ofRegistry(c, env, &problems)
		does.Blocks = true
	} else {
		p.inline(c, &problems)
	}
	if c.ValueMapping.Source != "" {
		e, err := policies.ParseExpression(c.ValueMapping.Source)
		if err != nil {
			return nil, append(problems, settings.Invalid("/valueMapping/source", err.Error()))
		}
		p.source, does.Shared, does.Uses = e, e.Shared(), e.Uses()
	}
	out := &body.Policy{Work: p.work, Fail: failure, Does: does}
	if p.toJSON {
		out.ContentType = "application/json"
	}
	return out, problems
}

func (p *policy) inline(c *Config, problems *apidef.Problems) {
	at, text := "/schemaDefinition", c.SchemaDefinition
	if text == "" && c.ValueMapping.SchemaDefinition != "" {
		at, text = "/valueMapping/schemaDefinition", c.ValueMapping.SchemaDefinition
	}
	if text == "" {
		*problems = append(*problems, settings.Invalid(at, "is required: an Avro schema, as JSON text"))
		return
	}
	var err error
	if p.schema, err = avrodoc.Parse(text); err != nil {
		*problems = append(*problems, settings.Invalid(at, "is no Avro schema: "+err.Error()))
	}
	if !p.toJSON && p.framed {
		*problems = append(*problems, settings.Invalid("/serializationFormat", "confluent does not serve json-to-avro: there is no schema id to write"))
	}
}

func (p *policy) ofRegistry(c *Config, env policies.Env, problems *apidef.Problems) {
	p.framed = true
	if c.SerializationFormat == "simple" {
		*problems = append(*problems, settings.Invalid("/serializationFormat", "must be confluent with schema-registry: the schema's id is in front of the value"))
	}
	if !p.toJSON {
		*problems = append(*problems, settings.Invalid("/schemaLocation", "schema-registry serves avro-to-json only"))
	}
	p.known.Kind, p.known.Parse = resource.Avro, avrodoc.OfRegistry
	var err error
	if p.known.Registry, err = resource.Registry(env.Resource, c.ResourceName); err != nil {
		*problems = append(*problems, settings.Invalid("/resourceName", err.Error()))
	}
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "INVALID_AVRO_TRANSFORMATION",
		Message: "Unable to transform content with Avro", Err: err}
}

func (p *policy) work(ctx context.Context, c *policies.Context, in body.Input) ([]byte, bool, error) {
	content := in.Content
	if p.source != nil {
		text, err := p.source.Text(c)
		if err != nil {
			return nil, false, err
		}
		content = []byte(text)
	}
	if !p.toJSON {
		doc, err := jsondoc.Parse(content)
		if err != nil {
			return nil, false, err
		}
		out, err := avrodoc.Append(nil, p.schema, doc, p.form)
		return out, true, err
	}
	schema, value, err := p.open(ctx, content)
	if err != nil {
		return nil, false, err
	}
	doc, err := avrodoc.Read(schema, value, p.form)
	if err != nil {
		return nil, false, err
	}
	out, err := jsondoc.Append(make([]byte, 0, 2*len(value)), doc)
	return out, true, err
}

// open takes what is in front of a value away, and finds its schema.
func (p *policy) open(ctx context.Context, content []byte) (avro.Schema, []byte, error) {
	if !p.framed {
		return p.schema, content, nil
	}
	id, value, err := new(sr.ConfluentHeader).DecodeID(content)
	if err != nil {
		return nil, nil, fmt.Errorf("the content does not begin with a zero byte and a schema id: %w", err)
	}
	if p.schema != nil {
		return p.schema, value, nil
	}
	s, err := p.known.ByID(ctx, id)
	return s, value, err
}
