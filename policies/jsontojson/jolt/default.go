package jolt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// defaults is the operation default: what is missing or null gets a value.
type defaults struct {
	object *defaultKey
	array  *defaultKey // for a document that is a list; nil: the keys are no indexes
}

// defaultKey is a key of default: a name or index, several of them, or all.
type defaultKey struct {
	names    []string // nil: all that are there
	indexes  []int    // of names, below a key with []
	or       bool
	list     bool // the key has []: what is made for it is a list
	size     int  // that the list has at least
	value    any  // where children is nil
	children []*defaultKey
}

func newDefault(s *jsondoc.Object) (operation, error) {
	object, err := newDefaultKey(root, s, false)
	if err != nil {
		return nil, err
	}
	array, err := newDefaultKey(root+"[]", s, false)
	if err != nil {
		array = nil
	}
	return &defaults{object: object, array: array}, nil
}

// newDefaultKey reads a key; indexed: it is below one with [].
func newDefaultKey(raw string, value any, indexed bool) (*defaultKey, error) {
	k := &defaultKey{}
	if k.list = strings.HasSuffix(raw, "[]"); k.list {
		raw = strings.ReplaceAll(raw, "[]", "")
	}
	switch {
	case raw == "*":
	case strings.Contains(raw, "*"):
		return nil, fmt.Errorf("the key %q has a * that is not alone", raw)
	default:
		k.or = strings.Contains(raw, "|")
		k.names = alternatives(raw)
	}
	for _, name := range k.names {
		if !indexed {
			break
		}
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 || n > maxIndex {
			return nil, fmt.Errorf("the key %q is below one with [], so it must be an index from 0 to %d", raw, maxIndex)
		}
		k.indexes = append(k.indexes, n)
	}
	s, ok := value.(*jsondoc.Object)
	if !ok {
		k.value = value
		return k, nil
	}
	k.children = []*defaultKey{}
	for i := range s.Len() {
		c, err := newDefaultKey(s.At(i).Name, s.At(i).Value, k.list)
		if err != nil {
			return nil, err
		}
		if k.list && !c.or && len(c.indexes) == 1 {
			k.size = max(k.size, c.indexes[0]+1)
		}
		k.children = append(k.children, c)
	}
	slices.SortStableFunc(k.children, func(a, b *defaultKey) int {
		if x, y := a.rank(), b.rank(); x != y {
			return x - y
		}
		return len(a.names) - len(b.names)
	})
	return k, nil
}

// rank: what is named comes first, then a|b, then *.
func (k *defaultKey) rank() int {
	switch {
	case k.names == nil:
		return 2
	case k.or:
		return 1
	}
	return 0
}

func (d *defaults) apply(r *run, input any) (any, error) {
	if input == nil {
		input = new(jsondoc.Object)
	}
	if _, ok := input.(*jsondoc.Array); ok {
		if d.array == nil {
			return nil, errors.New("the default's keys are no indexes, and the document is a list")
		}
		return input, d.array.below(r, input)
	}
	return input, d.object.below(r, input)
}

// below applies the children to what a key has.
func (k *defaultKey) below(r *run, v any) error {
	if a, ok := v.(*jsondoc.Array); ok && k.list {
		if err := r.spend(max(0, k.size-len(a.Items))); err != nil {
			return err
		}
		for len(a.Items) < k.size {
			a.Items = append(a.Items, nil)
		}
	}
	for _, c := range k.children {
		var err error
		switch x := v.(type) {
		case *jsondoc.Object:
			if !k.list {
				err = c.members(r, x)
			}
		case *jsondoc.Array:
			if k.list {
				err = c.items(r, x)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *defaultKey) members(r *run, o *jsondoc.Object) error {
	names := k.names
	if names == nil {
		names = o.Names()
	}
	for _, name := range names {
		old, ok := o.Get(name)
		if !ok && k.or {
			continue
		}
		v, err := k.fill(r, old)
		if err != nil {
			return err
		}
		if old == nil {
			o.Set(name, v)
		}
	}
	return nil
}

func (k *defaultKey) items(r *run, a *jsondoc.Array) error {
	at := func(i int) error {
		v, err := k.fill(r, a.Items[i])
		a.Items[i] = v
		return err
	}
	if k.names == nil {
		for i := range a.Items {
			if err := at(i); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range k.indexes {
		if i < len(a.Items) {
			if err := at(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill is what a place has afterwards.
func (k *defaultKey) fill(r *run, v any) (any, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	if k.children == nil {
		if v == nil {
			return clone(r, k.value)
		}
		return v, nil
	}
	if v == nil {
		v = new(jsondoc.Object)
		if k.list {
			v = jsondoc.NewArray()
		}
	}
	return v, k.below(r, v)
}

// clone is a copy of a value of a specification, which documents must not share.
func clone(r *run, v any) (any, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case *jsondoc.Object:
		out := new(jsondoc.Object)
		for i := range x.Len() {
			v, err := clone(r, x.At(i).Value)
			if err != nil {
				return nil, err
			}
			out.Set(x.At(i).Name, v)
		}
		return out, nil
	case *jsondoc.Array:
		out := jsondoc.NewArray()
		for _, item := range x.Items {
			v, err := clone(r, item)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	}
	return v, nil
}
