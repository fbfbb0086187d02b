package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// page is the whole page of a policy or resource.
func (s *subject) page(src *sources) ([]byte, error) {
	about, err := src.of(s.pkg)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s%s; run 'make docs'. DO NOT EDIT. -->\n\n# %s\n\n", mark, strings.TrimPrefix(s.pkg, module), s.name)
	fmt.Fprintf(&out, "| | |\n|---|---|\n| `%s` | `%s` |\n", map[string]string{"policy": "policy", "resource": "type"}[s.kind], s.id)
	if names := withoutDuplicates(s.aliases); len(names) > 0 {
		fmt.Fprintf(&out, "| also called | `%s` |\n", strings.Join(names, "`, `"))
	}
	if s.phases != "" {
		fmt.Fprintf(&out, "| phases | %s |\n", s.phases)
	}
	fmt.Fprintf(&out, "\n%s", introduction(about.doc))
	if s.config == nil {
		out.WriteString("\nIt has no configuration.\n")
	} else {
		fmt.Fprintf(&out, "\n## Configuration\n\nAs [JSON Schema](%s.schema.json).\n", s.id)
		if err := src.table(&out, "", reflect.ValueOf(s.config).Elem(), map[reflect.Type]bool{}); err != nil {
			return nil, err
		}
	}
	if s.kind == "policy" {
		if err := s.examples(&out, about.dir); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// table writes the fields of an object, and then those of the objects in it, each type once.
func (s *sources) table(out *bytes.Buffer, at string, v reflect.Value, told map[reflect.Type]bool) error {
	told[v.Type()] = true
	members, err := s.members(v)
	if err != nil || len(members) == 0 {
		return err
	}
	out.WriteString("\n| field | type | default | |\n|---|---|---|---|\n")
	type inner struct {
		at    string
		value reflect.Value
	}
	var more []inner
	for _, m := range members {
		fallback := ""
		if d, ok := m.fallback(); ok {
			text, err := json.Marshal(d)
			if err != nil {
				return err
			}
			fallback = "`" + string(text) + "`"
		}
		fmt.Fprintf(out, "| `%s%s` | %s | %s | %s |\n", at, m.name, typeName(m.typ), cell(fallback), cell(m.comment))
		if t, suffix := objectOf(m.typ); t != nil && !told[t] {
			value := m.value
			for value.Kind() == reflect.Pointer && !value.IsNil() {
				value = value.Elem()
			}
			if value.Type() != t {
				value = reflect.Zero(t)
			}
			told[t] = true
			more = append(more, inner{at + m.name + suffix, value})
		}
	}
	for _, i := range more {
		fmt.Fprintf(out, "\n`%s`:\n", strings.TrimSuffix(i.at, "."))
		if err := s.table(out, i.at, i.value, told); err != nil {
			return err
		}
	}
	return nil
}

// cell is a text in a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
}

// objectOf is the struct that values of a type hold, and how its fields are reached; nil: none.
func objectOf(t reflect.Type) (object reflect.Type, suffix string) {
	suffix = "."
	for {
		switch t.Kind() {
		case reflect.Pointer:
		case reflect.Slice:
			if t == raw {
				return nil, ""
			}
			suffix = "[]" + suffix
		case reflect.Map:
			suffix = ".*" + suffix
		case reflect.Struct:
			return t, suffix
		default:
			return nil, ""
		}
		t = t.Elem()
	}
}

func typeName(t reflect.Type) string {
	if t == raw {
		return "any JSON"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Struct:
		return "object"
	case reflect.Slice:
		if object, _ := objectOf(t); object != nil {
			return "list of objects"
		}
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.Map:
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Float64:
		return "number"
	}
	return "whole number"
}

// examples writes the cases of the tables, as the tables have them.
func (s *subject) examples(out *bytes.Buffer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "testdata", "*.yaml"))
	if err != nil {
		return err
	}
	var shown, refused bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var cases []yaml.Node
		if err := yaml.Unmarshal(data, &cases); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for i := range cases {
			if err := s.example(&shown, &refused, &cases[i]); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if shown.Len() > 0 {
		fmt.Fprintf(out, "\n## Examples\n\nEach is run as a test: `phase`, `configuration` and the rest of the step, what a client sends or the endpoint holds, and what comes of it.\n%s", shown.Bytes())
	}
	if refused.Len() > 0 {
		fmt.Fprintf(out, "\n## Refused when it is saved\n\n%s", refused.Bytes())
	}
	return nil
}

// fixture is the address of a server of the tests.
var fixture = regexp.MustCompile(`\$\{fixture\.(\w+)\.url\}`)

func (s *subject) example(shown, refused *bytes.Buffer, node *yaml.Node) error {
	var c struct {
		Name          string
		Policy        string
		Configuration any
		Invalid       []struct{ Pointer, Contains string }
	}
	if err := node.Decode(&c); err != nil {
		return err
	}
	if c.Policy != "" && c.Policy != s.id || c.Policy == "" && !s.single {
		return nil
	}
	if len(c.Invalid) > 0 {
		fmt.Fprintf(refused, "- %s:", upper(c.Name))
		for _, p := range c.Invalid {
			fmt.Fprintf(refused, " `%s` %s;", p.Pointer, p.Contains)
		}
		refused.Truncate(refused.Len() - 1)
		refused.WriteByte('\n')
		return nil
	}
	for i := 0; i+1 < len(node.Content); {
		if name := node.Content[i].Value; name == "name" || name == "policy" {
			node.Content = append(node.Content[:i], node.Content[i+2:]...)
			continue
		}
		i += 2
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	text = fixture.ReplaceAll(text, []byte("https://$1.example"))
	fmt.Fprintf(shown, "\n**%s.**\n\n```yaml\n%s```\n", upper(c.Name), text)
	return nil
}

// upper makes a sentence of the name of a case.
func upper(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if text == "" || hump.MatchString(first) {
		return text // the name of a field stays as it is
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
