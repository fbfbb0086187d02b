package apidef_test

import (
	"bytes"
	"encoding/json"

	"pgregory.net/rapid"
)

// awkward are texts that a format has mistaken for something else before.
var awkward = []string{
	"yes", "NO", "null", "~", "1.0", "0x1F", "1e3", ".inf", "2026-11-22", "<<", "*a", "&a", "- a", "a: b", "#c", " a ", "a\nb\n", "\t",
	"{#message.headers.foo == 'bar'}", "a/b~c", "\u2028", "\ufeff", "\u0085", "\x00", "\x7f", "ü", "💧", "[[ secret `a/b` ]]", "'", "\"", "\\", "%", "@", "<&>",
}

func maybeText(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "text") {
	case 0:
		return ""
	case 1:
		return rapid.SampledFrom(awkward).Draw(t, "awkward")
	case 2:
		return rapid.String().Draw(t, "any")
	}
	return rapid.StringMatching(`[a-z][a-z-]{0,8}`).Draw(t, "word")
}

func someText(t *rapid.T) string { return "n" + maybeText(t) }
func yes(t *rapid.T) bool        { return rapid.Bool().Draw(t, "yes") }
func number(t *rapid.T) int      { return rapid.Int().Draw(t, "number") }

func oneOf[V any](t *rapid.T, values ...V) V { return rapid.SampledFrom(values).Draw(t, "one") }

func maybe[V any](t *rapid.T, draw func(*rapid.T) V) *V {
	if !yes(t) {
		return nil
	}
	v := draw(t)
	return &v
}

// many is up to two values, nil where there are none: the normal form has no empty lists.
func many[V any](t *rapid.T, draw func(*rapid.T) V) []V {
	var all []V
	for range rapid.IntRange(0, 2).Draw(t, "many") {
		all = append(all, draw(t))
	}
	return all
}

func quoted(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
