package ftl

import (
	"errors"
	"slices"
	"strings"
)

// parser makes the parts of a template.
type parser struct {
	text    string
	tokens  []token
	next    int
	depth   int
	known   []string // variables that the template makes itself, so far
	loops   []string // variables of the lists around
	inside  int      // lists and switches around
	resolve Resolver
}

// literal is text.
type literal string

func (l literal) write(r *run) error {
	r.out = append(r.out, l...)
	return nil
}

// block reads parts up to a tag that ends the block, which stays to be read. ends nil: up to the end of the template.
func (p *parser) block(ends func(t token) bool) ([]part, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fail(p.text, p.tokens[p.next].at, "directives are more than %d levels deep", maxDepth)
	}
	defer func() { p.depth-- }()
	var out []part
	for p.next < len(p.tokens) {
		t := p.tokens[p.next]
		if ends != nil && ends(t) {
			return out, nil
		}
		p.next++
		made, err := p.part(t)
		if err != nil {
			return nil, err
		}
		out = append(out, made...)
	}
	if ends != nil {
		return nil, fail(p.text, len(p.text), "a directive is not closed")
	}
	return out, nil
}

func (p *parser) part(t token) ([]part, error) {
	switch t.kind {
	case textToken:
		return []part{literal(t.text)}, nil
	case valueToken:
		e, err := p.expression(t.text, t.from)
		return []part{&value{e}}, err
	case endToken:
		return nil, fail(p.text, t.at, "</#%s> closes nothing", t.name)
	}
	var made part
	var err error
	switch t.name {
	case "if":
		made, err = p.branch(t)
	case "list":
		made, err = p.list(t)
	case "assign":
		return p.assign(t)
	case "switch":
		made, err = p.choice(t)
	case "break":
		if p.inside == 0 {
			return nil, fail(p.text, t.at, "<#break> stands outside of list and switch")
		}
		made = stop{}
	case "else", "elseif", "case", "default", "sep":
		return nil, fail(p.text, t.at, "<#%s> stands alone", t.name)
	default:
		return nil, fail(p.text, t.at, "the directive <#%s> is not supported; supported are if, elseif, else, list, sep, assign, switch, case, default, break and noparse", t.name)
	}
	return []part{made}, err
}

// tag tells whether t is one of the start tags, or the end tag end.
func tag(end string, starts ...string) func(token) bool {
	return func(t token) bool {
		return t.kind == endToken && t.name == end || t.kind == startToken && slices.Contains(starts, t.name)
	}
}

// take is the tag that ended a block.
func (p *parser) take() token {
	p.next++
	return p.tokens[p.next-1]
}

type branch struct {
	conditions []node // one less than blocks where there is an else
	blocks     [][]part
}

func (p *parser) branch(t token) (part, error) {
	b := &branch{}
	for {
		if t.name != "else" {
			e, err := p.expression(t.text, t.from)
			if err != nil {
				return nil, err
			}
			b.conditions = append(b.conditions, e)
		}
		body, err := p.block(tag("if", "elseif", "else"))
		if err != nil {
			return nil, err
		}
		b.blocks = append(b.blocks, body)
		last := t
		if t = p.take(); t.kind == endToken {
			return b, nil
		}
		if last.name == "else" {
			return nil, fail(p.text, t.at, "<#%s> stands behind <#else>", t.name)
		}
	}
}

func (b *branch) write(r *run) error {
	for i, c := range b.conditions {
		ok, err := r.truth(c)
		if err != nil {
			return err
		}
		if ok {
			return r.all(b.blocks[i])
		}
	}
	if len(b.blocks) > len(b.conditions) {
		return r.all(b.blocks[len(b.conditions)])
	}
	return nil
}

// stop is <#break>.
type stop struct{}

func (stop) write(*run) error { return errBreak }

type assign struct {
	name string
	of   node
	body []part // where of is nil
}

// assign reads <#assign a = 1 b = 2> and <#assign a>...</#assign>.
func (p *parser) assign(t token) ([]part, error) {
	x, err := p.lex(t.text, t.from)
	if err != nil {
		return nil, err
	}
	var out []part
	for {
		name, ok := x.name()
		if !ok {
			return nil, x.wrong("a variable's name is missing")
		}
		if x.done() && len(out) == 0 {
			body, err := p.block(tag("assign"))
			if err != nil {
				return nil, err
			}
			p.take()
			p.known = append(p.known, name)
			return []part{&assign{name: name, body: body}}, nil
		}
		if !x.accept("=") {
			return nil, x.wrong("= is missing")
		}
		e, err := x.expression()
		if err != nil {
			return nil, err
		}
		p.known = append(p.known, name)
		out = append(out, &assign{name: name, of: e})
		x.accept(",")
		if x.done() {
			return out, nil
		}
	}
}

func (a *assign) write(r *run) error {
	var v any
	var err error
	if a.of != nil {
		if v, err = r.eval(a.of); err != nil {
			return err
		}
		if v == nil {
			return missing(a.of)
		}
	} else {
		from := len(r.out)
		if err := r.all(a.body); err != nil {
			return err
		}
		v = string(r.out[from:])
		r.out = r.out[:from]
	}
	if r.vars == nil {
		r.vars = map[string]any{}
	}
	r.vars[a.name] = v
	return nil
}

type choice struct {
	of     node
	cases  []node // nil: the default
	bodies [][]part
}

func (p *parser) choice(t token) (part, error) {
	of, err := p.expression(t.text, t.from)
	if err != nil {
		return nil, err
	}
	p.inside++
	defer func() { p.inside-- }()
	c := &choice{of: of}
	ends := tag("switch", "case", "default")
	before, err := p.block(ends)
	if err != nil {
		return nil, err
	}
	for _, b := range before {
		if l, ok := b.(literal); !ok || !blank(string(l)) {
			return nil, fail(p.text, t.at, "something stands before the first <#case>")
		}
	}
	for t = p.take(); t.kind != endToken; t = p.take() {
		var e node
		if t.name == "case" {
			if e, err = p.expression(t.text, t.from); err != nil {
				return nil, err
			}
		}
		body, err := p.block(ends)
		if err != nil {
			return nil, err
		}
		c.cases, c.bodies = append(c.cases, e), append(c.bodies, body)
	}
	return c, nil
}

func (c *choice) write(r *run) error {
	v, err := r.present(c.of)
	if err != nil {
		return err
	}
	from := -1
	for i, e := range c.cases {
		if e == nil {
			continue
		}
		w, err := r.present(e)
		if err != nil {
			return err
		}
		same, err := compare("==", v, w)
		if err != nil {
			return err
		}
		if same {
			from = i
			break
		}
	}
	if from < 0 {
		from = slices.IndexFunc(c.cases, func(e node) bool { return e == nil })
	}
	for i := from; i >= 0 && i < len(c.bodies); i++ {
		if err := r.all(c.bodies[i]); err == errBreak {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// value is an interpolation.
type value struct{ of node }

func (v *value) write(r *run) error {
	x, err := r.present(v.of)
	if err != nil {
		return err
	}
	s, err := text(x)
	if err != nil {
		return err
	}
	r.out = append(r.out, s...)
	return nil
}

// missing is the error where a value is not there.
func missing(e node) error {
	return errors.New(strings.TrimSpace(e.String()) + " is missing; give it a default with !, or ask for it with ??")
}
