package ftl

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// expr parses one expression. What stands at from in it is at base+from in the template.
type expr struct {
	p     *parser
	text  string
	base  int
	at    int
	depth int
}

// lex begins to read a tag's or an interpolation's text.
func (p *parser) lex(text string, base int) (*expr, error) {
	x := &expr{p: p, text: text, base: base}
	x.space()
	return x, nil
}

// expression reads a text that is an expression and nothing else.
func (p *parser) expression(text string, base int) (node, error) {
	x := &expr{p: p, text: text, base: base, depth: p.depth}
	x.space()
	e, err := x.expression()
	if err == nil && !x.done() {
		err = x.wrong("%q is not expected here", x.rest())
	}
	return e, err
}

func (x *expr) wrong(format string, args ...any) error {
	return fail(x.p.text, x.base+x.at, format, args...)
}

func (x *expr) done() bool { return x.at >= len(x.text) }

// rest is a little of what is left, for messages.
func (x *expr) rest() string {
	s := x.text[x.at:]
	if len(s) > 12 {
		s = s[:12] + "..."
	}
	return s
}

func (x *expr) space() {
	for x.at < len(x.text) {
		rest := x.text[x.at:]
		if strings.HasPrefix(rest, "<#--") {
			if end := strings.Index(rest, "-->"); end >= 0 {
				x.at += end + 3
				continue
			}
		}
		if strings.IndexByte(" \t\r\n", rest[0]) < 0 {
			return
		}
		x.at++
	}
}

// accept takes a symbol or, where it is letters, a whole word.
func (x *expr) accept(s string) bool {
	if !strings.HasPrefix(x.text[x.at:], s) {
		return false
	}
	if end := x.at + len(s); isName(s[len(s)-1]) && end < len(x.text) && isName(x.text[end]) {
		return false
	}
	x.at += len(s)
	x.space()
	return true
}

var keywords = []string{"as", "in", "using", "lt", "lte", "gt", "gte"}

// name takes a name that is no keyword.
func (x *expr) name() (string, bool) {
	end := x.at
	for end < len(x.text) && isName(x.text[end]) {
		end++
	}
	name := x.text[x.at:end]
	if name == "" || name[0] >= '0' && name[0] <= '9' || slices.Contains(keywords, name) {
		return "", false
	}
	x.at = end
	x.space()
	return name, true
}

// levels are the binary operators by precedence, those that bind least first. Longer ones come before their beginnings.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "="}, {"lte", "gte", "lt", "gt", "<=", ">=", "<", ">"}, {"..<", "..!", "..*", ".."}, {"+", "-"}, {"*", "/", "%"}}

func (x *expr) expression() (node, error) {
	if x.depth++; x.depth > maxDepth {
		return nil, x.wrong("expressions are more than %d levels deep", maxDepth)
	}
	defer func() { x.depth-- }()
	return x.binary(0)
}

const rangeLevel = 4

