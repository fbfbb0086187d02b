// Package avroprotobuf is the policy "avro-protobuf" (policies.md 9.4): it makes Protobuf of Avro's binary form.
//
// It runs in the phases request, response, publish and subscribe. Both schemas are in the configuration or in a schema registry. There
// the id in front of the content names Avro's (Confluent's wire format: a zero byte, the id in 4 bytes, the value), and the configuration
// the one of Protobuf, whose first message is written with the same format in front. In front of a value whose schema is in the
// configuration, SerializationFormat confluent takes the 5 bytes away and does not look at the id.
//
// A field goes to the field of its name, or of its name in lowerCamelCase. A value of a union is the value itself, null an absent field, an
// enum the value of the same name, bytes and fixed are bytes, a map a map; logical types are the types below them. A field that
// Protobuf's schema does not have, and a value that does not fit, are failures: nothing is lost unseen.
//
// Empty content stays as it is, and so do headers. What does not fit is a failure with status 500 and the key INVALID_PROTOBUF_TRANSFORMATION;
// so is a registry that cannot be asked. A combination of settings that cannot work is refused when the definition is saved, where the
// reference fails each message with UNSUPPORTED_CONFIGURATION_KEY. Documents may have 16 MiB, 1,000,000 values and 128 levels.
package avroprotobuf

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
	"github.com/sluice-gateway/sluice/policies/protodoc"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of avro-protobuf.
type Config struct {
	// Conversion is avro-to-protobuf. Required.
	Conversion string `json:"conversion"`
	// Avro is where the schema of what comes in is: one of its two.
	Avro Avro `json:"avro"`
	// Protobuf is where the schema of what goes out is: one of its two.
	Protobuf Protobuf `json:"protobuf"`
}

// Avro is where Avro's schema is.
type Avro struct {
	// InlineConfig is the schema itself.
	InlineConfig *Inline `json:"inlineConfig"`
	// SchemaRegistryConfig names the registry that has it; the content tells its id.
	SchemaRegistryConfig *Registry `json:"schemaRegistryConfig"`
}

// Protobuf is where Protobuf's schema is.
type Protobuf struct {
	// InlineConfig is the schema itself.
	InlineConfig *Inline `json:"inlineConfig"`
	// SchemaRegistryConfig names the registry that has it.
	SchemaRegistryConfig *RegistryOut `json:"schemaRegistryConfig"`
}

// Inline is a schema.
type Inline struct {
	// SchemaDefinition is the schema: Avro's as JSON text, Protobuf's as the text of a .proto file. Required.
	SchemaDefinition string `json:"schemaDefinition"`
	// SerializationFormat is simple, the value alone, or confluent, with 5 bytes in front. Default simple. Protobuf is simple.
	SerializationFormat string `json:"serializationFormat"`
}

// Registry names a registry.
type Registry struct {
	// ResourceName is the name of the API's schema registry. Required.
	ResourceName string `json:"resourceName"`
}

// RegistryOut names a schema of a registry.
type RegistryOut struct {
	// ResourceName is the name of the API's schema registry. Required.
	ResourceName string `json:"resourceName"`
	// SchemaIDConfig is the id of the schema, whose first message is written.
	SchemaIDConfig SchemaID `json:"schemaIdConfig"`
}

