package jolt

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// function is a stock function of modify; ok false: it gives no value.
type function func(r *run, args []any) (v any, ok bool, err error)

var functions = map[string]function{
	"toLower":                each(worded(strings.ToLower)),
	"toUpper":                each(worded(strings.ToUpper)),
	"trim":                   each(worded(func(s string) string { return strings.TrimFunc(s, func(c rune) bool { return c <= ' ' }) })),
	"concat":                 ofList(concat),
	"substring":              ofList(substring),
	"join":                   ofFirst(func(v any) bool { _, ok := v.(string); return ok }, join),
	"split":                  split,
	"leftPad":                ofFirst(func(v any) bool { _, ok := v.(string); return ok }, pad(true)),
	"rightPad":               ofFirst(func(v any) bool { _, ok := v.(string); return ok }, pad(false)),
	"min":                    listOr(func(_ *run, l []any) (any, bool, error) { return extreme(l, false) }, number),
	"max":                    listOr(func(_ *run, l []any) (any, bool, error) { return extreme(l, true) }, number),
	"abs":                    each(abs),
	"avg":                    ofList(avg),
	"intSum":                 ofList(intSum),
	"longSum":                ofList(longSum),
	"doubleSum":              ofList(doubleSum),
	"intSubtract":            ofList(subtract[int32]),
	"longSubtract":           ofList(subtract[int64]),
	"doubleSubtract":         ofList(subtract[float64]),
	"divide":                 ofList(divide),
	"divideAndRound":         ofFirst(func(v any) bool { _, ok := v.(int32); return ok }, divideAndRound),
	"toInteger":              each(func(v any) (any, bool) { n, ok := toInt(v); return n, ok }),
	"toLong":                 each(func(v any) (any, bool) { n, ok := toLong(v); return n, ok }),
	"toDouble":               each(func(v any) (any, bool) { n, ok := toDouble(v); return n, ok }),
	"toBoolean":              each(toBoolean),
	"toString":               each(func(v any) (any, bool) { return javaText(v), true }),
	"size":                   size,
	"squashNulls":            squash(func(r *run, v any) (any, error) { return v, squashNulls(r, v, false, 0) }),
	"recursivelySquashNulls": squash(func(r *run, v any) (any, error) { return v, squashNulls(r, v, true, 0) }),
	"squashDuplicates":       squash(squashDuplicates),
	"noop":                   func(*run, []any) (any, bool, error) { return nil, false, nil },
	"isPresent":              first(func(any) bool { return true }),
	"notNull":                first(func(v any) bool { return v != nil }),
	"isNull":                 first(func(v any) bool { return v == nil }),
	"firstElement":           ofList(func(_ *run, l []any) (any, bool, error) { return l[0], true, nil }),
	"lastElement":            ofList(func(_ *run, l []any) (any, bool, error) { return l[len(l)-1], true, nil }),
	"elementAt":              ofFirst(func(v any) bool { _, ok := v.(int32); return ok }, elementAt),
	"toList": listOr(func(_ *run, l []any) (any, bool, error) { return jsondoc.NewArray(slices.Clone(l)...), true, nil },
		func(v any) (any, bool) { return jsondoc.NewArray(v), true }),
	"sort": listOr(sortItems, func(v any) (any, bool) { return v, true }),
}

// listOr calls many with the list that the only argument is, or with all arguments; and one with an only argument that is no list.
func listOr(many func(r *run, l []any) (any, bool, error), one func(v any) (any, bool)) function {
	return func(r *run, args []any) (any, bool, error) {
		if len(args) == 1 {
			l, ok := args[0].(*jsondoc.Array)
			if !ok {
				if args[0] == nil {
					return nil, false, nil
				}
				v, ok := one(args[0])
				return v, ok, nil
			}
			args = l.Items
		}
		if len(args) == 0 {
			return nil, false, nil
		}
		if err := r.spend(len(args)); err != nil {
			return nil, false, err
		}
		return many(r, args)
	}
}

