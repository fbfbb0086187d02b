package el

import (
	"errors"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// jsonQuery is a compiled JSONPath.
type jsonQuery struct {
	path     jp.Expr
	definite bool // it names one place, so that the result is its value, not a list
}

// compileJSONPath reads a path in Jayway's syntax.
func compileJSONPath(text string) (q any, err error) {
	if len(text) > maxPath {
		return nil, errors.New("is too long")
	}
	text = strings.TrimSpace(text)
	if text != "" && text[0] != '$' && text[0] != '@' {
		text = "$." + text // as Jayway does
	}
	defer func() {
		if recover() != nil {
			q, err = nil, errors.New("is not a JSONPath")
		}
	}()
	path, err := jp.ParseString(text)
	if err != nil {
		return nil, errors.New("is not a JSONPath: " + err.Error())
	}
	if len(path) == 0 {
		return nil, errors.New("is empty")
	}
	return &jsonQuery{path: path, definite: definite(path)}, nil
}

func definite(path jp.Expr) bool {
	for _, f := range path {
		switch f.(type) {
		case jp.Root, jp.At, jp.Child, jp.Nth, jp.Bracket:
		default:
			return false
		}
	}
	return true
}

// run applies the path. A missing leaf is null, a missing part before it an error (addenda 6.3-b); a path that may name many
// places gives a list of those that there are.
func (q *jsonQuery) run(doc Value) (Value, error) {
	if q.definite {
		return q.walk(doc)
	}
	if !doc.isList() && doc.kind != Map {
		return OfList(nil), nil
	}
	found, err := q.get(doc)
	if err != nil {
		return Value{}, err
	}
	if len(found) > maxItems {
		return Value{}, faultf(CodeSize, "a list of more than %d elements", maxItems)
	}
	items := make([]Value, len(found))
	for i, x := range found {
		items[i] = fromPath(x)
	}
	v := OfList(items)
	v.view = doc.view
	return v, nil
}

// get has the library search; it panics on some functions of filters that are given wrong types.
func (q *jsonQuery) get(doc Value) (found []any, err error) {
	defer func() {
		if recover() != nil {
			found, err = nil, faultf(CodePath, "the path cannot be applied to this document")
		}
	}()
	return q.path.Get(toPath(doc)), nil
}

// walk follows a path that names one place.
func (q *jsonQuery) walk(v Value) (Value, error) {
	for i, f := range q.path {
		var next Value
		there := false
		switch f := f.(type) {
		case jp.Child:
			if v.kind == Map {
				next, there = v.mapping().Get(string(f))
			}
		case jp.Nth:
			n := int(f)
			if v.isList() {
				if n < 0 {
					n += v.Len()
				}
				if there = n >= 0 && n < v.Len(); there {
					next = v.At(n)
				} else {
					return Value{}, faultf(CodePath, "the path leads beyond an array of %d elements", v.Len())
				}
			}
		default:
			continue
		}
		if there {
			v = next
			continue
		}
		if _, child := f.(jp.Child); child && i == len(q.path)-1 && v.kind == Map {
			return Value{}, nil
		}
		return Value{}, faultf(CodePath, "the path leads to nothing: %s is missing", q.path[:i+1].String())
	}
	return v, nil
}

// toPath is a value as the path library wants it: maps and lists serve it as they are.
func toPath(v Value) any {
	switch v.kind {
	case Map:
		if d, ok := v.ref.(*Dict); ok {
			return d
		}
		d := new(Dict)
		v.mapping().Each(func(key string, e Value) bool { d.put(key, e); return true })
		return d
	case List, Values:
		return &indexed{v}
	}
	return v.Any()
}

// fromPath is what the path library found.
func fromPath(x any) Value {
	switch x := x.(type) {
	case int64:
		return OfInt(x)
	case *Dict:
		return OfMap(x)
	case *indexed:
		return x.v
	}
	return Of(x)
}

// indexed is a list as the path library wants it.
type indexed struct{ v Value }

// Size implements jp.Indexed.
func (l *indexed) Size() int { return l.v.Len() }

// ValueAtIndex implements jp.Indexed.
func (l *indexed) ValueAtIndex(i int) any {
	if i < 0 || i >= l.v.Len() {
		return nil
	}
	return toPath(l.v.At(i))
}

// SetValueAtIndex implements jp.Indexed; nothing sets.
func (l *indexed) SetValueAtIndex(int, any) {}

// ValueForKey implements jp.Keyed.
func (d *Dict) ValueForKey(key string) (any, bool) {
	v, ok := d.Get(key)
	return toPath(v), ok
}

// Keys implements jp.Keyed.
func (d *Dict) Keys() []string { return d.keys }

// SetValueForKey implements jp.Keyed; nothing sets.
func (d *Dict) SetValueForKey(string, any) {}

// RemoveValueForKey implements jp.Keyed; nothing removes.
func (d *Dict) RemoveValueForKey(string) {}
