package ftl

import (
	"fmt"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

type list struct {
	of         node
	name, pair string // pair: the variable of a hash's values, name that of its keys
	body, none []part
}

// loop is a list that is worked through.
type loop struct {
	name, pair string
	key, item  any
	index      int
	last       bool
}

// sep is <#sep>: what stands between items.
type sep struct{ body []part }

func (s *sep) write(r *run) error {
	if r.loops[len(r.loops)-1].last {
		return nil
	}
	return r.all(s.body)
}

// list reads <#list seq as x> and <#list hash as k, v>.
func (p *parser) list(t token) (part, error) {
	x, err := p.lex(t.text, t.from)
	if err != nil {
		return nil, err
	}
	l := &list{}
	if l.of, err = x.expression(); err != nil {
		return nil, err
	}
	if !x.accept("as") {
		return nil, x.wrong("\"as\" and a variable's name are missing; <#items> is not supported")
	}
	var ok bool
	if l.name, ok = x.name(); !ok {
		return nil, x.wrong("a variable's name is missing")
	}
	if x.accept(",") {
		if l.pair, ok = x.name(); !ok {
			return nil, x.wrong("a variable's name is missing")
		}
	}
	if !x.done() {
		return nil, x.wrong("there is more than a list and its variable")
	}
	names := []string{l.name}
	if l.pair != "" {
		names = append(names, l.pair)
	}
	p.loops = append(p.loops, names...)
	p.inside++
	err = p.items(l)
	p.inside--
	p.loops = p.loops[:len(p.loops)-len(names)]
	return l, err
}

// items reads what stands in a list: its body, what separates items, and what comes where there are none.
func (p *parser) items(l *list) error {
	for {
		body, err := p.block(tag("list", "sep", "else"))
		if err != nil {
			return err
		}
		l.body = append(l.body, body...)
		t := p.take()
		if t.kind == startToken && t.name == "sep" {
			between, err := p.block(func(t token) bool { return tag("list", "else")(t) || t.kind == endToken && t.name == "sep" })
			if err != nil {
				return err
			}
			l.body = append(l.body, &sep{between})
			if e := p.tokens[p.next]; e.kind == endToken && e.name == "sep" {
				p.next++
				continue
			}
			t = p.take()
		}
		if t.kind == endToken {
			return nil
		}
		if l.none, err = p.block(tag("list")); err != nil {
			return err
		}
		p.take()
		return nil
	}
}

func (l *list) write(r *run) error {
	v, err := r.present(l.of)
	if err != nil {
		return err
	}
	n := 0
	var at func(i int) (key, item any)
	switch x := v.(type) {
	case []any:
		if l.pair != "" {
			return fmt.Errorf("%s is a sequence, which has no keys", l.of)
		}
		n, at = len(x), func(i int) (any, any) { return nil, x[i] }
	case *jsondoc.Object:
		if l.pair == "" {
			return fmt.Errorf("%s is a hash: <#list hash as key, value> lists it", l.of)
		}
		n, at = x.Len(), func(i int) (any, any) { return x.At(i).Name, x.At(i).Value }
	default:
		return fmt.Errorf("%s is %s, where a sequence or a hash is needed", l.of, kind(v))
	}
	if n == 0 {
		return r.all(l.none)
	}
	o := &loop{name: l.name, pair: l.pair}
	r.loops = append(r.loops, o)
	defer func() { r.loops = r.loops[:len(r.loops)-1] }()
	for i := range n {
		if err := r.step(); err != nil {
			return err
		}
		o.key, o.item = at(i)
		o.index, o.last = i, i == n-1
		if err := r.all(l.body); err == errBreak {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// named returns the loop that a variable is of.
func (r *run) named(name string) *loop {
	for i := len(r.loops) - 1; i >= 0; i-- {
		if l := r.loops[i]; l.name == name || l.pair == name && name != "" {
			return l
		}
	}
	return nil
}

// value is a variable of the loop.
func (l *loop) value(name string) any {
	if l.pair != "" && l.name == name {
		return l.key
	}
	return l.item
}
