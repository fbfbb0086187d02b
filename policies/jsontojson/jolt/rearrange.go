package jolt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

var errDeep = fmt.Errorf("%w: the document is more than %d levels deep", ErrLimit, jsondoc.MaxDepth)

// sorted is a copy whose members are in the order of their names, those with a tilde first.
func sorted(r *run, v any, depth int) (any, error) {
	if depth > jsondoc.MaxDepth {
		return nil, errDeep
	}
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case *jsondoc.Object:
		names := x.Names()
		slices.SortFunc(names, func(a, b string) int {
			if p, q := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); p != q {
				if p {
					return -1
				}
				return 1
			}
			return strings.Compare(a, b)
		})
		out := new(jsondoc.Object)
		for _, name := range names {
			old, _ := x.Get(name)
			v, err := sorted(r, old, depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(name, v)
		}
		return out, nil
	case *jsondoc.Array:
		out := jsondoc.NewArray()
		for _, item := range x.Items {
			v, err := sorted(r, item, depth+1)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	}
	return v, nil
}

// removal is the operation remove.
type removal struct{ below []*removeKey }

// removeKey is a key that is removed, or has others below it.
type removeKey struct {
	element *element
	leaf    bool
	below   []*removeKey
}

func newRemove(s *jsondoc.Object) (operation, error) {
	below, err := removeKeys(s)
	return &removal{below: below}, err
}

func removeKeys(s *jsondoc.Object) ([]*removeKey, error) {
	var out []*removeKey
	for i := range s.Len() {
		for _, key := range alternatives(s.At(i).Name) {
			e, err := plainKey(key)
			if err != nil {
				return nil, err
			}
			k := &removeKey{element: e}
			switch v := s.At(i).Value.(type) {
			case *jsondoc.Object:
				if k.below, err = removeKeys(v); err != nil {
					return nil, err
				}
			case string:
				if k.leaf = strings.TrimSpace(v) == ""; !k.leaf {
					return nil, fmt.Errorf("the key %q must have an empty text or an object", key)
				}
			default:
				return nil, fmt.Errorf("the key %q must have an empty text or an object", key)
			}
			out = append(out, k)
		}
	}
	return out, nil
}

// plainKey is a key that knows stars and nothing else.
func plainKey(key string) (*element, error) {
	switch stars := strings.Count(key, "*"); {
	case key == "*":
		return &element{kind: starAll, raw: "*", canonical: "*"}, nil
	case stars > 0:
		return parseStar(key, stars)
	}
	return &element{kind: literal, raw: key, canonical: key}, nil
}

func (o *removal) apply(r *run, input any) (any, error) {
	return input, remove(r, o.below, input)
}

func remove(r *run, keys []*removeKey, v any) error {
	if err := r.spend(1); err != nil {
		return err
	}
	switch x := v.(type) {
	case *jsondoc.Object:
		return removeMembers(r, keys, x)
	case *jsondoc.Array:
		return removeItems(r, keys, x)
	}
	return nil
}

func (k *removeKey) fits(name string) bool {
	return k.element.kind == literal && k.element.raw == name || k.element.matches(name)
}

func removeMembers(r *run, keys []*removeKey, o *jsondoc.Object) error {
	gone := map[string]bool{}
	for _, k := range keys {
		if k.element.kind == literal {
			v, ok := o.Get(k.element.raw)
			gone[k.element.raw] = gone[k.element.raw] || ok && k.leaf
			if err := remove(r, k.below, v); err != nil {
				return err
			}
			continue
		}
		for i := range o.Len() {
			if m := o.At(i); k.fits(m.Name) {
				gone[m.Name] = gone[m.Name] || k.leaf
				if err := remove(r, k.below, m.Value); err != nil {
					return err
				}
			}
		}
	}
	o.DeleteFunc(func(m jsondoc.Member) bool { return gone[m.Name] })
	return nil
}

func removeItems(r *run, keys []*removeKey, a *jsondoc.Array) error {
	gone := map[int]bool{}
	for _, k := range keys {
		from, to := 0, len(a.Items)
		switch k.element.kind {
		case starAll:
		case literal:
			n, err := strconv.Atoi(k.element.raw)
			if err != nil || n < 0 || n >= len(a.Items) {
				continue
			}
			from, to = n, n+1
		default:
			continue
		}
		for i := from; i < to; i++ {
			gone[i] = gone[i] || k.leaf
			if err := remove(r, k.below, a.Items[i]); err != nil {
				return err
			}
		}
	}
	kept := make([]any, 0, len(a.Items))
	for i, v := range a.Items {
		if !gone[i] {
			kept = append(kept, v)
		}
	}
	a.Items = kept
	return nil
}

