package apidef

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

func isZero[V comparable](v V) bool {
	var zero V
	return v == zero
}

// text is a text and nothing else.
var text = codec[string]{
	empty: isZero[string],
	read: func(r *reader, n *node, at place) string {
		if !r.want(textKind, n, at) {
			return ""
		}
		return n.text
	},
	write:  func(_ *writer, _ string, v string) *node { return textNode(v) },
	schema: func(map[string]any) map[string]any { return map[string]any{"type": "string"} },
}

// looseText is a text that people also write without quotes, so that YAML makes a number of it: version: 1.0.
var looseText = codec[string]{
	empty: isZero[string],
	read: func(r *reader, n *node, at place) string {
		if n.kind == numberKind || n.kind == flagKind {
			return n.text
		}
		return text.read(r, n, at)
	},
	write: text.write,
	schema: func(map[string]any) map[string]any {
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	},
}

// flag is true or false. YAML 1.1, which Kubernetes reads, has more words for that.
var flag = codec[bool]{
	empty: isZero[bool],
	read: func(r *reader, n *node, at place) bool {
		if n.kind == textKind {
			switch strings.ToLower(n.text) {
			case "true", "yes", "on":
				return true
			case "false", "no", "off":
				return false
			}
		}
		return r.want(flagKind, n, at) && n.text == "true"
	},
	write:  func(_ *writer, _ string, v bool) *node { return flagNode(v) },
	schema: func(map[string]any) map[string]any { return map[string]any{"type": []string{"boolean", "string"}} },
}

// number is a whole number.
var number = codec[int]{
	empty: isZero[int],
	read: func(r *reader, n *node, at place) int {
		if !r.want(numberKind, n, at) {
			return 0
		}
		v, ok := wholeNumber(n.text)
		if !ok {
			r.fail(at, CodeMemberType, "must be a whole number, not %s", n.text)
		}
		return v
	},
	write:  func(_ *writer, _ string, v int) *node { return numberNode(strconv.Itoa(v)) },
	schema: func(map[string]any) map[string]any { return map[string]any{"type": "integer"} },
}

// looseNumber is a whole number that people also write in quotes.
var looseNumber = codec[int]{
	empty: isZero[int],
	read: func(r *reader, n *node, at place) int {
		if n.kind == textKind && jsonLiteral.MatchString(n.text) {
			n = numberNode(n.text)
		}
		return number.read(r, n, at)
	},
	write:  number.write,
	schema: func(map[string]any) map[string]any { return map[string]any{"type": []string{"integer", "string"}} },
}

// wholeNumber reads a JSON number without a fraction: 3, 3.0 and 3e2 are.
func wholeNumber(literal string) (int, bool) {
	if i, err := strconv.Atoi(literal); err == nil {
		return i, true
	}
	const exact = 1 << 53 // beyond, a float no longer holds every whole number
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int(f), true
}

// opaque is a configuration: an object that belongs to a connector, a policy or a service, kept as it is. A text that
// holds one is accepted, since 3.20 stores them so (spec 1.1).
var opaque = codec[json.RawMessage]{
	empty: func(v json.RawMessage) bool { return len(v) == 0 },
	read: func(r *reader, n *node, at place) json.RawMessage {
		if n.kind == textKind {
			if strings.TrimSpace(n.text) == "" {
				return nil
			}
			inner, problems := parseJSON([]byte(n.text))
			for _, p := range problems {
				r.report(place{from: at.from + p.Pointer}, p.Severity, p.Code, "holds, as a text, JSON that cannot be read: "+p.Message)
			}
			if inner == nil {
				return nil
			}
			n = inner
		}
		if !r.want(objectKind, n, at) {
			return nil
		}
		return n.raw()
	},
	write:  writeRaw,
	schema: func(map[string]any) map[string]any { return map[string]any{"type": []string{"object", "string"}} },
}

// anything is kept as it is, whatever it is.
var anything = codec[json.RawMessage]{
	empty:  func(v json.RawMessage) bool { return len(v) == 0 },
	read:   func(_ *reader, n *node, _ place) json.RawMessage { return n.raw() },
	write:  writeRaw,
	schema: func(map[string]any) map[string]any { return map[string]any{} },
}

func writeRaw(w *writer, at string, v json.RawMessage) *node {
	n, problems := parseJSON(v)
	if n == nil || len(problems) > 0 {
		w.fail(at, problems)
		return nil
	}
	return n
}

// listOf is a list of what item is. Null and [] are the same nothing.
func listOf[V any](item codec[V]) codec[[]V] {
	return codec[[]V]{
		empty: func(v []V) bool { return len(v) == 0 },
		read: func(r *reader, n *node, at place) []V {
			if !r.want(listKind, n, at) {
				return nil
			}
			var all []V
			for i, in := range n.items {
				all = append(all, item.read(r, in, at.item(i)))
			}
			return all
		},
		write: func(w *writer, at string, v []V) *node {
			n := &node{kind: listKind}
			for i, in := range v {
				if out := item.write(w, itemOf(at, i), in); out != nil {
					n.items = append(n.items, out)
				}
			}
			return n
		},
		check: func(c *checker, at string, v []V) {
			for i, in := range v {
				if item.check != nil {
					item.check(c, itemOf(at, i), in)
				}
			}
		},
		schema: func(defs map[string]any) map[string]any {
			return map[string]any{"type": "array", "items": item.schema(defs)}
		},
	}
}

// mapOf is an object whose member names are data.
func mapOf[V any](item codec[V]) codec[map[string]V] {
	return codec[map[string]V]{
		empty: func(v map[string]V) bool { return len(v) == 0 },
		read: func(r *reader, n *node, at place) map[string]V {
			if !r.want(objectKind, n, at) || len(n.entries) == 0 {
				return nil
			}
			all := make(map[string]V, len(n.entries))
			for _, e := range n.entries {
				if e.value.kind != nullKind {
					all[e.name] = item.read(r, e.value, at.member(e.name, e.name))
				}
			}
			return all
		},
		write: func(w *writer, at string, v map[string]V) *node {
			n := &node{kind: objectKind}
			for _, name := range slices.Sorted(maps.Keys(v)) {
				n.set(name, item.write(w, childOf(at, name), v[name]))
			}
			return n
		},
		check: func(c *checker, at string, v map[string]V) {
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if item.check != nil {
					item.check(c, childOf(at, name), v[name])
				}
			}
		},
		schema: func(defs map[string]any) map[string]any {
			return map[string]any{"type": "object", "additionalProperties": item.schema(defs)}
		},
	}
}

// optional is a value that differs from its zero when it is absent.
func optional[V any](c codec[V]) codec[*V] {
	o := codec[*V]{
		empty: func(v *V) bool { return v == nil },
		read: func(r *reader, n *node, at place) *V {
			v := c.read(r, n, at)
			return &v
		},
		write:  func(w *writer, at string, v *V) *node { return c.write(w, at, *v) },
		schema: c.schema,
	}
	if c.check != nil {
		o.check = func(ch *checker, at string, v *V) { c.check(ch, at, *v) }
	}
	return o
}