// each is a function of a value, and of each item of a list: items that it gives no value for stay.
func each(one func(v any) (any, bool)) function {
	return listOr(func(_ *run, l []any) (any, bool, error) {
		out := jsondoc.NewArray(slices.Clone(l)...)
		for i, v := range l {
			if made, ok := one(v); ok {
				out.Items[i] = made
			}
		}
		return out, true, nil
	}, one)
}

// ofList is a function of a list only.
func ofList(many func(r *run, l []any) (any, bool, error)) function {
	return listOr(many, func(any) (any, bool) { return nil, false })
}

// ofFirst is a function of a first argument of a kind and a list, or all the other arguments.
func ofFirst(is func(v any) bool, f func(r *run, first any, l []any) (any, bool, error)) function {
	return func(r *run, args []any) (any, bool, error) {
		if len(args) == 1 {
			if l, ok := args[0].(*jsondoc.Array); ok {
				args = l.Items
			}
		}
		if len(args) < 2 || !is(args[0]) {
			return nil, false, nil
		}
		rest := args[1:]
		if len(rest) == 1 {
			l, ok := rest[0].(*jsondoc.Array)
			if !ok {
				return nil, false, nil
			}
			rest = l.Items
		}
		if err := r.spend(len(rest)); err != nil {
			return nil, false, err
		}
		return f(r, args[0], rest)
	}
}

func first(f func(v any) bool) function {
	return func(_ *run, args []any) (any, bool, error) {
		if len(args) == 0 || !f(args[0]) {
			return nil, false, nil
		}
		return args[0], true, nil
	}
}

func worded(f func(string) string) func(any) (any, bool) {
	return func(v any) (any, bool) {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		return f(s), true
	}
}

func concat(r *run, l []any) (any, bool, error) {
	var b strings.Builder
	for _, v := range l {
		if v != nil {
			b.WriteString(javaText(v))
		}
		if b.Len() > maxText {
			return nil, false, ErrLimit
		}
	}
	return b.String(), true, r.spend(b.Len() / 64)
}

func join(r *run, between any, l []any) (any, bool, error) {
	var b strings.Builder
	for i, v := range l {
		if v == nil {
			continue
		}
		if s := javaText(v); s != "" {
			b.WriteString(s)
			if i < len(l)-1 {
				b.WriteString(between.(string))
			}
		}
		if b.Len() > maxText {
			return nil, false, ErrLimit
		}
	}
	return b.String(), true, r.spend(b.Len() / 64)
}

func substring(_ *run, l []any) (any, bool, error) {
	if len(l) != 3 {
		return nil, false, nil
	}
	s, ok1 := l[0].(string)
	from, ok2 := l[1].(int32)
	to, ok3 := l[2].(int32)
	runes := []rune(s)
	if !ok1 || !ok2 || !ok3 || from < 0 || from >= to || int(to) > len(runes) {
		return nil, false, nil
	}
	return string(runes[from:to]), true, nil
}

// maxPattern bounds the separator of split, in bytes: it is a regular expression.
const maxPattern = 1 << 10

// split is of a separator and a text, or a list of texts.
func split(r *run, args []any) (any, bool, error) {
	if len(args) == 1 {
		if l, ok := args[0].(*jsondoc.Array); ok {
			args = l.Items
		}
	}
	if len(args) < 2 {
		return nil, false, nil
	}
	separator, ok := args[0].(string)
	if !ok || len(separator) > maxPattern {
		return nil, false, nil
	}
	pattern, err := regexp.Compile(separator)
	if err != nil {
		return nil, false, nil
	}
	one := func(v any) (any, bool) {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out := jsondoc.NewArray()
		for _, part := range pattern.Split(s, -1) {
			out.Items = append(out.Items, part)
		}
		for len(out.Items) > 1 && out.Items[len(out.Items)-1] == "" {
			out.Items = out.Items[:len(out.Items)-1]
		}
		return out, true
	}
	for _, v := range args[1:] {
		if s, ok := v.(string); ok {
			if err := r.spend(len(s)); err != nil {
				return nil, false, err
			}
		}
	}
	if l, ok := args[1].(*jsondoc.Array); ok && len(args) == 2 {
		return each(one)(r, []any{l})
	}
	if len(args) == 2 {
		v, ok := one(args[1])
		return v, ok, nil
	}
	return each(one)(r, args[1:])
}

