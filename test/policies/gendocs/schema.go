package main

import (
	"encoding/json"
	"fmt"
	"reflect"
)

var raw = reflect.TypeFor[json.RawMessage]()

// member is a field of a configuration.
type member struct {
	name, comment string
	typ           reflect.Type
	value         reflect.Value // its default
}

// members are the fields of a configuration, those of embedded structs among them.
func (s *sources) members(v reflect.Value) ([]member, error) {
	var out []member
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			inner, err := s.members(v.Field(i))
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
			continue
		}
		name := jsonName(f)
		if name == "" {
			continue
		}
		comment, err := s.comment(t, f)
		if err != nil {
			return nil, err
		}
		out = append(out, member{name, comment, f.Type, v.Field(i)})
	}
	return out, nil
}

// schema is the JSON Schema of a configuration, as lenient as what reads it: numbers and booleans may be texts, null is as good
// as nothing, unknown members are passed over.
func (s *subject) schema(src *sources) ([]byte, error) {
	out, err := src.object(reflect.ValueOf(s.config).Elem(), 0)
	if err != nil {
		return nil, err
	}
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["$id"] = "urn:sluice:" + s.kind + ":" + s.id
	out["title"] = s.name
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}

// maxDepth bounds how deep configurations are described: one that holds itself has no end.
const maxDepth = 12

func (s *sources) object(v reflect.Value, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return map[string]any{}, nil
	}
	members, err := s.members(v)
	if err != nil {
		return nil, err
	}
	properties := map[string]any{}
	for _, m := range members {
		one, err := s.of1(m.typ, m.value, depth)
		if err != nil {
			return nil, err
		}
		one["description"] = m.comment
		if d, ok := m.fallback(); ok {
			one["default"] = d
		}
		properties[m.name] = one
	}
	return map[string]any{"type": []string{"object", "null"}, "properties": properties}, nil
}

// of1 is the schema of one value.
func (s *sources) of1(t reflect.Type, v reflect.Value, depth int) (map[string]any, error) {
	if t == raw {
		return map[string]any{}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsValid() && !v.IsNil() {
			return s.of1(t.Elem(), v.Elem(), depth)
		}
		return s.of1(t.Elem(), reflect.Zero(t.Elem()), depth)
	case reflect.Struct:
		return s.object(v, depth+1)
	case reflect.Slice:
		items, err := s.of1(t.Elem(), reflect.Zero(t.Elem()), depth+1)
		return map[string]any{"type": []string{"array", "null"}, "items": items}, err
	case reflect.Map:
		values, err := s.of1(t.Elem(), reflect.Zero(t.Elem()), depth+1)
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": values}, err
	case reflect.Bool:
		return map[string]any{"enum": []any{true, false, "true", "false", nil}}, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": []string{"integer", "string", "null"}, "pattern": `^[+-]?[0-9]+$`}, nil
	case reflect.Float64:
		return map[string]any{"type": []string{"number", "string", "null"}}, nil
	case reflect.String:
		return map[string]any{"type": []string{"string", "number", "boolean", "null"}}, nil
	}
	return nil, fmt.Errorf("type %s has no schema", t)
}

// fallback is the default of a member; ok false: it has none that says something.
func (m *member) fallback() (value any, ok bool) {
	v := m.value
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, false
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return v.Interface(), m.typ.Kind() != reflect.Pointer || !m.value.IsNil()
	case reflect.String:
		return v.Interface(), v.Len() > 0
	case reflect.Slice:
		return v.Interface(), v.Len() > 0 && m.typ != raw
	}
	return nil, false
}