// SchemaID is the id of a schema.
type SchemaID struct {
	// SchemaIDLocation is inline: the id is SchemaID. Default inline.
	SchemaIDLocation string `json:"schemaIdLocation"`
	// SchemaID is the id, 1 or more. Required.
	SchemaID int `json:"schemaId"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "avro-protobuf",
	Name:    "Avro to Protobuf",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

type policy struct {
	avro     avro.Schema // nil: of the registry
	framed   bool        // 5 bytes are in front
	avros    resource.Parsed[avro.Schema]
	protobuf *protodoc.Schema // nil: of the registry, with the id
	id       int
	protos   resource.Parsed[*protodoc.Schema]
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{avros: resource.Parsed[avro.Schema]{Kind: resource.Avro, Parse: avrodoc.OfRegistry},
		protos: resource.Parsed[*protodoc.Schema]{Kind: resource.Protobuf, Parse: protodoc.OfRegistry}}
	k := check{problems: problems, env: env}
	k.oneOf("/conversion", c.Conversion, "avro-to-protobuf")
	if k.either("/avro", c.Avro.InlineConfig != nil, c.Avro.SchemaRegistryConfig != nil) {
		p.in(&c, &k)
	}
	if k.either("/protobuf", c.Protobuf.InlineConfig != nil, c.Protobuf.SchemaRegistryConfig != nil) {
		p.out(&c, &k)
	}
	asks := c.Avro.SchemaRegistryConfig != nil || c.Protobuf.SchemaRegistryConfig != nil
	return &body.Policy{Work: p.work, Fail: failure, Does: policies.Traits{Shared: true, Blocks: asks}}, k.problems
}

func (p *policy) in(c *Config, k *check) {
	if r := c.Avro.SchemaRegistryConfig; r != nil {
		p.framed, p.avros.Registry = true, k.registry("/avro/schemaRegistryConfig/resourceName", r.ResourceName)
		return
	}
	s := c.Avro.InlineConfig
	k.oneOf("/avro/inlineConfig/serializationFormat", s.SerializationFormat, "", "simple", "confluent")
	p.framed = s.SerializationFormat == "confluent"
	if k.given("/avro/inlineConfig/schemaDefinition", s.SchemaDefinition) {
		var err error
		p.avro, err = avrodoc.Parse(s.SchemaDefinition)
		k.fits("/avro/inlineConfig/schemaDefinition", "is no Avro schema", err)
	}
}

func (p *policy) out(c *Config, k *check) {
	if r := c.Protobuf.SchemaRegistryConfig; r != nil {
		p.protos.Registry = k.registry("/protobuf/schemaRegistryConfig/resourceName", r.ResourceName)
		k.oneOf("/protobuf/schemaRegistryConfig/schemaIdConfig/schemaIdLocation", r.SchemaIDConfig.SchemaIDLocation, "", "inline")
		if p.id = r.SchemaIDConfig.SchemaID; p.id < 1 {
			k.refuse("/protobuf/schemaRegistryConfig/schemaIdConfig/schemaId", "is required: the id of a schema, 1 or more")
		}
		return
	}
	s := c.Protobuf.InlineConfig
	if s.SerializationFormat == "confluent" {
		k.refuse("/protobuf/inlineConfig/serializationFormat", "confluent needs schemaRegistryConfig: there is no schema id to write")
	} else {
		k.oneOf("/protobuf/inlineConfig/serializationFormat", s.SerializationFormat, "", "simple")
	}
	if k.given("/protobuf/inlineConfig/schemaDefinition", s.SchemaDefinition) {
		var err error
		p.protobuf, err = protodoc.Parse(s.SchemaDefinition)
		k.fits("/protobuf/inlineConfig/schemaDefinition", "is no Protobuf schema", err)
	}
}

// check gathers what is wrong with a configuration.
type check struct {
	problems apidef.Problems
	env      policies.Env
}

func (k *check) refuse(at, text string) {
	k.problems = append(k.problems, settings.Invalid(at, text))
}

func (k *check) oneOf(at, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	k.refuse(at, "must be one of: "+strings.Join(allowed, ", "))
}

func (k *check) either(at string, inline, registry bool) bool {
	if inline == registry {
		k.refuse(at, "needs either inlineConfig or schemaRegistryConfig")
	}
	return inline != registry
}

func (k *check) given(at, schema string) bool {
	if schema == "" {
		k.refuse(at, "is required: the schema")
	}
	return schema != ""
}

func (k *check) fits(at, text string, err error) {
	if err != nil {
		k.refuse(at, text+": "+err.Error())
	}
}

func (k *check) registry(at, name string) resource.SchemaRegistry {
	r, err := resource.Registry(k.env.Resource, name)
	if err != nil {
		k.refuse(at, err.Error())
	}
	return r
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "INVALID_PROTOBUF_TRANSFORMATION",
		Message: "Unable to transform Avro to Protobuf", Err: err}
}

// form is what Protobuf's JSON mapping takes.
var form = avrodoc.Form{Base64: true}

func (p *policy) work(ctx context.Context, _ *policies.Context, in body.Input) ([]byte, bool, error) {
	from, value, err := p.open(ctx, in.Content)
	if err != nil {
		return nil, false, err
	}
	doc, err := avrodoc.Read(from, value, form)
	if err != nil {
		return nil, false, err
	}
	text, err := jsondoc.Append(make([]byte, 0, 2*len(value)), doc)
	if err != nil {
		return nil, false, err
	}
	to, front := p.protobuf, []byte(nil)
	if to == nil {
		if to, err = p.protos.ByID(ctx, p.id); err != nil {
			return nil, false, err
		}
		front = protodoc.Frame(p.id)
	}
	out, err := to.Append(front, text, protodoc.First)
	return out, true, err
}

// open takes what is in front of a value away, and finds its schema.
func (p *policy) open(ctx context.Context, content []byte) (avro.Schema, []byte, error) {
	if !p.framed {
		return p.avro, content, nil
	}
	id, value, err := new(sr.ConfluentHeader).DecodeID(content)
	if err != nil {
		return nil, nil, fmt.Errorf("the content does not begin with a zero byte and a schema id: %w", err)
	}
	if p.avro != nil {
		return p.avro, value, nil
	}
	s, err := p.avros.ByID(ctx, id)
	return s, value, err
}