// pad is of a text, and its width and filling.
func pad(left bool) func(r *run, first any, l []any) (any, bool, error) {
	return func(_ *run, first any, l []any) (any, bool, error) {
		const widest = 500 // JOLT's
		if len(l) < 2 {
			return nil, false, nil
		}
		s := first.(string)
		width, ok1 := l[0].(int32)
		filling, ok2 := l[1].(string)
		if !ok1 || !ok2 || width <= 0 || width > widest || len([]rune(filling)) != 1 {
			return nil, false, nil
		}
		more := strings.Repeat(filling, max(0, int(width)-len([]rune(s))))
		if left {
			return more + s, true, nil
		}
		return s + more, true, nil
	}
}

func elementAt(_ *run, first any, l []any) (any, bool, error) {
	i := int(first.(int32))
	if i < 0 || i >= len(l) {
		return nil, false, nil
	}
	return l[i], true, nil
}

func size(_ *run, args []any) (any, bool, error) {
	if len(args) != 1 {
		return int32(len(args)), len(args) > 0, nil
	}
	switch x := args[0].(type) {
	case *jsondoc.Array:
		return int32(len(x.Items)), true, nil
	case *jsondoc.Object:
		return int32(x.Len()), true, nil
	case string:
		return int32(len([]rune(x))), true, nil
	}
	return nil, false, nil
}

// squash is a function of an only argument, or of the list of all.
func squash(f func(r *run, v any) (any, error)) function {
	return func(r *run, args []any) (any, bool, error) {
		var v any
		switch {
		case len(args) == 0 || len(args) == 1 && args[0] == nil:
			return nil, false, nil
		case len(args) == 1:
			v = args[0]
		default:
			v = jsondoc.NewArray(args...)
		}
		if l, ok := v.(*jsondoc.Array); ok && len(l.Items) == 0 {
			return nil, false, nil
		}
		v, err := f(r, v)
		return v, err == nil, err
	}
}

func squashNulls(r *run, v any, deep bool, depth int) error {
	if depth > jsondoc.MaxDepth {
		return errDeep
	}
	if err := r.spend(1); err != nil {
		return err
	}
	var below []any
	switch x := v.(type) {
	case *jsondoc.Array:
		x.Items = slices.DeleteFunc(x.Items, func(v any) bool { return v == nil })
		below = x.Items
	case *jsondoc.Object:
		x.DeleteFunc(func(m jsondoc.Member) bool { return m.Value == nil })
		for i := range x.Len() {
			below = append(below, x.At(i).Value)
		}
	}
	for _, v := range below {
		if !deep {
			break
		}
		if err := squashNulls(r, v, deep, depth+1); err != nil {
			return err
		}
	}
	return r.spend(len(below))
}

func squashDuplicates(r *run, v any) (any, error) {
	l, ok := v.(*jsondoc.Array)
	if !ok {
		return v, nil
	}
	out := jsondoc.NewArray()
	for _, v := range l.Items {
		if err := r.spend(1 + len(out.Items)); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out.Items, func(w any) bool { return jsondoc.Equal(v, w) }) {
			out.Items = append(out.Items, v)
		}
	}
	return out, nil
}

// sortItems sorts values of one kind.
func sortItems(_ *run, l []any) (any, bool, error) {
	out := slices.Clone(l)
	switch l[0].(type) {
	case string:
		return sortOf[string](out)
	case int32:
		return sortOf[int32](out)
	case int64:
		return sortOf[int64](out)
	case float64:
		return sortOf[float64](out)
	}
	return jsondoc.NewArray(out...), len(out) == 1, nil
}

func sortOf[T cmp.Ordered](l []any) (any, bool, error) {
	for _, v := range l {
		if _, ok := v.(T); !ok {
			return nil, false, nil
		}
	}
	slices.SortStableFunc(l, func(a, b any) int { return cmp.Compare(a.(T), b.(T)) })
	return jsondoc.NewArray(l...), true, nil
}
