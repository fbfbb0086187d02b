package el

import (
	"strconv"
	"strings"
)

// parser reads the fragments of one text. It is a recursive descent in the order of Spring's precedences; the grammar is
// in docs/expression-language.md.
type parser struct {
	lexer
	opt    *Options
	tok    token // the next one
	depth  int
	nodes  int
	inside int // how many selections and projections are open: #this and bare names mean their element
	uses   uses
}

func (p *parser) fail(at int, code Code, message, hint string) *Error {
	return errorAt(p.src, at, code, message, hint)
}

func (p *parser) advance() *Error {
	t, err := p.next()
	p.tok = t
	return err
}

// take moves on if the next token is the symbol.
func (p *parser) take(symbol string) (bool, *Error) {
	if !p.tok.is(symbol) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(symbol, after string) *Error {
	if ok, err := p.take(symbol); ok || err != nil {
		return err
	}
	return p.fail(p.tok.at, CodeSyntax, strconv.Quote(symbol)+" is missing "+after+", before "+p.tok.String(), "")
}

// made counts a node; every node is made through it.
func (p *parser) made(at int, n node) (node, *Error) {
	if p.nodes++; p.nodes > maxNodes {
		return nil, p.fail(at, CodeTooManyParts, "expressions with more than "+strconv.Itoa(maxNodes)+" parts", "split the text")
	}
	return n, nil
}

// within runs a rule one level deeper.
func (p *parser) within(rule func() (node, *Error)) (node, *Error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok.at, CodeTooDeep, "expressions within each other more than "+strconv.Itoa(maxDepth)+" deep", "")
	}
	defer func() { p.depth-- }()
	return rule()
}

// expression = or [ "?:" expression | "?" expression ":" expression ]
func (p *parser) expression() (node, *Error) { return p.within(p.conditional) }

func (p *parser) conditional() (node, *Error) {
	left, err := p.or()
	if err != nil {
		return nil, err
	}
	at := p.tok.at
	if ok, err := p.take("?:"); err != nil || ok {
		if err != nil {
			return nil, err
		}
		other, err := p.expression()
		if err != nil {
			return nil, err
		}
		return p.made(at, &elvis{left, other})
	}
	ok, err := p.take("?")
	if err != nil || !ok {
		if p.tok.is("=") {
			return nil, p.fail(p.tok.at, CodeNotAllowed, "assignment is not allowed", "compare with ==")
		}
		return left, err
	}
	yes, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect(":", "in a conditional"); err != nil {
		return nil, err
	}
	no, err := p.expression()
	if err != nil {
		return nil, err
	}
	return p.made(at, &ternary{at, left, yes, no})
}

// level reads operands of the next tighter rule with operators of the same precedence between them, from the left.
func (p *parser) level(operand func() (node, *Error), operator func(token) (op, bool)) (node, *Error) {
	left, err := operand()
	for err == nil {
		o, ok := operator(p.tok)
		if !ok {
			return left, nil
		}
		at := p.tok.at
		if err = p.advance(); err != nil {
			return nil, err
		}
		var right node
		if right, err = operand(); err == nil {
			left, err = p.made(at, newBinary(at, o, left, right))
		}
	}
	return nil, err
}

func (p *parser) or() (node, *Error) {
	return p.level(p.and, func(t token) (op, bool) { return opOr, t.is("||") || t.word("or") })
}

func (p *parser) and() (node, *Error) {
	return p.level(p.relation, func(t token) (op, bool) { return opAnd, t.is("&&") || t.word("and") })
}

var relations = map[string]op{"==": opEq, "!=": opNe, "<": opLt, "<=": opLe, ">": opGt, ">=": opGe,
	"eq": opEq, "ne": opNe, "lt": opLt, "le": opLe, "gt": opGt, "ge": opGe,
	"matches": opMatches, "between": opBetween, "instanceof": opInstance}

