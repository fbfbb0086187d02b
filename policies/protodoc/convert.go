package protodoc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// Form is how messages are written as JSON.
type Form struct {
	// Defaults writes fields that have their default value, too, where they are no messages and no part of a oneof.
	Defaults bool
	// ProtoNames names fields as the schema does, rather than in lowerCamelCase.
	ProtoNames bool
	// Compact leaves out white space. Otherwise each member has its line, with two spaces for each level.
	Compact bool
}

// JSON returns the JSON of a message, the one at index of the schema.
func (s *Schema) JSON(data []byte, index []int, form Form) ([]byte, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", jsondoc.ErrLimit, maxBytes)
	}
	kind, err := s.message(index)
	if err != nil {
		return nil, err
	}
	c := counter{left: maxValues, types: s.types, defaults: form.Defaults}
	if err := c.message(kind, data, 0); err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(kind)
	if err := (proto.UnmarshalOptions{Resolver: s.types, RecursionLimit: maxDepth}).Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("the content is no %s: %w", kind.FullName(), err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: form.ProtoNames, EmitDefaultValues: form.Defaults, Resolver: s.types}.Marshal(m)
	if err != nil {
		return nil, err
	}
	// The library puts white space in at random, so that nobody relies on its form.
	var out bytes.Buffer
	if form.Compact {
		err = json.Compact(&out, text)
	} else {
		err = json.Indent(&out, text, "", "  ")
	}
	if err == nil && out.Len() > maxBytes {
		err = fmt.Errorf("%w: the result has more than %d bytes", jsondoc.ErrLimit, maxBytes)
	}
	return out.Bytes(), err
}

// Append writes JSON as a message, the one at index of the schema. A member that no field has is an error.
func (s *Schema) Append(dst, text []byte, index []int) ([]byte, error) {
	kind, err := s.message(index)
	if err != nil {
		return dst, err
	}
	// It bounds what is read: size, depth and number of values.
	if _, err := jsondoc.Parse(text); err != nil {
		return dst, err
	}
	m := dynamicpb.NewMessage(kind)
	if err := (protojson.UnmarshalOptions{Resolver: s.types, RecursionLimit: maxDepth}).Unmarshal(text, m); err != nil {
		return dst, fmt.Errorf("the content is no %s: %w", kind.FullName(), err)
	}
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
}
