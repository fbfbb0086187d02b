package jolt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// mode is when modify writes.
type mode byte

const (
	always   mode = '+' // modify-overwrite-beta
	ifNull   mode = '~' // modify-default-beta
	ifAbsent mode = '_' // modify-define-beta
)

func (m mode) member(o *jsondoc.Object, name string) bool {
	v, ok := o.Get(name)
	return m == always || m == ifNull && v == nil || m == ifAbsent && !ok
}

// item: size is that of the list before it was extended.
func (m mode) item(a *jsondoc.Array, i, size int) bool {
	if i < 0 || size < 0 || i >= len(a.Items) {
		return false
	}
	return m == always || m == ifNull && a.Items[i] == nil || m == ifAbsent && i >= size && a.Items[i] == nil
}

// modify is the operation modify in its three modes.
type modify struct{ root *modifyNode }

// modifyKey is what all keys of modify have.
type modifyKey struct {
	element *element
	mode    mode
	check   bool // the key ends with ?: it works on what is there only
}

func (k *modifyKey) key() *element { return k.element }

type dataKind uint8

const (
	anyKind dataKind = iota
	mapKind
	listKind
)

// modifyNode is a key with keys below it.
type modifyNode struct {
	modifyKey
	children
	kind dataKind
	last int // the highest index that is named, of listKind; -1: none
}

// modifyLeaf is a key with what its value is made of: the first that gives one.
type modifyLeaf struct {
	modifyKey
	makers []maker
}

func newModify(s *jsondoc.Object, m mode) (operation, error) {
	n, err := newModifyNode(root, s, m)
	if err != nil {
		return nil, err
	}
	return &modify{root: n}, nil
}

func (m *modify) apply(r *run, input any) (any, error) {
	r.push(input, &matched{raw: root, size: none})
	_, err := m.root.apply(r, root, maybe{input, true})
	return input, err
}

func newModifyKey(key string, m mode) (modifyKey, error) {
	k := modifyKey{mode: m}
	whole := key
	if key == "" {
		return k, errors.New("a key is empty")
	}
	if strings.IndexByte("+~_", key[0]) >= 0 {
		k.mode = mode(key[0])
		key = key[1:]
	}
	if len(whole) > 1 && strings.HasSuffix(key, "?") && !strings.HasSuffix(key, `\?`) {
		k.check = true
		key = key[:len(key)-1]
	}
	var err error
	if k.element, err = parseKey(key); err != nil {
		return k, err
	}
	if e := k.element; e.kind != literal && !e.star() && (e.kind != array || e.array != explicit) {
		return k, fmt.Errorf("the key %q cannot stand in modify: names, stars and indexes such as [0] can", whole)
	}
	return k, nil
}

func newModifyNode(key string, s *jsondoc.Object, m mode) (*modifyNode, error) {
	k, err := newModifyKey(key, m)
	if err != nil {
		return nil, err
	}
	n := &modifyNode{modifyKey: k, last: -1}
	below, err := build(s, func(key string, value any) (spec, error) {
		if o, ok := value.(*jsondoc.Object); ok && o.Len() > 0 {
			return newModifyNode(key, o, m)
		}
		return newModifyLeaf(key, value, m)
	})
	if err != nil {
		return nil, err
	}
	isMap, isList := false, false
	for _, c := range below {
		e := c.key()
		switch {
		case e.kind == literal:
			isMap = true
			n.add(e.raw, c)
		case e.kind == array:
			isList = true
			if !checks(c) {
				n.last = max(n.last, e.up)
			}
			n.add(strconv.Itoa(e.up), c)
		default:
			isMap = isMap || e.kind != starAll
			n.computed = append(n.computed, c)
		}
	}
	switch {
	case isMap && isList:
		return nil, fmt.Errorf("below the key %q there are names and indexes", key)
	case isList:
		n.kind = listKind
	case isMap:
		n.kind = mapKind
	}
	slices.SortStableFunc(n.computed, before)
	switch {
	case len(n.computed) == 0:
		n.strategies = []strategy{all}
	case len(n.literals) == 0:
		n.strategies = []strategy{computed}
	case n.mode == ifAbsent && n.kind == listKind:
		n.strategies = []strategy{conflicting}
	default:
		n.strategies = []strategy{all, computed}
	}
	return n, nil
}

