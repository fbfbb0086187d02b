// Package protobufjson is the policy "protobuf-json" (policies.md 9.3): it makes JSON of Protobuf's binary form, or Protobuf of JSON.
//
// It runs in the phases request, response, publish and subscribe. The schema is the text of a .proto file in the configuration, or in
// a schema registry. With SerializationFormat confluent a message has Confluent's wire format: a zero byte, the id of its schema in 4
// bytes, and the place of the message in the schema, as varints. With a schema of the configuration the id is not looked at, and the
// place is; entries of maps do not count in it, as they do not for Confluent's Java serializer. With simple there is nothing in front, and
// the message is the first of the schema.
//
// JSON is Protobuf's own mapping: names in lowerCamelCase, numbers of 64 bits as texts, bytes in base64. Keys of maps are always
// sorted. Fields that the schema does not have are left out of JSON; a member of JSON that no field has is a failure. A schema imports what
// a registry says that it refers to, and google/protobuf/*.proto, nothing else.
//
// Empty content stays as it is. JSON that comes out has Content-Type: application/json; otherwise headers stay. What does not fit is a
// failure with status 500 and the key INVALID_PROTOBUF_TRANSFORMATION; so is a registry that cannot be asked. A combination of settings
// that cannot work is refused when the definition is saved, where the reference fails each message with UNSUPPORTED_CONFIGURATION_KEY.
// Messages may have 16 MiB, 1,000,000 values and 128 levels. json-to-protobuf is an addition: the reference documents its settings, and
// says that it is not available.
package protobufjson

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/protodoc"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of protobuf-json.
type Config struct {
	// Conversion is protobuf-to-json or json-to-protobuf. Required.
	Conversion string `json:"conversion"`
	// JSON is how JSON is written.
	JSON JSON `json:"json"`
	// ProtobufIn is where the schema of what comes in is, of protobuf-to-json.
	ProtobufIn In `json:"protobufIn"`
	// ProtobufOut is where the schema of what goes out is, of json-to-protobuf.
	ProtobufOut Out `json:"protobufOut"`
}

// JSON is how JSON is written.
type JSON struct {
	// IncludingDefaultValueFields writes fields that have their default value, too. Default false.
	IncludingDefaultValueFields bool `json:"includingDefaultValueFields"`
	// PreservingProtoFieldNames names fields as the schema does, rather than in lowerCamelCase. Default false.
	PreservingProtoFieldNames bool `json:"preservingProtoFieldNames"`
	// SortingMapKeys has no effect: keys of maps are always sorted.
	SortingMapKeys bool `json:"sortingMapKeys"`
	// OmittingInsignificantWhitespace writes all in one line without spaces. Default false: a line for each member.
	OmittingInsignificantWhitespace bool `json:"omittingInsignificantWhitespace"`
}

// In is where the schema of what comes in is.
type In struct {
	// SchemaLocation is inline or schema-registry. Default inline.
	SchemaLocation string `json:"schemaLocation"`
	// InlineIn is the schema, of inline.
	InlineIn Inline `json:"inlineIn"`
	// SchemaRegistryIn names the registry, of schema-registry.
	SchemaRegistryIn RegistryIn `json:"schemaRegistryIn"`
}

// Inline is a schema.
type Inline struct {
	// NormalizeSchema has no effect: a schema means the same in any form.
	NormalizeSchema bool `json:"normalizeSchema"`
	// SerializationFormat is simple, the message alone, or confluent, with its wire format in front. Default simple. What goes out is simple.
	SerializationFormat string `json:"serializationFormat"`
	// SchemaDefinition is the text of a .proto file. Required.
	SchemaDefinition string `json:"schemaDefinition"`
}

// RegistryIn names a registry, where what comes in says which schema it has.
type RegistryIn struct {
	// ResourceName is the name of the API's schema registry. Required.
	ResourceName string `json:"resourceName"`
	// SerializationFormat is confluent. Default confluent.
	SerializationFormat string `json:"serializationFormat"`
}

// Out is where the schema of what goes out is.
type Out struct {
	// SchemaLocation is inline or schema-registry. Default inline.
	SchemaLocation string `json:"schemaLocation"`
	// InlineOut is the schema, of inline.
	InlineOut Inline `json:"inlineOut"`
	// SchemaRegistryOut names the registry and the schema, of schema-registry.
	SchemaRegistryOut RegistryOut `json:"schemaRegistryOut"`
}

// RegistryOut names a schema of a registry.
type RegistryOut struct {
	// ID is the id of the schema, whose first message is written.
	ID ID `json:"id"`
	// ResourceName is the name of the API's schema registry. Required.
	ResourceName string `json:"resourceName"`
	// SerializationFormat is confluent. Default confluent.
	SerializationFormat string `json:"serializationFormat"`
}

