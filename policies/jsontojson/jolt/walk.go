package jolt

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// none: a matched key is not of an array whose original size is known.
const none = -1

// matched is how a key of a document was matched.
type matched struct {
	raw   string
	subs  []string // what stars stand for
	count int      // how many below it were matched
	size  int      // of the array that it is of, before it was extended; none
}

// step is a level of the way down a document.
type step struct {
	tree    any
	matched *matched
}

func (s *step) size() int { return s.matched.size }

func (r *run) push(tree any, m *matched) { r.walked = append(r.walked, step{tree, m}) }
func (r *run) pop()                      { r.walked = r.walked[:len(r.walked)-1] }

// level is a level above the lowest.
func (r *run) level(up int) (*step, error) {
	if up >= len(r.walked) {
		return nil, errNoLevel
	}
	return &r.walked[len(r.walked)-1-up], nil
}

// group is what a reference stands for.
func (r *run) group(up, group int) (string, error) {
	s, err := r.level(up)
	if err != nil {
		return "", err
	}
	switch {
	case group == 0:
		return s.matched.raw, nil
	case group > len(s.matched.subs):
		return "", fmt.Errorf("%q was not matched by so many stars as &(%d,%d) asks for", s.matched.raw, up, group)
	}
	return s.matched.subs[group-1], nil
}

// maybe is a value that may be absent; null is a value.
type maybe struct {
	v  any
	ok bool
}

// spec is a key of a specification with what is below it.
type spec interface {
	key() *element
	// apply works on what an input has under key, if the spec's element fits. did false: it does not fit, or others may as well.
	apply(r *run, key string, input maybe) (did bool, err error)
}

type strategy uint8

const (
	available   strategy = iota // the keys that are named, where they are there
	all                         // the keys that are named
	computed                    // patterns only
	conflicting                 // the keys that are named, patterns for the others
)

// children are the keys below a key.
type children struct {
	strategies []strategy // one after the other
	names      []string   // of literals, in order
	literals   map[string]spec
	computed   []spec
}

func (c *children) add(name string, s spec) {
	if c.literals == nil {
		c.literals = map[string]spec{}
	}
	if _, again := c.literals[name]; !again {
		c.names = append(c.names, name)
	}
	c.literals[name] = s
}

// process works on the children of an input.
func (c *children) process(r *run, input any) error {
	for _, s := range c.strategies {
		var err error
		switch x := input.(type) {
		case nil:
		case *jsondoc.Object:
			err = c.object(r, s, x)
		case *jsondoc.Array:
			err = c.array(r, s, x)
		default:
			err = c.scalar(r, s, javaText(x))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *children) object(r *run, s strategy, o *jsondoc.Object) error {
	if s == available || s == all {
		for _, name := range c.names {
			v, ok := o.Get(name)
			if !ok && s == available {
				continue
			}
			if err := c.literal(r, name, maybe{v, ok}); err != nil {
				return err
			}
		}
		return nil
	}
	members := o.Len()
	for _, name := range o.Names() {
		if o.Len() != members {
			return errChanged
		}
		v, ok := o.Get(name)
		if err := c.pattern(r, s, name, maybe{v, ok}); err != nil {
			return err
		}
	}
	return nil
}

var errChanged = errors.New("the specification changes an object while it goes through its members")

func (c *children) array(r *run, s strategy, a *jsondoc.Array) error {
	size := r.walked[len(r.walked)-1].size()
	item := func(i int) maybe {
		v := a.Items[i]
		if v == nil && size != none && i >= size {
			return maybe{}
		}
		return maybe{v, true}
	}
	if s == available || s == all {
		for _, name := range c.names {
			i, err := strconv.Atoi(name)
			known := err == nil && i < len(a.Items)
			if known && i < 0 {
				return fmt.Errorf("an array has no item %d", i)
			}
			in := maybe{}
			if known {
				in = item(i)
			} else if s == available {
				continue
			}
			if err := c.literal(r, name, in); err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i < len(a.Items); i++ {
		if err := c.pattern(r, s, strconv.Itoa(i), item(i)); err != nil {
			return err
		}
	}
	return nil
}

func (c *children) scalar(r *run, s strategy, text string) error {
	if s == available || s == all {
		if _, ok := c.literals[text]; ok {
			return c.literal(r, text, maybe{})
		}
		return nil
	}
	return c.pattern(r, s, text, maybe{})
}

func (c *children) literal(r *run, name string, in maybe) error {
	if err := r.spend(1); err != nil {
		return err
	}
	_, err := c.literals[name].apply(r, name, in)
	return err
}

// pattern gives a key to the first pattern that fits, unless it is named.
func (c *children) pattern(r *run, s strategy, name string, in maybe) error {
	if s == conflicting {
		if _, ok := c.literals[name]; ok {
			return c.literal(r, name, in)
		}
	}
	for _, p := range c.computed {
		if err := r.spend(1); err != nil {
			return err
		}
		if did, err := p.apply(r, name, in); did || err != nil {
			return err
		}
	}
	return nil
}

// before is the order of patterns: by kind, longer ones first.
func before(a, b spec) int {
	x, y := a.key(), b.key()
	switch {
	case x.kind != y.kind:
		return int(x.kind) - int(y.kind)
	case len(x.canonical) != len(y.canonical):
		return len(y.canonical) - len(x.canonical)
	case x.canonical < y.canonical:
		return -1
	}
	return 1
}
