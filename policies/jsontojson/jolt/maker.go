package jolt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maker makes a value: a function of arguments, or an argument alone.
type maker struct {
	do   function // nil: the argument
	args []argument
}

// argument is a value, or where it is.
type argument struct {
	value any
	at    *element // @(...)
	gone  bool     // ^path: of a context, which there is none of
}

// parseMaker reads the right side of a key: "=name", "=name(args)", "@(...)", "^path" or a text.
func parseMaker(text string) (maker, error) {
	if !strings.HasPrefix(text, "=") {
		a, err := parseArgument(text, false)
		return maker{args: []argument{a}}, err
	}
	call := text[1:]
	name, rest, args := strings.Cut(call, "(")
	do, ok := functions[strings.TrimSpace(name)]
	switch {
	case !ok || name != strings.TrimSpace(name):
		return maker{}, fmt.Errorf("%q is not a function; there are %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	case args != strings.HasSuffix(call, ")"):
		return maker{}, fmt.Errorf("%q has one parenthesis only", text)
	case !args:
		return maker{do: do}, nil
	}
	m := maker{do: do}
	for _, part := range arguments(rest[:len(rest)-1]) {
		a, err := parseArgument(part, true)
		if err != nil {
			return maker{}, err
		}
		m.args = append(m.args, a)
	}
	return m, nil
}

// arguments cuts at the commas that are outside of parentheses and quotes.
func arguments(text string) []string {
	var out []string
	from, brackets, quotes := 0, false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			quotes = !quotes
		case c == '(' && !quotes:
			brackets = true
		case c == ')' && !quotes:
			brackets = false
		case c == ',' && !brackets && !quotes:
			out = append(out, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(text[from:]))
}

// parseArgument reads an argument; typed: of a function, where numbers and booleans are such.
func parseArgument(text string, typed bool) (argument, error) {
	switch {
	case text == "^":
		return argument{}, nil
	case strings.HasPrefix(text, "^"):
		return argument{gone: true}, nil
	case strings.HasPrefix(text, "@"):
		p, err := rooted(text)
		if err != nil {
			return argument{}, err
		}
		last := p.elements[len(p.elements)-1]
		if last.kind != transpose {
			return argument{}, fmt.Errorf("%q is not @(...)", text)
		}
		return argument{at: last}, nil
	case !typed:
		return argument{value: text}, nil
	case text == "":
		return argument{}, nil
	case len(text) > 1 && text[0] == '\'' && text[len(text)-1] == '\'':
		return argument{value: text[1 : len(text)-1]}, nil
	case strings.EqualFold(text, "true"), strings.EqualFold(text, "false"):
		return argument{value: strings.EqualFold(text, "true")}, nil
	}
	if n := toNumber(text); n != nil {
		return argument{value: n}, nil
	}
	return argument{value: text}, nil
}

func (a *argument) get(r *run) (maybe, error) {
	switch {
	case a.gone:
		return maybe{}, nil
	case a.at == nil:
		v, err := clone(r, a.value)
		return maybe{v, true}, err
	}
	v, ok, err := a.at.value(r)
	return maybe{v, ok}, err
}

// make returns the value; in is that of the key itself.
func (m *maker) make(r *run, in maybe) (maybe, error) {
	if m.do == nil {
		return m.args[0].get(r)
	}
	args := make([]any, 0, max(1, len(m.args)))
	for i := range m.args {
		v, err := m.args[i].get(r)
		if err != nil {
			return maybe{}, err
		}
		if v.ok || len(m.args) > 1 {
			args = append(args, v.v)
		}
	}
	if len(m.args) == 0 && in.ok {
		args = append(args, in.v)
	}
	v, ok, err := m.do(r, args)
	return maybe{v, ok}, err
}
