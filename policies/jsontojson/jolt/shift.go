package jolt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// shift is the operation shift: values are put at places in a new document.
type shift struct{ root *shiftNode }

// shiftNode is a key with keys below it.
type shiftNode struct {
	element *element
	special []spec // @, $, # and @(...), which no key of the input matches
	children
}

// shiftLeaf is a key with the paths that its value goes to.
type shiftLeaf struct {
	element *element
	paths   []*path
}

func newShift(s *jsondoc.Object) (operation, error) {
	n, err := newShiftNode(root, s)
	if err != nil {
		return nil, err
	}
	return &shift{root: n.(*shiftNode)}, nil
}

func (s *shift) apply(r *run, input any) (any, error) {
	out := new(jsondoc.Object)
	r.output = out
	r.push(input, &matched{raw: root, size: none})
	if _, err := s.root.apply(r, root, maybe{input, true}); err != nil {
		return nil, err
	}
	v, _ := out.Get(root)
	return v, nil
}

// build makes the children of a specification, each of a|b apart. No two may be the same.
func build(s *jsondoc.Object, make func(key string, value any) (spec, error)) ([]spec, error) {
	var out []spec
	seen := map[string]bool{}
	for i := range s.Len() {
		for _, key := range alternatives(s.At(i).Name) {
			c, err := make(key, s.At(i).Value)
			if err != nil {
				return nil, err
			}
			if name := c.key().canonical; seen[name] {
				return nil, fmt.Errorf("the key %q is there twice", name)
			}
			seen[c.key().canonical] = true
			out = append(out, c)
		}
	}
	return out, nil
}

func newShiftSpec(key string, value any) (spec, error) {
	if o, ok := value.(*jsondoc.Object); ok {
		return newShiftNode(key, o)
	}
	e, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	if e.kind == array {
		return nil, fmt.Errorf("the key %q cannot stand in shift: items are named by their index, such as \"0\"", key)
	}
	l := &shiftLeaf{element: e}
	targets := []any{value}
	switch x := value.(type) {
	case nil:
		targets = nil
	case *jsondoc.Array:
		targets = x.Items
	}
	for _, t := range targets {
		text, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("the key %q must have a path, a list of paths or an object", key)
		}
		p, err := rooted(text)
		if err != nil {
			return nil, err
		}
		l.paths = append(l.paths, p)
	}
	return l, nil
}

// rooted is a path of a document that is below root.
func rooted(text string) (*path, error) {
	if strings.TrimSpace(text) == "" {
		return parsePath(root)
	}
	return parsePath(root + "." + text)
}

func newShiftNode(key string, s *jsondoc.Object) (spec, error) {
	e, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	n := &shiftNode{element: e}
	switch {
	case e.kind == at || e.kind == dollar:
		return nil, fmt.Errorf("the key %q cannot have keys below it", key)
	case e.kind == array:
		return nil, fmt.Errorf("the key %q cannot stand in shift: items are named by their index, such as \"0\"", key)
	}
	below, err := build(s, newShiftSpec)
	if err != nil {
		return nil, err
	}
	if len(below) == 0 {
		return nil, fmt.Errorf("the key %q has an empty object", key)
	}
	for _, c := range below {
		switch c.key().kind {
		case literal:
			n.add(c.key().raw, c)
		case at, hash, dollar, transpose:
			n.special = append(n.special, c)
		default:
			n.computed = append(n.computed, c)
		}
	}
	slices.SortStableFunc(n.computed, before)
	n.strategies = n.choose()
	return n, nil
}

func (c *children) choose() []strategy {
	if len(c.computed) == 0 {
		return []strategy{available}
	}
	if len(c.literals) == 0 {
		return []strategy{computed}
	}
	for _, p := range c.computed {
		if !p.key().star() || slices.ContainsFunc(c.names, p.key().matches) {
			return []strategy{conflicting}
		}
	}
	return []strategy{available, computed}
}

func (n *shiftNode) key() *element { return n.element }

func (n *shiftNode) apply(r *run, key string, in maybe) (bool, error) {
	m, err := n.element.match(r, key)
	if err != nil || m == nil {
		return false, err
	}
	if n.element.kind == transpose {
		v, ok, err := n.element.value(r)
		if err != nil || !ok {
			return false, err
		}
		in = maybe{v, true}
	}
	if len(r.walked) > jsondoc.MaxDepth+maxSpec {
		return false, errors.New("the specification goes round in circles")
	}
	r.push(in.v, m)
	for _, s := range n.special {
		if _, err := s.apply(r, key, in); err != nil {
			return false, err
		}
	}
	if err := n.process(r, in.v); err != nil {
		return false, err
	}
	r.pop()
	r.walked[len(r.walked)-1].matched.count++
	return true, nil
}

func (l *shiftLeaf) key() *element { return l.element }

func (l *shiftLeaf) apply(r *run, key string, in maybe) (bool, error) {
	m, err := l.element.match(r, key)
	if err != nil || m == nil {
		return false, err
	}
	data, child := in.v, false
	switch l.element.kind {
	case dollar, hash:
		data = m.raw
	case at:
	case transpose:
		v, ok, err := l.element.value(r)
		if err != nil || !ok {
			return false, err
		}
		data = v
	default:
		child = true
	}
	r.push(in.v, m)
	for _, p := range l.paths {
		if err := p.write(r, r.output, data); err != nil {
			return false, err
		}
	}
	r.pop()
	if child {
		r.walked[len(r.walked)-1].matched.count++
	}
	return child, nil
}