func checks(s spec) bool {
	switch x := s.(type) {
	case *modifyNode:
		return x.check
	case *modifyLeaf:
		return x.check
	}
	return false
}

func (n *modifyNode) apply(r *run, key string, in maybe) (bool, error) {
	m, err := n.element.match(r, key)
	if err != nil || m == nil {
		return false, err
	}
	if n.check && !in.ok {
		return true, nil
	}
	return true, n.work(r, key, in.v, m)
}

func (n *modifyNode) work(r *run, key string, v any, m *matched) error {
	_, isMap := v.(*jsondoc.Object)
	list, isList := v.(*jsondoc.Array)
	switch {
	case n.kind == anyKind && v == nil, n.kind == mapKind && v != nil && !isMap, n.kind == listKind && v != nil && !isList:
		return nil
	}
	if v == nil {
		v = n.create(r, key)
		list, isList = v.(*jsondoc.Array)
	}
	if isList {
		m = &matched{raw: m.raw, size: len(list.Items)}
		if n.kind == listKind {
			if err := r.spend(max(0, n.last+1-len(list.Items))); err != nil {
				return err
			}
			for len(list.Items) <= n.last {
				list.Items = append(list.Items, nil)
			}
		}
	}
	r.push(v, m)
	if err := n.process(r, v); err != nil {
		return err
	}
	r.pop()
	return nil
}

// create makes what the key's children need where there is nothing; nil: it may not.
func (n *modifyNode) create(r *run, key string) any {
	var made any = new(jsondoc.Object)
	if n.kind == listKind {
		made = jsondoc.NewArray()
	}
	last := &r.walked[len(r.walked)-1]
	switch parent := last.tree.(type) {
	case *jsondoc.Object:
		if n.mode.member(parent, key) {
			parent.Set(key, made)
			return made
		}
	case *jsondoc.Array:
		if i, err := strconv.Atoi(key); err == nil && n.mode.item(parent, i, last.size()) {
			parent.Items[i] = made
			return made
		}
	}
	return nil
}

func newModifyLeaf(key string, value any, m mode) (spec, error) {
	k, err := newModifyKey(key, m)
	if err != nil {
		return nil, err
	}
	l := &modifyLeaf{modifyKey: k}
	list, ok := value.(*jsondoc.Array)
	if !ok || len(list.Items) == 0 {
		list = jsondoc.NewArray(value)
	}
	for _, item := range list.Items {
		text, ok := item.(string)
		if !ok {
			l.makers = append(l.makers, maker{args: []argument{{value: item}}})
			continue
		}
		mk, err := parseMaker(text)
		if err != nil {
			return nil, fmt.Errorf("the key %q: %w", key, err)
		}
		l.makers = append(l.makers, mk)
	}
	return l, nil
}

func (l *modifyLeaf) apply(r *run, key string, in maybe) (bool, error) {
	m, err := l.element.match(r, key)
	if err != nil || m == nil {
		return false, err
	}
	if l.check && !in.ok {
		return true, nil
	}
	parent := r.walked[len(r.walked)-1].tree
	r.push(in.v, m)
	defer r.pop()
	for i := range l.makers {
		v, err := l.makers[i].make(r, in)
		if errors.Is(err, ErrLimit) {
			return false, err
		}
		if err == nil && v.ok { // as in JOLT, what cannot be made is as if it were not there
			return true, l.put(parent, m, v.v)
		}
	}
	return true, nil
}

func (l *modifyLeaf) put(parent any, m *matched, v any) error {
	switch p := parent.(type) {
	case *jsondoc.Object:
		if l.mode.member(p, m.raw) {
			p.Set(m.raw, v)
		}
		return nil
	case *jsondoc.Array:
		if m.size != none {
			if i, err := strconv.Atoi(m.raw); err == nil && l.mode.item(p, i, m.size) {
				p.Items[i] = v
			}
			return nil
		}
	}
	return fmt.Errorf("the key %q is neither a member of an object nor an item of a list", m.raw)
}
