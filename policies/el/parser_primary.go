package el

import (
	"strconv"
	"strings"
)

// primary = start { "." name [ arguments ] | "?." ... | "[" expression "]" | selection | projection }
func (p *parser) primary() (node, *Error) {
	n, err := p.start()
	for err == nil {
		var more bool
		if n, more, err = p.suffix(n); !more {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// suffix reads one step of a path.
func (p *parser) suffix(of node) (n node, more bool, err *Error) {
	at := p.tok.at
	switch {
	case p.tok.is("."), p.tok.is("?."):
		safe := p.tok.text == "?."
		if err := p.advance(); err != nil {
			return nil, false, err
		}
		n, err = p.step(of, safe, at)
	case p.tok.is("["):
		n, err = p.index(of, false)
	default:
		return of, false, nil
	}
	return n, true, err
}

func (p *parser) step(of node, safe bool, at int) (node, *Error) {
	switch {
	case p.tok.kind == tokIdent:
		name := p.tok
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.is("(") {
			return p.call(of, name, safe)
		}
		return p.member(of, name, safe)
	case p.tok.is("["):
		return p.index(of, safe)
	case p.tok.is("?["), p.tok.is("^["), p.tok.is("$["), p.tok.is("!["):
		return p.select_(of, safe)
	}
	return nil, p.fail(p.tok.at, CodeSyntax, "a name is missing behind "+strconv.Quote(p.src[at:at+1])+", before "+p.tok.String(), "")
}

// select_ reads a selection .?[ .^[ .$[ or a projection .![
func (p *parser) select_(of node, safe bool) (node, *Error) {
	open := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	p.inside++
	each, err := p.expression()
	p.inside--
	if err != nil {
		return nil, err
	}
	if err := p.expect("]", "behind a selection"); err != nil {
		return nil, err
	}
	return p.made(open.at, &selection{at: open.at, of: of, mode: open.text[0], what: each, safe: safe,
		null: p.nullError(open.at, "select from")})
}

// nullError is made once, so that a missing header costs nothing per message.
func (p *parser) nullError(at int, what string) *Error {
	return p.fail(at, CodeNull, "cannot "+what+" null", "use ?. where it may be null")
}

func (p *parser) index(of node, safe bool) (node, *Error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	key, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect("]", "behind an index"); err != nil {
		return nil, err
	}
	// map[name] means map['name'] (addenda 6.1-g).
	if bare, ok := key.(*member); ok && bare.bare {
		key = &literal{bare.at, OfText(bare.name)}
	}
	if l, ok := key.(*literal); ok && l.v.kind == Text {
		if err := p.checkMember(of, l.v.text, l.at); err != nil {
			return nil, err
		}
	}
	n := &index{at: at, of: of, key: key, safe: safe, null: p.nullError(at, "index")}
	return p.made(at, n)
}

func (p *parser) member(of node, name token, safe bool) (node, *Error) {
	if err := p.checkMember(of, name.text, name.at); err != nil {
		return nil, err
	}
	if t, ok := of.(*typeNode); ok {
		v, ok := constants[t.name+"."+name.text]
		if !ok {
			return nil, p.fail(name.at, CodeNotAllowed, t.name+" has no constant "+name.text+" on the allow-list", "")
		}
		return p.made(name.at, &constant{t.name, name.text, v})
	}
	return p.made(name.at, &member{at: name.at, of: of, name: name.text, safe: safe,
		null: p.nullError(name.at, "read "+strconv.Quote(name.text)+" of")})
}

// checkMember refuses members that a variable of the gateway never has: the expression could never have a value.
func (p *parser) checkMember(of node, name string, at int) *Error {
	v, ok := of.(*variable)
	if !ok || p.opt.declares(v.name) {
		return nil
	}
	known := v.root.members()
	if known == nil {
		return nil
	}
	for _, k := range known {
		if k == name {
			return nil
		}
	}
	return p.fail(at, CodeUnknown, "#"+v.name+" has no member "+strconv.Quote(name), "it has "+strings.Join(known, ", "))
}

func (p *parser) call(of node, name token, safe bool) (node, *Error) {
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if t, ok := of.(*typeNode); ok {
		return p.static(t, name, args)
	}
	m, ok := methods[name.text]
	if !ok {
		return nil, p.fail(name.at, CodeNotAllowed, "the method "+name.text+" is not on the allow-list", "")
	}
	if !m.takes(len(args)) {
		return nil, p.fail(name.at, CodeArguments, "the method "+name.text+" does not take "+count(len(args), "argument"), "")
	}
	n := &call{at: name.at, of: of, name: name.text, method: m, args: args, safe: safe,
		null: p.nullError(name.at, "call "+name.text+" of")}
	if m.pattern {
		if n.pattern, err = p.pattern(name.text, args); err != nil {
			return nil, err
		}
	}
	return p.made(name.at, n)
}

// pattern compiles the pattern that is the first argument, where it is written out.
func (p *parser) pattern(name string, args []node) (*pattern, *Error) {
	whole := name == "matches"
	re := &pattern{whole: whole}
	if l, ok := args[0].(*literal); ok && l.v.kind == Text {
		fixed, err := compileRegex(l.v.text, whole)
		if err != nil {
			return nil, p.regexError(l, err)
		}
		re.fixed = fixed
	}
	return re, nil
}

func (p *parser) static(t *typeNode, name token, args []node) (node, *Error) {
	f, ok := statics[t.name+"."+name.text]
	if !ok {
		return nil, p.fail(name.at, CodeNotAllowed, t.name+"."+name.text+" is not on the allow-list", "")
	}
	if !f.takes(len(args)) {
		return nil, p.fail(name.at, CodeArguments, t.name+"."+name.text+" does not take "+count(len(args), "argument"), "")
	}
	p.uses.volatile = p.uses.volatile || f.volatile
	return p.made(name.at, &static{at: name.at, class: t.name, name: name.text, f: f, args: args})
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func (p *parser) arguments() ([]node, *Error) {
	if err := p.expect("(", "before arguments"); err != nil {
		return nil, err
	}
	var args []node
	for !p.tok.is(")") {
		if len(args) == maxArgs {
			return nil, p.fail(p.tok.at, CodeArguments, "more than "+strconv.Itoa(maxArgs)+" arguments", "")
		}
		if len(args) > 0 {
			if err := p.expect(",", "between arguments"); err != nil {
				return nil, err
			}
		}
		a, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, a)
	}
	return args, p.advance()
}

// start is what a path begins with.
func (p *parser) start() (node, *Error) {
	t := p.tok
	switch {
	case t.kind == tokValue:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.made(t.at, &literal{t.at, t.value})
	case t.is("("):
		return p.parens()
	case t.is("{"):
		return p.braces()
	case t.is("#"):
		return p.hash()
	case t.kind == tokIdent:
		return p.named()
	case t.is("?["), t.is("^["), t.is("$["), t.is("!["), t.is("["):
		if p.inside > 0 {
			return p.step(&this{}, false, t.at)
		}
	case t.is("@"), t.is("&"):
		return nil, p.fail(t.at, CodeNotAllowed, "bean references are not allowed", "")
	case t.kind == tokEnd:
		return nil, p.fail(t.at, CodeSyntax, "the expression has no end", "close it with }")
	}
	return nil, p.fail(t.at, CodeSyntax, "a value is missing before "+t.String(), "")
}

func (p *parser) parens() (node, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	return n, p.expect(")", "behind an expression in parentheses")
}

// named is a word at the start of a path: a literal, a type, a constructor, or a member of the element.
func (p *parser) named() (node, *Error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case t.word("true"):
		return p.made(t.at, &literal{t.at, OfBool(true)})
	case t.word("false"):
		return p.made(t.at, &literal{t.at, OfBool(false)})
	case t.word("null"):
		return p.made(t.at, &literal{t.at, Value{}})
	case t.text == "T" && p.tok.is("("):
		return p.type_()
	case t.word("new") && p.tok.kind == tokIdent:
		return p.constructor(t)
	case p.tok.is("("):
		if p.inside == 0 {
			return nil, p.fail(t.at, CodeNotAllowed, "there is no function "+t.text, "functions begin with #, as #jsonPath")
		}
		return p.call(&this{}, t, false)
	}
	return p.made(t.at, &member{at: t.at, of: &this{}, name: t.text, bare: true, outside: p.inside == 0,
		null: p.fail(t.at, CodeNull, "cannot read "+strconv.Quote(t.text)+" of null", "a variable is written #"+t.text)})
}
