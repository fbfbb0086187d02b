package el

import (
	"slices"
	"strings"
)

// Options say how a text is read.
type Options struct {
	// Bare lets the whole text be an expression that begins with #, without braces, as plans' selection rules (spec 6.1)
	// and the filters of native Kafka policies may be.
	Bare bool
	// Variables are those that whoever evaluates provides beside the gateway's, without #. A name of the gateway's takes its
	// place. They only keep Uses.Unknown short: what nobody provides is null.
	Variables []string
	// StrictLists has all values of a header never equal a text, as the reference has it; else they do where the first of
	// them does (addenda 0).
	StrictLists bool
}

func (o *Options) declares(name string) bool { return slices.Contains(o.Variables, name) }

// Template is a parsed text: literal parts and expressions. It is immutable.
type Template struct {
	src    string
	parts  []part
	whole  bool // exactly one expression: its type is kept
	bare   bool
	strict bool
	uses   Uses
}

// part is literal text or an expression.
type part struct {
	text string
	node node // nil: text
	at   int
}

// Parse reads a text. Every error is an *Error.
func Parse(text string, opt Options) (*Template, error) {
	t, err := parse(text, opt)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func parse(text string, opt Options) (*Template, *Error) {
	if len(text) > maxText {
		return nil, errorAt(text, 0, CodeTooLong, "a text with expressions is too long", "256 KiB is the most")
	}
	t := &Template{src: text, strict: opt.StrictLists}
	p := &parser{lexer: lexer{src: text}, opt: &opt}
	if opt.Bare && strings.HasPrefix(text, "#") {
		t.bare = true
		if err := t.parseBare(p); err != nil {
			return nil, err
		}
	} else if err := t.parseParts(p); err != nil {
		return nil, err
	}
	t.whole = len(t.parts) == 1 && t.parts[0].node != nil
	if err := t.analyse(p); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Template) parseBare(p *parser) *Error {
	if err := p.advance(); err != nil {
		return err
	}
	n, err := p.expression()
	if err != nil {
		return err
	}
	if p.tok.kind != tokEnd {
		return p.fail(p.tok.at, CodeSyntax, "the rule goes on behind its end with "+p.tok.String(), "")
	}
	t.parts = []part{{node: n}}
	return nil
}

func (t *Template) parseParts(p *parser) *Error {
	src, last := t.src, 0
	for at := 0; at < len(src); {
		i := strings.IndexByte(src[at:], '{')
		if i < 0 {
			break
		}
		at += i
		start := opens(src, at)
		if start < 0 {
			at++
			continue
		}
		if at > last {
			t.parts = append(t.parts, part{text: src[last:at]})
		}
		p.at = start
		if err := p.advance(); err != nil {
			return err
		}
		n, err := p.expression()
		if err != nil {
			return err
		}
		if !p.tok.is("}") {
			return p.fail(p.tok.at, CodeSyntax, "the expression goes on behind its end with "+p.tok.String(), "close it with }")
		}
		t.parts = append(t.parts, part{node: n, at: at})
		at = p.tok.end
		last = at
	}
	if last < len(src) || len(t.parts) == 0 {
		t.parts = append(t.parts, part{text: src[last:]})
	}
	return nil
}

// opens tells where the expression begins whose brace stands at a place: behind spaces, and with #, ( or T( (addenda 6.1-a).
// -1: the brace is text.
func opens(src string, at int) int {
	i := at + 1
	for i < len(src) && src[i] == ' ' {
		i++
	}
	rest := src[i:]
	if strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "(") {
		return i
	}
	if after, ok := strings.CutPrefix(rest, "T"); ok && strings.HasPrefix(strings.TrimLeft(after, " "), "(") {
		return i
	}
	return -1
}

// Source is the text that was parsed.
func (t *Template) Source() string { return t.src }

// Constant tells whether the text has no expression.
func (t *Template) Constant() bool { return len(t.parts) == 1 && t.parts[0].node == nil }

// String is the text in canonical form: operators with their operands in parentheses. It parses into the same template.
func (t *Template) String() string {
	var out []byte
	for _, p := range t.parts {
		if p.node == nil {
			out = append(out, p.text...)
			continue
		}
		inner := p.node.print(nil)
		if t.bare && inner[0] == '#' {
			out = append(out, inner...)
			continue
		}
		parens := inner[0] != '#' && inner[0] != '(' && !strings.HasPrefix(string(inner), "T(")
		out = append(out, '{')
		if parens {
			out = append(out, '(')
		}
		out = append(out, inner...)
		if parens {
			out = append(out, ')')
		}
		out = append(out, '}')
	}
	return string(out)
}