// cardinality is the operation cardinality: lists of one value, and values instead of lists.
type cardinality struct{ root *manyNode }

// manyNode is a key of cardinality.
type manyNode struct {
	element  *element
	leaf     bool
	one      bool      // of a leaf: ONE, else MANY
	special  *manyNode // the leaf @
	literals map[string]*manyNode
	stars    []*manyNode
}

func newCardinality(s *jsondoc.Object) (operation, error) {
	n, err := newManyNode(root, s)
	return &cardinality{root: n}, err
}

func newManyNode(key string, value any) (*manyNode, error) {
	n := &manyNode{literals: map[string]*manyNode{}}
	var err error
	if key == "@" {
		n.element = &element{kind: at, raw: "@", canonical: "@"}
	} else if strings.Contains(key, "@") {
		return nil, fmt.Errorf("the key %q has an @ that is not alone", key)
	} else if n.element, err = plainKey(key); err != nil {
		return nil, err
	}
	s, ok := value.(*jsondoc.Object)
	if !ok {
		n.leaf, n.one = true, value == "ONE"
		if value != "ONE" && value != "MANY" {
			return nil, fmt.Errorf("the key %q must have ONE, MANY or an object", key)
		}
		return n, nil
	}
	if n.element.kind == at || s.Len() == 0 {
		return nil, fmt.Errorf("the key %q must have ONE or MANY, or, other than @, an object that is not empty", key)
	}
	for i := range s.Len() {
		c, err := newManyNode(s.At(i).Name, s.At(i).Value)
		if err != nil {
			return nil, err
		}
		n.literals[c.element.raw] = c
		switch {
		case c.element.kind == at:
			n.special = c
		case c.element.star():
			n.stars = append(n.stars, c)
		}
	}
	slices.SortStableFunc(n.stars, func(a, b *manyNode) int {
		return len(b.element.canonical) - len(a.element.canonical)
	})
	return n, nil
}

func (o *cardinality) apply(r *run, input any) (any, error) {
	_, err := o.root.apply(r, root, input, nil)
	return input, err
}

var errParent = errors.New("only members of objects can be made one or many")

// apply works on what parent has under key; did false: the element does not fit.
func (n *manyNode) apply(r *run, key string, input, parent any) (did bool, err error) {
	if err := r.spend(1); err != nil {
		return false, err
	}
	if n.element.kind == literal && n.element.raw != key || n.element.star() && !n.element.matches(key) {
		return false, nil
	}
	if n.leaf {
		_, err := n.adjust(key, input, parent)
		return true, err
	}
	if n.special != nil {
		if input, err = n.special.adjust(key, input, parent); err != nil {
			return false, err
		}
	}
	return true, n.process(r, input)
}

func (n *manyNode) process(r *run, input any) error {
	switch x := input.(type) {
	case nil:
		return nil
	case *jsondoc.Object:
		for _, name := range x.Names() {
			v, _ := x.Get(name)
			if err := n.below(r, name, v, x); err != nil {
				return err
			}
		}
		return nil
	case *jsondoc.Array:
		for i, v := range x.Items {
			if err := n.below(r, strconv.Itoa(i), v, x); err != nil {
				return err
			}
		}
		return nil
	}
	text := javaText(input)
	return n.below(r, text, nil, text)
}

func (n *manyNode) below(r *run, key string, v, parent any) error {
	if c, ok := n.literals[key]; ok {
		_, err := c.apply(r, key, v, parent)
		return err
	}
	for _, c := range n.stars {
		if did, err := c.apply(r, key, v, parent); did || err != nil {
			return err
		}
	}
	return nil
}

// adjust makes one or many of a member, and returns what it is now; of one that was no list, nil.
func (n *manyNode) adjust(key string, v, parent any) (any, error) {
	list, isList := v.(*jsondoc.Array)
	o, ok := parent.(*jsondoc.Object)
	if !ok && parent != nil {
		return nil, errParent
	}
	if n.one {
		if !isList {
			return nil, nil
		}
		if !ok {
			return nil, errParent
		}
		var first any
		if len(list.Items) > 0 {
			first = list.Items[0]
		}
		o.Set(key, first)
		return first, nil
	}
	if !ok {
		return nil, errParent
	}
	switch {
	case v == nil:
		list = jsondoc.NewArray()
	case !isList:
		o.Delete(key)
		list = jsondoc.NewArray(v)
	}
	o.Set(key, list)
	return list, nil
}
