package ftl

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// function is a built-in.
type function struct {
	least, most int  // arguments
	loop        bool // of the variable of a list: progress evaluates it
	absent      bool // it takes a value that is missing, too
	do          func(r *run, c *call, v any) (any, error)
}

// call is a built-in on a value.
type call struct {
	of   node
	name string
	args []node
	f    function
}

func (c *call) String() string { return c.of.String() + "?" + c.name }

func (c *call) eval(r *run) (any, error) {
	if c.f.absent {
		v, err := r.lenient(c.of)
		if err != nil {
			return nil, err
		}
		return c.f.do(r, c, v)
	}
	v, err := r.present(c.of)
	if err == nil {
		err = r.spend(work(v))
	}
	if err != nil {
		return nil, err
	}
	return c.f.do(r, c, v)
}

// arg is the text of an argument; absent ones are empty.
func (c *call) arg(r *run, i int) (string, error) {
	if i >= len(c.args) {
		return "", nil
	}
	v, err := r.present(c.args[i])
	if err != nil {
		return "", err
	}
	return text(v)
}

func (c *call) wrong(v any, want string) error {
	return fmt.Errorf("?%s needs %s, and %s is %s", c.name, want, c.of, kind(v))
}

var builtins = union(texts, numbers, sequences, anything)

func union(tables ...map[string]function) map[string]function {
	out := map[string]function{}
	for _, t := range tables {
		maps.Copy(out, t)
	}
	return out
}

func builtinNames() []string { return slices.Sorted(maps.Keys(builtins)) }

// Builtins are the names of the built-ins that are known, in order.
func Builtins() []string { return builtinNames() }

var anything = map[string]function{
	"has_content": {absent: true, do: func(_ *run, _ *call, v any) (any, error) { return size(v) > 0, nil }},
	"exists":      {absent: true, do: func(_ *run, _ *call, v any) (any, error) { return v != nil, nil }},
	"if_exists": {absent: true, do: func(_ *run, _ *call, v any) (any, error) {
		if v == nil {
			return nothing{}, nil
		}
		return v, nil
	}},
	"default": {least: 1, most: 1, absent: true, do: func(r *run, c *call, v any) (any, error) {
		if v != nil {
			return v, nil
		}
		return r.eval(c.args[0])
	}},
	"is_string":     {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.(string); return ok, nil }},
	"is_number":     {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.(*big.Rat); return ok, nil }},
	"is_boolean":    {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.(bool); return ok, nil }},
	"is_sequence":   {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.([]any); return ok, nil }},
	"is_enumerable": {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.([]any); return ok, nil }},
	"is_hash":       {do: func(_ *run, _ *call, v any) (any, error) { _, ok := v.(*jsondoc.Object); return ok, nil }},
	"then": {least: 2, most: 2, do: func(r *run, c *call, v any) (any, error) {
		b, ok := v.(bool)
		if !ok {
			return nil, c.wrong(v, "a boolean")
		}
		if b {
			return r.eval(c.args[0])
		}
		return r.eval(c.args[1])
	}},
	"c": {do: func(_ *run, c *call, v any) (any, error) {
		switch x := v.(type) {
		case bool:
			return map[bool]string{true: "true", false: "false"}[x], nil
		case *big.Rat:
			return computer(x), nil
		}
		return nil, c.wrong(v, "a number or a boolean")
	}},
	"string": {most: 2, do: func(r *run, c *call, v any) (any, error) {
		b, ok := v.(bool)
		switch {
		case ok && len(c.args) == 2:
			if b {
				return c.arg(r, 0)
			}
			return c.arg(r, 1)
		case ok && len(c.args) == 0:
			return map[bool]string{true: "true", false: "false"}[b], nil
		case !ok && len(c.args) == 0:
			return text(v)
		}
		return nil, errors.New("?string takes two arguments for a boolean and none for other values: formats are not supported")
	}},
	"eval":      {do: evaluate},
	"eval_json": {do: evaluate},
	"index":     {loop: true}, "counter": {loop: true}, "has_next": {loop: true}, "is_first": {loop: true}, "is_last": {loop: true},
	"is_odd_item": {loop: true}, "is_even_item": {loop: true}, "item_parity": {loop: true},
}