func (x *expr) binary(level int) (node, error) {
	if level == len(levels) {
		return x.unary()
	}
	left, err := x.binary(level + 1)
	if err != nil {
		return nil, err
	}
	for {
		op := ""
		for _, s := range levels[level] {
			if x.accept(s) {
				op = s
				break
			}
		}
		switch {
		case op == "":
			return left, nil
		case level == rangeLevel:
			left, err = x.span(left, op)
		default:
			var right node
			if right, err = x.binary(level + 1); err == nil {
				left = &binary{op: op, left: left, right: right}
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// span reads the end of a range, which .. may lack.
func (x *expr) span(from node, op string) (node, error) {
	if op == "..*" {
		return nil, x.wrong("ranges by length (..*) are not supported")
	}
	if op == ".." && (x.done() || strings.IndexByte("])}", x.text[x.at]) >= 0) {
		return &span{from: from}, nil
	}
	to, err := x.binary(rangeLevel + 1)
	return &span{from: from, to: to, open: op != ".."}, err
}

func (x *expr) unary() (node, error) {
	for _, op := range []string{"!", "-", "+"} {
		if x.accept(op) {
			if x.depth++; x.depth > maxDepth {
				return nil, x.wrong("expressions are more than %d levels deep", maxDepth)
			}
			of, err := x.unary()
			x.depth--
			return &unary{op: op, of: of}, err
		}
	}
	return x.postfix()
}

// postfix reads a value and what stands behind it: members, indexes, built-ins and defaults.
func (x *expr) postfix() (node, error) {
	e, path, err := x.primary()
	if err != nil {
		return nil, err
	}
	settle := func() error {
		if path == nil {
			return nil
		}
		id, taken, err := x.p.resolve(path)
		if err != nil {
			return x.wrong("%v", err)
		}
		e = &ref{id: id, path: strings.Join(path[:taken+1], ".")}
		for _, key := range path[taken+1:] {
			e = &index{of: e, key: &constant{v: key, text: "'" + key + "'"}}
		}
		path = nil
		return nil
	}
	for {
		switch {
		case strings.HasPrefix(x.text[x.at:], ".."):
			return e, settle()
		case x.accept("."):
			name, ok := x.member()
			if !ok {
				return nil, x.wrong("a member's name is missing")
			}
			if path != nil {
				path = append(path, name)
			} else {
				e = &index{of: e, key: &constant{v: name, text: "'" + name + "'"}}
			}
		case x.accept("["):
			key, err := x.expression()
			if err != nil {
				return nil, err
			}
			if !x.accept("]") {
				return nil, x.wrong("] is missing")
			}
			if c, ok := key.(*constant); ok && path != nil {
				if s, ok := c.v.(string); ok {
					path = append(path, s)
					continue
				}
			}
			if err := settle(); err != nil {
				return nil, err
			}
			e = &index{of: e, key: key}
		case x.accept("??"):
			if err := settle(); err != nil {
				return nil, err
			}
			e = &exists{of: e}
		case x.accept("?"):
			if err := settle(); err != nil {
				return nil, err
			}
			if e, err = x.builtin(e); err != nil {
				return nil, err
			}
		case !strings.HasPrefix(x.text[x.at:], "!=") && x.accept("!"):
			if err := settle(); err != nil {
				return nil, err
			}
			d := &fallback{of: e}
			if x.begins() {
				if d.other, err = x.expression(); err != nil {
					return nil, err
				}
			}
			e = d
		case strings.HasPrefix(x.text[x.at:], "("):
			return nil, x.wrong("calls of methods are not supported")
		default:
			return e, settle()
		}
	}
}

// begins tells whether an expression begins here, other than the next assignment of <#assign a=x! b=1>.
func (x *expr) begins() bool {
	if x.done() {
		return false
	}
	c := x.text[x.at]
	if strings.IndexByte("'\"([{-+", c) >= 0 || c >= '0' && c <= '9' {
		return true
	}
	if c == '!' {
		return !strings.HasPrefix(x.text[x.at:], "!=")
	}
	at := x.at
	_, ok := x.name()
	ok = ok && (!strings.HasPrefix(x.text[x.at:], "=") || strings.HasPrefix(x.text[x.at:], "=="))
	x.at = at
	return ok
}

// member takes the name behind a dot, keywords included.
func (x *expr) member() (string, bool) {
	end := x.at
	for end < len(x.text) && isName(x.text[end]) {
		end++
	}
	name := x.text[x.at:end]
	x.at = end
	x.space()
	return name, name != "" && (name[0] < '0' || name[0] > '9')
}

// primary reads a value; path: it is a variable of the model, whose members are still to be read.
func (x *expr) primary() (e node, path []string, err error) {
	if x.done() {
		return nil, nil, x.wrong("an expression is missing")
	}
	start := x.at
	switch c := x.text[x.at]; {
	case c == '(':
		x.accept("(")
		e, err := x.expression()
		if err == nil && !x.accept(")") {
			err = x.wrong(") is missing")
		}
		return &group{e}, nil, err
	case c == '[':
		e, err := x.sequence()
		return e, nil, err
	case c == '{':
		e, err := x.hash()
		return e, nil, err
	case c == '"' || c == '\'' || c == 'r' && x.at+1 < len(x.text) && (x.text[x.at+1] == '"' || x.text[x.at+1] == '\''):
		e, err := x.quoted()
		return e, nil, err
	case c >= '0' && c <= '9':
		for x.at < len(x.text) && (x.text[x.at] >= '0' && x.text[x.at] <= '9' || x.text[x.at] == '.' && x.at+1 < len(x.text) && x.text[x.at+1] >= '0' && x.text[x.at+1] <= '9') {
			x.at++
		}
		n, ok := parseNumber(x.text[start:x.at])
		if !ok {
			return nil, nil, x.wrong("%q is not a number", x.text[start:x.at])
		}
		x.space()
		return &constant{v: n, text: x.text[start:x.at]}, nil, nil
	case c == '.':
		return nil, nil, x.wrong("special variables (%s) are not supported", x.rest())
	}
	name, ok := x.name()
	if !ok {
		_, size := utf8.DecodeRuneInString(x.text[x.at:])
		return nil, nil, x.wrong("%q is not expected here", x.text[x.at:x.at+size])
	}
	switch name {
	case "true", "false":
		return &constant{v: name == "true", text: name}, nil, nil
	}
	if e := x.p.variable(name); e != nil {
		return e, nil, nil
	}
	return nil, []string{name}, nil
}

// variable is a variable of the template itself; nil: there is none of that name.
func (p *parser) variable(name string) node {
	if slices.Contains(p.loops, name) {
		return &local{name: name}
	}
	for _, suffix := range []string{"_index", "_has_next"} {
		if of, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(p.loops, of) {
			return &progress{name: of, what: strings.TrimPrefix(suffix, "_")}
		}
	}
	if slices.Contains(p.known, name) {
		return &local{name: name}
	}
	return nil
}

func (x *expr) sequence() (node, error) {
	x.accept("[")
	s := &sequence{}
	for !x.accept("]") {
		e, err := x.expression()
		if err != nil {
			return nil, err
		}
		s.items = append(s.items, e)
		if !x.accept(",") && !strings.HasPrefix(x.text[x.at:], "]") {
			return nil, x.wrong("] is missing")
		}
	}
	return s, nil
}

func (x *expr) hash() (node, error) {
	x.accept("{")
	h := &hash{}
	for !x.accept("}") {
		k, err := x.expression()
		if err != nil {
			return nil, err
		}
		if !x.accept(":") && !x.accept(",") {
			return nil, x.wrong(": is missing")
		}
		v, err := x.expression()
		if err != nil {
			return nil, err
		}
		h.keys, h.values = append(h.keys, k), append(h.values, v)
		if !x.accept(",") && !strings.HasPrefix(x.text[x.at:], "}") {
			return nil, x.wrong("} is missing")
		}
	}
	return h, nil
}

// builtin reads a built-in's name and arguments.
func (x *expr) builtin(of node) (node, error) {
	at := x.at
	name, ok := x.member()
	if !ok {
		return nil, x.wrong("a built-in's name is missing")
	}
	f, ok := builtins[name]
	if !ok {
		x.at = at
		return nil, x.wrong("the built-in ?%s is not supported; supported are %s", name, strings.Join(builtinNames(), ", "))
	}
	b := &call{of: of, name: name, f: f}
	if f.most > 0 && x.accept("(") {
		for !x.accept(")") {
			e, err := x.expression()
			if err != nil {
				return nil, err
			}
			b.args = append(b.args, e)
			if !x.accept(",") && !strings.HasPrefix(x.text[x.at:], ")") {
				return nil, x.wrong(") is missing")
			}
		}
	}
	if len(b.args) < f.least || len(b.args) > f.most {
		x.at = at
		return nil, x.wrong("?%s takes %d to %d arguments, not %d", name, f.least, f.most, len(b.args))
	}
	if f.loop {
		l, ok := of.(*local)
		if !ok || !slices.Contains(x.p.loops, l.name) {
			x.at = at
			return nil, x.wrong("?%s needs the variable of a list", name)
		}
		return &progress{name: l.name, what: name}, nil
	}
	return b, nil
}
