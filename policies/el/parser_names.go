package el

import (
	"slices"
	"strings"
)

// typeName reads "(" name ")" and returns the class by its full name.
func (p *parser) typeName() (token, *Error) {
	if err := p.expect("(", "behind T"); err != nil {
		return token{}, err
	}
	name, err := p.dotted()
	if err != nil {
		return token{}, err
	}
	return name, p.expect(")", "behind a type")
}

// dotted reads a qualified name. Classes of java.lang need no package, as in Spring.
func (p *parser) dotted() (token, *Error) {
	name := p.tok
	if name.kind != tokIdent {
		return name, p.fail(name.at, CodeSyntax, "the name of a class is missing, before "+name.String(), "")
	}
	if err := p.advance(); err != nil {
		return name, err
	}
	for p.tok.is(".") {
		if err := p.advance(); err != nil {
			return name, err
		}
		if p.tok.kind != tokIdent {
			return name, p.fail(p.tok.at, CodeSyntax, "the name of a class goes on, before "+p.tok.String(), "")
		}
		name.text += "." + p.tok.text
		if err := p.advance(); err != nil {
			return name, err
		}
	}
	if !strings.Contains(name.text, ".") {
		name.text = "java.lang." + name.text
	}
	return name, nil
}

// type_ reads a type that something static is taken of.
func (p *parser) type_() (node, *Error) {
	name, err := p.typeName()
	if err != nil {
		return nil, err
	}
	if !classes[name.text] {
		return nil, p.fail(name.at, CodeNotAllowed, "the class "+name.text+" is not on the allow-list", "")
	}
	if !p.tok.is(".") {
		return nil, p.fail(p.tok.at, CodeSyntax, "a class alone is not a value", "call one of its methods")
	}
	return &typeNode{name.text}, nil
}

func (p *parser) constructor(at token) (node, *Error) {
	name, err := p.dotted()
	if err != nil {
		return nil, err
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	f, ok := statics[name.text+".new"]
	if !ok {
		return nil, p.fail(name.at, CodeNotAllowed, "new "+name.text+" is not on the allow-list", "")
	}
	if !f.takes(len(args)) {
		return nil, p.fail(name.at, CodeArguments, "new "+name.text+" does not take "+count(len(args), "argument"), "")
	}
	p.uses.volatile = p.uses.volatile || f.volatile && len(args) == 0
	return p.made(at.at, &static{at: at.at, class: name.text, name: "new", f: f, args: args})
}

// hash reads a variable or a function.
func (p *parser) hash() (node, *Error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	name := p.tok
	if name.kind != tokIdent || name.at != at+1 {
		return nil, p.fail(at, CodeSyntax, "the name of a variable is missing behind #", "")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is("(") {
		return p.function(name)
	}
	if name.text == "this" || name.text == "root" {
		if p.inside == 0 {
			return nil, p.fail(at, CodeUnknown, "#"+name.text+" means an element within .?[ ] and .![ ] only", "")
		}
		return p.made(at, &this{root: name.text == "root"})
	}
	v := &variable{name: name.text, root: rootOf(name.text)}
	if v.root == RootOther && !p.opt.declares(v.name) && !slices.Contains(p.uses.unknown, v.name) {
		p.uses.unknown = append(p.uses.unknown, v.name)
	}
	return p.made(at, v)
}

func (p *parser) function(name token) (node, *Error) {
	f, ok := functions[name.text]
	if !ok {
		return nil, p.fail(name.at, CodeNotAllowed, "there is no function #"+name.text, "there are #jsonPath, #xpath, #jsonEscape, #xmlEscape")
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if len(args) < f.min || len(args) > f.max {
		return nil, p.fail(name.at, CodeArguments, "#"+name.text+" does not take "+count(len(args), "argument"), "")
	}
	n := &function{at: name.at, name: name.text, f: f, args: args}
	if l, ok := argument(args, 1).(*literal); ok && l.v.kind == Text && f.compile != nil {
		q, err := f.compile(l.v.text)
		if err != nil {
			return nil, p.fail(l.at, CodePath, "the path '"+l.v.text+"' "+err.Error(), "")
		}
		n.query.fixed = q
	}
	return p.made(name.at, n)
}

func argument(args []node, i int) node {
	if i < len(args) {
		return args[i]
	}
	return nil
}

// braces reads a list {a, b} or a map {k: v}; {} is an empty list and {:} an empty map.
func (p *parser) braces() (node, *Error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if ok, err := p.take("}"); ok || err != nil {
		if err != nil {
			return nil, err
		}
		return p.made(at, &list{})
	}
	if ok, err := p.take(":"); ok || err != nil {
		if err == nil {
			err = p.expect("}", "behind an empty map")
		}
		if err != nil {
			return nil, err
		}
		return p.made(at, &dict{at: at})
	}
	first, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.tok.is(":") {
		return p.entries(at, first)
	}
	n := &list{items: []node{first}}
	for p.tok.is(",") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		item, err := p.expression()
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	if err := p.expect("}", "behind a list"); err != nil {
		return nil, err
	}
	return p.made(at, n)
}

func (p *parser) entries(at int, key node) (node, *Error) {
	n := &dict{at: at}
	for {
		// A bare name is the key itself; a computed key is anything else.
		if bare, ok := key.(*member); ok && bare.bare {
			key = &literal{bare.at, OfText(bare.name)}
		}
		if err := p.expect(":", "behind a key"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		n.keys, n.values = append(n.keys, key), append(n.values, value)
		if ok, err := p.take(","); err != nil {
			return nil, err
		} else if !ok {
			break
		}
		if key, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if err := p.expect("}", "behind a map"); err != nil {
		return nil, err
	}
	return p.made(at, n)
}
