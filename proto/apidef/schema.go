package apidef

import (
	"encoding/json"
	"maps"
	"slices"
)

// Schema is the JSON Schema (2020-12) of a definition, made from the same tables that read and write it: the names of
// all dialects, enums in both spellings, unknown members allowed, since they are kept. It is what an editor needs; the
// rules that span several members are Validate's.
func Schema() []byte {
	defs := map[string]any{}
	root := apiShape.schema(defs)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "urn:sluice:api-v4"
	root["title"] = "V4 API definition"
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("apidef: the schema has no JSON form: " + err.Error()) // it is made of maps, lists and texts
	}
	return append(out, '\n')
}

// schema puts the object among defs and returns the reference to it.
func (s *shape[T]) schema(defs map[string]any) map[string]any {
	ref := map[string]any{"$ref": "#/$defs/" + s.name}
	if defs[s.name] != nil {
		return ref
	}
	properties, required := map[string]any{}, []string{}
	var either []any
	for _, f := range s.fields {
		v := f.schema(defs)
		names := slices.Compact(append([]string{f.name}, slices.Sorted(maps.Values(f.in))...))
		names = append(names, f.former...)
		var known []any
		for _, name := range names {
			properties[name] = v
			known = append(known, map[string]any{"required": []string{name}})
		}
		switch {
		case f.required != "" && len(names) == 1:
			required = append(required, f.name)
		case f.required != "":
			either = append(either, map[string]any{"anyOf": known})
		}
	}
	for _, name := range s.carried {
		properties[name] = map[string]any{}
	}
	def := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		def["required"] = required
	}
	if len(either) > 0 {
		def["allOf"] = either
	}
	defs[s.name] = def
	return ref
}
