package apidef

import (
	"fmt"
	"slices"
	"strings"
)

// enum is a text out of a few. It is read whatever its case and whether its words are joined by "_" or "-"; it is
// written as the dialect spells it: the value itself for the gateway, AT_LEAST_ONCE for the others.
type enum[E ~string] struct {
	code     string       // of the problem where the text is none of the values
	values   []E          // in the normal form, in the order they are told to people
	also     map[string]E // other spellings, folded
	foreign  []string     // folded values that other products know and Sluice does not serve
	fallback E            // "": an unknown text is an error; else it is this, with a warning (spec 1.1)
}

// fold takes the spelling out of a name.
func fold(s string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), "_", "-"))
}

// parse finds the value that a text means.
func (e *enum[E]) parse(s string) (E, bool) {
	folded := fold(s)
	for _, v := range e.values {
		if fold(string(v)) == folded {
			return v, true
		}
	}
	v, ok := e.also[folded]
	return v, ok
}

func (e *enum[E]) choices() string {
	names := make([]string, len(e.values))
	for i, v := range e.values {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}

func (e *enum[E]) refusal(s string) string {
	if slices.Contains(e.foreign, fold(s)) {
		return fmt.Sprintf("%s is not supported; choose one of: %s", s, e.choices())
	}
	return fmt.Sprintf("%q is unknown; choose one of: %s", s, e.choices())
}

// oneOf is the codec of an enum.
func oneOf[E ~string](e *enum[E]) codec[E] {
	return codec[E]{
		empty: isZero[E],
		read: func(r *reader, n *node, at place) E {
			if !r.want(textKind, n, at) {
				return ""
			}
			v, ok := e.parse(n.text)
			switch {
			case ok:
				return v
			case strings.TrimSpace(n.text) == "":
				return ""
			case e.fallback != "":
				r.warn(at, CodeValueDefaulted, "%q is unknown and read as %s; choose one of: %s", n.text, e.fallback, e.choices())
				return e.fallback
			}
			r.fail(at, e.code, "%s", e.refusal(n.text))
			return E(n.text)
		},
		write: func(w *writer, _ string, v E) *node {
			if w.dialect != Gateway && slices.Contains(e.values, v) {
				return textNode(strings.ToUpper(strings.ReplaceAll(string(v), "-", "_")))
			}
			return textNode(string(v))
		},
		check: func(c *checker, at string, v E) {
			if !slices.Contains(e.values, v) {
				c.fail(at, e.code, "%s", e.refusal(string(v)))
			}
		},
		schema: e.schema,
	}
}

// schema lists both spellings; that any case is read as well is no help to an editor.
func (e *enum[E]) schema(map[string]any) map[string]any {
	var all []string
	for _, v := range e.values {
		all = append(all, string(v))
	}
	for folded := range e.also {
		all = append(all, folded)
	}
	for _, v := range slices.Clone(all) {
		all = append(all, strings.ToUpper(strings.ReplaceAll(v, "-", "_")), strings.ToLower(v))
	}
	slices.Sort(all)
	return map[string]any{"enum": slices.Compact(all)}
}
