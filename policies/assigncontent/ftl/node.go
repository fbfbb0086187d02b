package ftl

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// node is an expression. String is its text, for messages.
type node interface {
	eval(r *run) (any, error)
	String() string
}

// nothing is the value of a default without a right side: an empty text, sequence and hash at once.
type nothing struct{}

// missingError: a value is missing where one is needed.
type missingError struct{ of node }

func (e *missingError) Error() string { return missing(e.of).Error() }

func (r *run) eval(e node) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	return e.eval(r)
}

// present is the value of e, which must be there.
func (r *run) present(e node) (any, error) {
	v, err := r.eval(e)
	if err == nil && v == nil {
		err = &missingError{e}
	}
	return v, err
}

func (r *run) truth(e node) (bool, error) {
	v, err := r.present(e)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s is %s, where a boolean is needed", e, kind(v))
	}
	return b, nil
}

func (r *run) number(e node) (*big.Rat, error) {
	v, err := r.present(e)
	if err != nil {
		return nil, err
	}
	n, ok := v.(*big.Rat)
	if !ok {
		return nil, fmt.Errorf("%s is %s, where a number is needed", e, kind(v))
	}
	return n, nil
}

// whole is a whole number of a moderate size.
func (r *run) whole(e node) (int, error) {
	n, err := r.number(e)
	if err != nil {
		return 0, err
	}
	if !n.IsInt() || !n.Num().IsInt64() || n.Num().BitLen() > 31 {
		return 0, fmt.Errorf("%s is not a whole number that serves here", e)
	}
	return int(n.Num().Int64()), nil
}

type constant struct {
	v    any
	text string
}

func (c *constant) eval(*run) (any, error) { return c.v, nil }
func (c *constant) String() string         { return c.text }

// ref is a value of the model.
type ref struct {
	id   int
	path string
}

func (f *ref) eval(r *run) (any, error) { return r.model.Lookup(f.id) }
func (f *ref) String() string           { return f.path }

// local is a variable that the template makes.
type local struct{ name string }

func (l *local) eval(r *run) (any, error) {
	if o := r.named(l.name); o != nil {
		return o.value(l.name), nil
	}
	return r.vars[l.name], nil
}
func (l *local) String() string { return l.name }

// progress is how far a list is.
type progress struct{ name, what string }

func (p *progress) eval(r *run) (any, error) {
	o := r.named(p.name)
	if o == nil {
		return nil, fmt.Errorf("%s is not the variable of a list here", p.name)
	}
	switch p.what {
	case "index":
		return big.NewRat(int64(o.index), 1), nil
	case "counter":
		return big.NewRat(int64(o.index)+1, 1), nil
	case "has_next":
		return !o.last, nil
	case "is_last":
		return o.last, nil
	case "is_first":
		return o.index == 0, nil
	case "is_odd_item":
		return o.index%2 == 0, nil
	case "is_even_item":
		return o.index%2 == 1, nil
	}
	return [...]string{"odd", "even"}[o.index%2], nil // item_parity
}
func (p *progress) String() string { return p.name + "?" + p.what }

// group is an expression in parentheses: a default behind it stands for whatever is missing within.
type group struct{ of node }

func (g *group) eval(r *run) (any, error) { return r.eval(g.of) }
func (g *group) String() string           { return "(" + g.of.String() + ")" }

// lenient is the value of e, nil where it or, in parentheses, something in it is missing.
func (r *run) lenient(e node) (any, error) {
	v, err := r.eval(e)
	if _, grouped := e.(*group); grouped {
		if m := (*missingError)(nil); errors.As(err, &m) {
			return nil, nil
		}
	}
	return v, err
}

type fallback struct{ of, other node }

func (d *fallback) eval(r *run) (any, error) {
	v, err := r.lenient(d.of)
	switch {
	case err != nil || v != nil:
		return v, err
	case d.other == nil:
		return nothing{}, nil
	}
	return r.eval(d.other)
}

func (d *fallback) String() string {
	if d.other == nil {
		return d.of.String() + "!"
	}
	return d.of.String() + "!" + d.other.String()
}

type exists struct{ of node }

func (e *exists) eval(r *run) (any, error) {
	v, err := r.lenient(e.of)
	return v != nil, err
}
func (e *exists) String() string { return e.of.String() + "??" }

type sequence struct{ items []node }