// work is what looking at all of a value costs, in steps.
func work(v any) int {
	const bytesPerStep = 64
	if s, ok := v.(string); ok {
		return len(s) / bytesPerStep
	}
	return size(v)
}

// size is how much there is of a value, for has_content.
func size(v any) int {
	switch x := v.(type) {
	case nil, nothing:
		return 0
	case string:
		return len(x)
	case []any:
		return len(x)
	case *jsondoc.Object:
		return x.Len()
	}
	return 1
}

// evaluate reads JSON, which is what templates use ?eval for; other expressions would let content choose what is done.
func evaluate(_ *run, c *call, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, c.wrong(v, "a text")
	}
	doc, err := jsondoc.Parse([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("?%s of %s: %w (only JSON is evaluated)", c.name, c.of, err)
	}
	return FromJSON(doc), nil
}

// FromJSON is a value of package jsondoc as templates see it.
func FromJSON(v any) any {
	switch x := v.(type) {
	case int32:
		return big.NewRat(int64(x), 1)
	case int64:
		return big.NewRat(x, 1)
	case float64:
		return numberOf(jsondoc.FormatDouble(x))
	case jsondoc.Number:
		return numberOf(string(x))
	case *jsondoc.Array:
		out := make([]any, len(x.Items))
		for i := range x.Items {
			out[i] = FromJSON(x.Items[i])
		}
		return out
	case *jsondoc.Object:
		out := new(jsondoc.Object)
		for i := range x.Len() {
			out.Set(x.At(i).Name, FromJSON(x.At(i).Value))
		}
		return out
	}
	return v
}

// numberOf is a number, or its text where it is beyond all measure.
func numberOf(s string) any {
	if n, ok := parseNumber(s); ok {
		return n
	}
	return s
}

var numbers = map[string]function{
	"abs":     {do: numeric(func(n *big.Rat) *big.Rat { return new(big.Rat).Abs(n) })},
	"int":     {do: numeric(whole)},
	"long":    {do: numeric(whole)},
	"floor":   {do: numeric(floor)},
	"ceiling": {do: numeric(func(n *big.Rat) *big.Rat { return new(big.Rat).Neg(floor(new(big.Rat).Neg(n))) })},
	"round":   {do: numeric(func(n *big.Rat) *big.Rat { return floor(new(big.Rat).Add(n, big.NewRat(1, 2))) })},
}

func floor(n *big.Rat) *big.Rat {
	q, rem := new(big.Int).QuoRem(n.Num(), n.Denom(), new(big.Int))
	if rem.Sign() < 0 {
		q.Sub(q, big.NewInt(1))
	}
	return new(big.Rat).SetInt(q)
}

func numeric(f func(*big.Rat) *big.Rat) func(*run, *call, any) (any, error) {
	return func(_ *run, c *call, v any) (any, error) {
		n, ok := v.(*big.Rat)
		if !ok {
			return nil, c.wrong(v, "a number")
		}
		return f(n), nil
	}
}