// relation = sum [ operator sum ]: one only, as in Spring, so that a == b == c is refused.
func (p *parser) relation() (node, *Error) {
	left, err := p.sum()
	if err != nil || p.tok.kind == tokEnd || p.tok.kind == tokValue {
		return left, err
	}
	o, ok := relations[strings.ToLower(p.tok.text)]
	if !ok {
		return left, nil
	}
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if o == opInstance {
		return p.instance(at, left)
	}
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	switch o {
	case opMatches:
		return p.matches(at, left, right)
	case opBetween:
		return p.made(at, &between{at, left, right})
	}
	return p.made(at, newBinary(at, o, left, right))
}

func (p *parser) instance(at int, left node) (node, *Error) {
	if !p.tok.word("T") {
		return nil, p.fail(p.tok.at, CodeSyntax, "instanceof wants a type", "write instanceof T(java.lang.String)")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	name, err := p.typeName()
	if err != nil {
		return nil, err
	}
	kinds, ok := instanceKinds[name.text]
	if !ok {
		return nil, p.fail(name.at, CodeNotAllowed, "the type "+name.text+" is not on the allow-list", "")
	}
	return p.made(at, &instanceOf{left, name.text, kinds})
}

// matches compiles a pattern that is written out once and for all.
func (p *parser) matches(at int, left, right node) (node, *Error) {
	n := &matchesNode{at: at, left: left, right: right}
	if l, ok := right.(*literal); ok && l.v.kind == Text {
		re, err := compileRegex(l.v.text, true)
		if err != nil {
			return nil, p.regexError(l, err)
		}
		n.fixed = re
	}
	return p.made(at, n)
}

// regexError tells of a wrong pattern at its own place in the text, where quotes do not move it.
func (p *parser) regexError(l *literal, err *regexError) *Error {
	at := l.at
	if raw := l.at + 1; strings.HasPrefix(p.src[raw:], l.v.text) {
		at = raw + min(err.at, len(l.v.text))
	}
	return p.fail(at, CodeRegex, "the pattern '"+l.v.text+"' "+err.text, err.hint)
}

func (p *parser) sum() (node, *Error) {
	return p.level(p.product, func(t token) (op, bool) {
		switch {
		case t.is("+"):
			return opAdd, true
		case t.is("-"):
			return opSub, true
		}
		return 0, false
	})
}

func (p *parser) product() (node, *Error) {
	return p.level(p.power, func(t token) (op, bool) {
		switch {
		case t.is("*"):
			return opMul, true
		case t.is("/") || t.word("div"):
			return opDiv, true
		case t.is("%") || t.word("mod"):
			return opMod, true
		}
		return 0, false
	})
}

// power = unary [ "^" unary ]
func (p *parser) power() (node, *Error) {
	left, err := p.unary()
	if err != nil || !p.tok.is("^") {
		if err == nil && (p.tok.is("++") || p.tok.is("--")) {
			return nil, p.fail(p.tok.at, CodeNotAllowed, "increments are not allowed", "")
		}
		return left, err
	}
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	right, err := p.unary()
	if err != nil {
		return nil, err
	}
	return p.made(at, newBinary(at, opPow, left, right))
}

func (p *parser) unary() (node, *Error) {
	var o op
	switch {
	case p.tok.is("!") || p.tok.word("not"):
		o = opNot
	case p.tok.is("-"):
		o = opNeg
	case p.tok.is("+"):
		o = opPlus
	case p.tok.is("++") || p.tok.is("--"):
		return nil, p.fail(p.tok.at, CodeNotAllowed, "increments are not allowed", "")
	default:
		return p.primary()
	}
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	operand, err := p.within(p.unary)
	if err != nil {
		return nil, err
	}
	if l, ok := operand.(*literal); ok && o == opNeg && l.v.isNumber() {
		return p.negated(at, l)
	}
	return p.made(at, &unary{at, o, operand})
}

// negated makes -5 a literal, so that it is printed and compared as one.
func (p *parser) negated(at int, l *literal) (node, *Error) {
	v, err := negate(l.v)
	if err != nil {
		return nil, p.fail(at, CodeNumber, err.Error(), "")
	}
	return p.made(at, &literal{at, v})
}