func (s *sequence) eval(r *run) (any, error) {
	out := make([]any, len(s.items))
	for i, e := range s.items {
		var err error
		if out[i], err = r.present(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}
func (s *sequence) String() string { return "[...]" }

type hash struct{ keys, values []node }

func (h *hash) eval(r *run) (any, error) {
	out := new(jsondoc.Object)
	for i := range h.keys {
		k, err := r.present(h.keys[i])
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("%s is %s, where the text of a key is needed", h.keys[i], kind(k))
		}
		v, err := r.present(h.values[i])
		if err != nil {
			return nil, err
		}
		out.Set(name, v)
	}
	return out, nil
}
func (h *hash) String() string { return "{...}" }

// joined is a text with interpolations.
type joined struct {
	parts []node
	text  string
}

func (j *joined) eval(r *run) (any, error) {
	var b strings.Builder
	for _, e := range j.parts {
		v, err := r.present(e)
		if err != nil {
			return nil, err
		}
		s, err := text(v)
		if err != nil {
			return nil, err
		}
		if b.WriteString(s); b.Len() > maxOutput {
			return nil, tooLong()
		}
	}
	return b.String(), nil
}
func (j *joined) String() string { return j.text }

func tooLong() error { return fmt.Errorf("%w: a text of more than %d bytes", ErrLimit, maxOutput) }

// span is a range; to nil: without an end.
type span struct {
	from, to node
	open     bool // without its last number
}

func (s *span) String() string { return s.from.String() + ".." }

func (s *span) ends(r *run) (from, to int, err error) {
	if from, err = r.whole(s.from); err != nil || s.to == nil {
		return from, 0, err
	}
	to, err = r.whole(s.to)
	return from, to, err
}

func (s *span) eval(r *run) (any, error) {
	if s.to == nil {
		return nil, errors.New("a range without an end serves to take a part only")
	}
	from, to, err := s.ends(r)
	if err != nil {
		return nil, err
	}
	step, n := 1, to-from
	if n < 0 {
		step, n = -1, -n
	}
	if !s.open {
		n++
	}
	if n > maxItems {
		return nil, fmt.Errorf("%w: a sequence of more than %d items", ErrLimit, maxItems)
	}
	if err := r.spend(n); err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		out[i] = big.NewRat(int64(from+i*step), 1)
	}
	return out, nil
}

type index struct{ of, key node }

func (x *index) String() string { return x.of.String() + "[" + x.key.String() + "]" }

func (x *index) eval(r *run) (any, error) {
	v, err := r.present(x.of)
	if err != nil {
		return nil, err
	}
	if s, ok := x.key.(*span); ok {
		return x.part(r, v, s)
	}
	k, err := r.present(x.key)
	if err != nil {
		return nil, err
	}
	switch key := k.(type) {
	case string:
		if o, ok := v.(*jsondoc.Object); ok {
			out, _ := o.Get(key)
			return out, nil
		}
		if _, ok := v.(nothing); ok {
			return nil, nil
		}
		return nil, fmt.Errorf("%s is %s, which has no members", x.of, kind(v))
	case *big.Rat:
		i, err := r.whole(x.key)
		if err != nil {
			return nil, err
		}
		switch of := v.(type) {
		case []any:
			if i < 0 || i >= len(of) {
				return nil, nil
			}
			return of[i], nil
		case string:
			runes := []rune(of)
			if i < 0 || i >= len(runes) {
				return nil, fmt.Errorf("%s has no character %d", x.of, i)
			}
			return string(runes[i]), nil
		}
	}
	return nil, fmt.Errorf("%s is %s, which %s is no key of", x.of, kind(v), kind(k))
}

// part takes a part of a sequence or a text.
func (x *index) part(r *run, v any, s *span) (any, error) {
	from, to, err := s.ends(r)
	if err != nil {
		return nil, err
	}
	n := 0
	runes := []rune(nil)
	items, isList := v.([]any)
	if isList {
		n = len(items)
	} else if t, ok := v.(string); ok {
		runes = []rune(t)
		n = len(runes)
	} else {
		return nil, fmt.Errorf("%s is %s, where a sequence or a text is needed", x.of, kind(v))
	}
	switch {
	case s.to == nil:
		to = n
	case !s.open:
		to++
	}
	if from < 0 || to < from || to > n {
		return nil, fmt.Errorf("%s has no part from %d to %d", x.of, from, to-1)
	}
	if isList {
		return items[from:to:to], nil
	}
	return string(runes[from:to]), nil
}
