package jolt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// path leads to a place in a document. Its parts may refer to keys that were matched.
type path struct{ elements []*element }

func (p *path) canonical() string {
	parts := make([]string, len(p.elements))
	for i, e := range p.elements {
		parts[i] = e.canonical
	}
	return strings.Join(parts, ".")
}

// parsePath reads a path with dots.
func parsePath(text string) (*path, error) {
	if strings.Contains(text, "*") && !strings.Contains(text, `\*`) || strings.Contains(text, "$") && !strings.Contains(text, `\$`) {
		return nil, fmt.Errorf("the path %q has * or $, which only keys can have", text)
	}
	p := &path{}
	if strings.TrimSpace(text) == "" {
		return p, nil
	}
	parts, err := cut(sugar(text), text)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		e, err := parseKey(part)
		if err != nil {
			return nil, err
		}
		switch e.kind {
		case at, hash, starAll, starSingle, starDouble, starRegex:
			return nil, fmt.Errorf("%q cannot be a part of the path %q", part, text)
		}
		p.elements = append(p.elements, e)
	}
	return p, nil
}

// sugar puts dots before brackets: a[0] is a.[0].
func sugar(text string) string {
	var b strings.Builder
	prev := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if i > 0 && c == '[' && prev != '\\' && prev != '@' && prev != '.' {
			b.WriteByte('.')
		}
		b.WriteByte(c)
		prev = c
	}
	return b.String()
}

// cut cuts a path at its dots, other than those that are escaped or within @(...).
func cut(text, whole string) ([]string, error) {
	var out []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
		}
		b.Reset()
	}
	escaped := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		escapes := c == '\\' && !escaped
		switch {
		case escaped && c != '.' && c != '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '@':
			part, n, err := atPart(text[i+1:], whole)
			if err != nil {
				return nil, err
			}
			b.WriteByte('@')
			b.WriteString(part)
			i += n
			if s := b.String(); !strings.Contains(s, "[") || strings.Contains(s, "]") {
				flush()
			}
		case c == '.' && escaped:
			b.WriteByte('.')
		case c == '.':
			flush()
			escapes = false
		case !escapes:
			b.WriteByte(c)
		}
		escaped = escapes
	}
	flush()
	return out, nil
}

// atPart is what belongs to an @, and how much of the text that is.
func atPart(text, whole string) (part string, n int, err error) {
	if text == "" {
		return "", 0, nil
	}
	switch text[0] {
	case '.':
		return "", 0, fmt.Errorf("the path %q has an @ with nothing behind it", whole)
	case '(':
		end := strings.IndexByte(text, ')')
		if end < 0 || strings.Contains(text[1:end], "(") {
			return "", 0, fmt.Errorf("the path %q has an @( without its )", whole)
		}
		return text[:end+1], end + 1, nil
	}
	if end := strings.IndexByte(text, '.'); end >= 0 {
		return "(" + text[:end] + ")", end + 1, nil
	}
	return text, len(text), nil
}

// keys are the parts of the path now; ok false: it leads nowhere.
func (p *path) keys(r *run) (keys []string, ok bool, err error) {
	keys = make([]string, len(p.elements))
	for i, e := range p.elements {
		if keys[i], ok, err = e.evaluate(r); err != nil || !ok {
			return nil, false, err
		}
	}
	return keys, true, nil
}

// read returns what the path leads to.
func (p *path) read(r *run, tree any) (v any, ok bool, err error) {
	keys, ok, err := p.keys(r)
	if err != nil || !ok {
		return nil, false, err
	}
	if len(keys) == 0 {
		return nil, false, nil
	}
	for i, e := range p.elements {
		switch x := tree.(type) {
		case *jsondoc.Object:
			if isList(e) {
				return nil, false, nil
			}
			tree, ok = x.Get(keys[i])
		case *jsondoc.Array:
			if !isList(e) {
				return nil, false, nil
			}
			n, err := strconv.Atoi(keys[i])
			if ok = err == nil && n < len(x.Items); ok {
				tree = x.Items[n]
			} else {
				tree = nil
			}
		default:
			return nil, false, nil
		}
	}
	return tree, ok, nil
}

// isList tells whether a part of a path is an item of an array.
func isList(e *element) bool {
	return e.kind == array || strings.HasPrefix(e.canonical, "[") && strings.HasSuffix(e.canonical, "]")
}

// write puts data where the path leads: a second value at a place makes a list of both.
func (p *path) write(r *run, tree *jsondoc.Object, data any) error {
	keys, ok, err := p.keys(r)
	if err != nil || !ok {
		return err
	}
	var at any = tree
	for i, e := range p.elements {
		if err := r.spend(1); err != nil {
			return err
		}
		s, ok, err := slotOf(r, at, e, keys[i])
		if err != nil || !ok {
			return err
		}
		if i == len(keys)-1 {
			s.add(data)
			return nil
		}
		if at = s.get(); at == nil {
			if isList(p.elements[i+1]) {
				at = jsondoc.NewArray()
			} else {
				at = new(jsondoc.Object)
			}
			s.set(at)
		}
	}
	return nil
}

// slot is a place in an object or an array.
type slot struct {
	object *jsondoc.Object
	name   string
	array  *jsondoc.Array
	index  int // none: at the end
}

// slotOf is a place below a value; ok false: the value is of another kind.
func slotOf(r *run, tree any, e *element, key string) (s slot, ok bool, err error) {
	if !isList(e) {
		o, ok := tree.(*jsondoc.Object)
		return slot{object: o, name: key}, ok, nil
	}
	a, ok := tree.(*jsondoc.Array)
	if !ok || key == "[]" {
		return slot{array: a, index: none}, ok, nil
	}
	n, err := strconv.Atoi(key)
	switch {
	case err != nil:
		return slot{}, false, errors.New("an index of an array is not a number")
	case n > maxIndex:
		return slot{}, false, fmt.Errorf("%w: an index of more than %d", ErrLimit, maxIndex)
	}
	return slot{array: a, index: n}, true, r.spend(max(0, n-len(a.Items)))
}

func (s *slot) get() any {
	if s.object != nil {
		v, _ := s.object.Get(s.name)
		return v
	}
	if s.index != none && s.index < len(s.array.Items) {
		return s.array.Items[s.index]
	}
	return nil
}

func (s *slot) set(v any) {
	switch {
	case s.object != nil:
		s.object.Set(s.name, v)
	case s.index == none:
		s.array.Items = append(s.array.Items, v)
	default:
		for len(s.array.Items) <= s.index {
			s.array.Items = append(s.array.Items, nil)
		}
		s.array.Items[s.index] = v
	}
}

func (s *slot) add(v any) {
	switch old := s.get().(type) {
	case nil:
		s.set(v)
	case *jsondoc.Array:
		old.Items = append(old.Items, v)
	default:
		s.set(jsondoc.NewArray(old, v))
	}
}