var sequences = map[string]function{
	"size": {do: func(_ *run, c *call, v any) (any, error) {
		switch v.(type) {
		case []any, *jsondoc.Object, nothing:
			return big.NewRat(int64(size(v)), 1), nil
		}
		return nil, c.wrong(v, "a sequence or a hash")
	}},
	"first":   {do: listed(func(_ *run, _ *call, l []any) (any, error) { return append(l[:len(l):len(l)], nil)[0], nil })},
	"last":    {do: listed(func(_ *run, _ *call, l []any) (any, error) { return append([]any{nil}, l...)[len(l)], nil })},
	"reverse": {do: listed(func(_ *run, _ *call, l []any) (any, error) { l = slices.Clone(l); slices.Reverse(l); return l, nil })},
	"join":    {least: 1, most: 3, do: listed(join)},
	"sort":    {do: listed(func(_ *run, c *call, l []any) (any, error) { return sorted(c, l, func(v any) any { return v }) })},
	"sort_by": {least: 1, most: 1, do: listed(func(r *run, c *call, l []any) (any, error) {
		key, err := c.arg(r, 0)
		if err != nil {
			return nil, err
		}
		return sorted(c, l, func(v any) any {
			if o, ok := v.(*jsondoc.Object); ok {
				v, _ = o.Get(key)
				return v
			}
			return nil
		})
	})},
	"seq_contains": {least: 1, most: 1, do: listed(func(r *run, c *call, l []any) (any, error) {
		i, err := find(r, c, l)
		return i >= 0, err
	})},
	"seq_index_of": {least: 1, most: 1, do: listed(func(r *run, c *call, l []any) (any, error) {
		i, err := find(r, c, l)
		return big.NewRat(int64(i), 1), err
	})},
	"keys": {do: hashed(func(m jsondoc.Member) any { return m.Name })}, "values": {do: hashed(func(m jsondoc.Member) any { return m.Value })},
}

func hashed(f func(jsondoc.Member) any) func(*run, *call, any) (any, error) {
	return func(_ *run, c *call, v any) (any, error) {
		o, ok := v.(*jsondoc.Object)
		if !ok {
			return nil, c.wrong(v, "a hash")
		}
		out := make([]any, o.Len())
		for i := range out {
			out[i] = f(o.At(i))
		}
		return out, nil
	}
}

func listed(f func(*run, *call, []any) (any, error)) func(*run, *call, any) (any, error) {
	return func(r *run, c *call, v any) (any, error) {
		switch x := v.(type) {
		case []any:
			return f(r, c, x)
		case nothing:
			return f(r, c, nil)
		}
		return nil, c.wrong(v, "a sequence")
	}
}

// find is the place of the argument in a sequence; -1: it is not there.
func find(r *run, c *call, l []any) (int, error) {
	want, err := r.present(c.args[0])
	if err != nil {
		return -1, err
	}
	return slices.IndexFunc(l, func(v any) bool {
		same, err := compare("==", v, want)
		return err == nil && same
	}), nil
}

// join is ?join(between, empty, behind).
func join(r *run, c *call, l []any) (any, error) {
	var args [3]string
	for i := range args {
		var err error
		if args[i], err = c.arg(r, i); err != nil {
			return nil, err
		}
	}
	if len(l) == 0 {
		return args[1], nil
	}
	var b strings.Builder
	for i, v := range l {
		if i > 0 {
			b.WriteString(args[0])
		}
		if v != nil {
			s, err := text(v)
			if err != nil {
				return nil, err
			}
			b.WriteString(s)
		}
		if b.Len() > maxOutput {
			return nil, tooLong()
		}
	}
	return b.String() + args[2], nil
}

// sorted is l in the order of keys that are all texts or all numbers.
func sorted(c *call, l []any, key func(any) any) (any, error) {
	out := slices.Clone(l)
	for i := range out {
		first, v := key(out[0]), key(out[i])
		switch v.(type) {
		case string, *big.Rat:
		default:
			return nil, c.wrong(v, "items that are texts or numbers")
		}
		if kind(first) != kind(v) {
			return nil, errors.New("?" + c.name + " needs items of one kind")
		}
	}
	slices.SortStableFunc(out, func(a, b any) int {
		if n, ok := key(a).(*big.Rat); ok {
			return n.Cmp(key(b).(*big.Rat))
		}
		x, y := key(a).(string), key(b).(string)
		if o := strings.Compare(strings.ToLower(x), strings.ToLower(y)); o != 0 {
			return o
		}
		return strings.Compare(y, x) // lower case first, as Java's English collation has it
	})
	return out, nil
}
