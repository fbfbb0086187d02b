// Package avrodoc makes JSON documents of Avro's binary form and the other way round, by an Avro schema. Schemas are parsed, and the
// primitives read and written, by hamba/avro; what stands in between is here because that library decodes into Go values, which
// lose the order of fields and which branch of a union a value is of. Reading is bounded in depth, size and number of values. It does no
// I/O and starts no goroutine.
package avrodoc

import (
	"errors"
	"fmt"

	"github.com/hamba/avro/v2"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/resource"
)

// Form is how documents are written as JSON.
type Form struct {
	// Wrapped: a value of a union, other than null, stands in an object with the name of its type, as in Avro's JSON encoding.
	Wrapped bool
	// OmitNulls leaves out fields that are null.
	OmitNulls bool
	// Base64 writes bytes in base64 rather than as characters U+0000 to U+00FF.
	Base64 bool
	// Lenient ignores members that no field has. Otherwise they are an error.
	Lenient bool
}

// Limits of a document.
const (
	maxBytes  = jsondoc.MaxSize
	maxValues = 1_000_000
)

var config = avro.Config{MaxByteSliceSize: maxBytes}.Freeze()

// Parse reads a schema with those that it refers to, which come before what refers to them.
func Parse(text string, references ...resource.Reference) (avro.Schema, error) {
	cache := &avro.SchemaCache{}
	for _, r := range references {
		if _, err := avro.ParseWithCache(r.Text, "", cache); err != nil {
			return nil, fmt.Errorf("the reference %q: %w", r.Name, err)
		}
	}
	return avro.ParseWithCache(text, "", cache)
}

// OfRegistry reads a schema of a registry.
func OfRegistry(s *resource.Schema) (avro.Schema, error) { return Parse(s.Text, s.References...) }

var (
	errDeep   = fmt.Errorf("%w: more than %d levels deep", jsondoc.ErrLimit, jsondoc.MaxDepth)
	errMany   = fmt.Errorf("%w: more than %d values", jsondoc.ErrLimit, maxValues)
	errBehind = errors.New("there is more behind the value")
)

// nameOf is what a branch of a union is called in JSON.
func nameOf(s avro.Schema) string {
	switch x := s.(type) {
	case *avro.RefSchema:
		return x.Schema().FullName()
	case avro.NamedSchema:
		return x.FullName()
	}
	return string(s.Type())
}

// follow is the schema that a reference stands for.
func follow(s avro.Schema) avro.Schema {
	if r, ok := s.(*avro.RefSchema); ok {
		return r.Schema()
	}
	return s
}