// ID is the id of a schema.
type ID struct {
	// Origin is inline: the id is Value. Default inline.
	Origin string `json:"origin"`
	// Value is the id, 1 or more. Required.
	Value int `json:"value"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "protobuf-json",
	Name:    "Protobuf to JSON",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{ProtobufIn: In{SchemaLocation: inline}, ProtobufOut: Out{SchemaLocation: inline}}
}

const (
	inline    = "inline"
	ofOthers  = "schema-registry"
	simple    = "simple"
	confluent = "confluent"
)

type policy struct {
	form   protodoc.Form
	schema *protodoc.Schema // nil: of the registry
	framed bool             // Confluent's wire format is in front
	id     int              // of the schema that is written; 0: none
	known  resource.Parsed[*protodoc.Schema]
}

func oneOf(at, value string, problems *apidef.Problems, allowed ...string) bool {
	for _, a := range allowed {
		if value == a {
			return true
		}
	}
	*problems = append(*problems, settings.Invalid(at, "must be one of: "+strings.Join(allowed, ", ")))
	return false
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	p := &policy{form: protodoc.Form{Defaults: c.JSON.IncludingDefaultValueFields, ProtoNames: c.JSON.PreservingProtoFieldNames,
		Compact: c.JSON.OmittingInsignificantWhitespace}, known: resource.Parsed[*protodoc.Schema]{Kind: resource.Protobuf, Parse: protodoc.OfRegistry}}
	out := &body.Policy{Fail: failure, Does: policies.Traits{Shared: true}}
	if oneOf("/conversion", c.Conversion, &problems, "protobuf-to-json", "json-to-protobuf") {
		if c.Conversion == "protobuf-to-json" {
			p.in(c, env, &problems)
			out.Work, out.ContentType, out.Does.Blocks = p.toJSON, "application/json", c.ProtobufIn.SchemaLocation == ofOthers
		} else {
			p.out(c, env, &problems)
			out.Work, out.Does.Blocks = p.fromJSON, c.ProtobufOut.SchemaLocation == ofOthers
		}
	}
	return out, problems
}

func (p *policy) in(c *Config, env policies.Env, problems *apidef.Problems) {
	if !oneOf("/protobufIn/schemaLocation", c.ProtobufIn.SchemaLocation, problems, inline, ofOthers) {
		return
	}
	if c.ProtobufIn.SchemaLocation == inline {
		p.inline("/protobufIn/inlineIn", c.ProtobufIn.InlineIn, problems)
		return
	}
	r := c.ProtobufIn.SchemaRegistryIn
	p.registry("/protobufIn/schemaRegistryIn", r.ResourceName, r.SerializationFormat, env, problems)
}

func (p *policy) out(c *Config, env policies.Env, problems *apidef.Problems) {
	if !oneOf("/protobufOut/schemaLocation", c.ProtobufOut.SchemaLocation, problems, inline, ofOthers) {
		return
	}
	if c.ProtobufOut.SchemaLocation == inline {
		p.inline("/protobufOut/inlineOut", c.ProtobufOut.InlineOut, problems)
		if p.framed {
			*problems = append(*problems, settings.Invalid("/protobufOut/inlineOut/serializationFormat", "confluent needs schemaLocation schema-registry: there is no schema id to write"))
		}
		return
	}
	r := c.ProtobufOut.SchemaRegistryOut
	p.registry("/protobufOut/schemaRegistryOut", r.ResourceName, r.SerializationFormat, env, problems)
	oneOf("/protobufOut/schemaRegistryOut/id/origin", r.ID.Origin, problems, "", inline)
	if p.id = r.ID.Value; p.id < 1 {
		*problems = append(*problems, settings.Invalid("/protobufOut/schemaRegistryOut/id/value", "is required: the id of a schema, 1 or more"))
	}
}

func (p *policy) inline(at string, c Inline, problems *apidef.Problems) {
	if oneOf(at+"/serializationFormat", c.SerializationFormat, problems, "", simple, confluent) {
		p.framed = c.SerializationFormat == confluent
	}
	if c.SchemaDefinition == "" {
		*problems = append(*problems, settings.Invalid(at+"/schemaDefinition", "is required: the text of a .proto file"))
		return
	}
	var err error
	if p.schema, err = protodoc.Parse(c.SchemaDefinition); err != nil {
		*problems = append(*problems, settings.Invalid(at+"/schemaDefinition", "is no Protobuf schema: "+err.Error()))
	}
}

func (p *policy) registry(at, name, format string, env policies.Env, problems *apidef.Problems) {
	p.framed = true
	oneOf(at+"/serializationFormat", format, problems, "", confluent)
	var err error
	if p.known.Registry, err = resource.Registry(env.Resource, name); err != nil {
		*problems = append(*problems, settings.Invalid(at+"/resourceName", err.Error()))
	}
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "INVALID_PROTOBUF_TRANSFORMATION",
		Message: "Unable to transform content with Protobuf", Err: err}
}

func (p *policy) toJSON(ctx context.Context, _ *policies.Context, in body.Input) ([]byte, bool, error) {
	schema, index, content := p.schema, protodoc.First, in.Content
	if p.framed {
		id, place, rest, err := protodoc.Open(in.Content)
		if err != nil {
			return nil, false, err
		}
		if index, content = place, rest; schema == nil {
			if schema, err = p.known.ByID(ctx, id); err != nil {
				return nil, false, err
			}
		}
	}
	out, err := schema.JSON(content, index, p.form)
	return out, true, err
}

func (p *policy) fromJSON(ctx context.Context, _ *policies.Context, in body.Input) ([]byte, bool, error) {
	schema, front := p.schema, []byte(nil)
	if schema == nil {
		var err error
		if schema, err = p.known.ByID(ctx, p.id); err != nil {
			return nil, false, err
		}
		front = protodoc.Frame(p.id)
	}
	out, err := schema.Append(front, in.Content, protodoc.First)
	return out, true, err
}
