package el

import (
	"math"
	"strconv"
	"strings"
)

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokIdent            // name
	tokValue            // a literal
	tokSymbol           // operators and brackets
)

type token struct {
	kind  tokenKind
	at    int    // in bytes from the start of the text
	end   int    // behind it
	text  string // of an identifier or a symbol
	value Value  // of a literal
}

func (t token) is(symbol string) bool { return t.kind == tokSymbol && t.text == symbol }

// word tells whether t is an operator that is written as a word; case does not matter, as in Spring.
func (t token) word(w string) bool { return t.kind == tokIdent && strings.EqualFold(t.text, w) }

func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "the end of the text"
	case tokValue:
		return "a literal"
	}
	return strconv.Quote(t.text)
}

// symbols, the longer of two that begin alike first.
var symbols = []string{"?.", "?:", "?[", "![", "^[", "$[", "&&", "||", "==", "!=", "<=", ">=", "++", "--",
	"{", "}", "[", "]", "(", ")", ",", ".", ":", "?", "#", "+", "-", "*", "/", "%", "^", "<", ">", "!", "=", "@", "&"}

type lexer struct {
	src string
	at  int
}

// next reads one token. What follows a fragment is never read as tokens: the parser stops at the brace.
func (l *lexer) next() (token, *Error) {
	for l.at < len(l.src) && strings.IndexByte(" \t\r\n", l.src[l.at]) >= 0 {
		l.at++
	}
	if l.at == len(l.src) {
		return token{at: l.at, end: l.at}, nil
	}
	switch c := l.src[l.at]; {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case isDigit(c):
		return l.number()
	case isLetter(c) && !strings.HasPrefix(l.src[l.at:], "$["):
		start := l.at
		for l.at < len(l.src) && (isLetter(l.src[l.at]) || isDigit(l.src[l.at])) {
			l.at++
		}
		return token{kind: tokIdent, at: start, end: l.at, text: l.src[start:l.at]}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(l.src[l.at:], s) {
			t := token{kind: tokSymbol, at: l.at, end: l.at + len(s), text: s}
			l.at = t.end
			return t, nil
		}
	}
	return token{}, errorAt(l.src, l.at, CodeSyntax, "unexpected character "+strconv.QuoteRune(firstRune(l.src[l.at:])), "")
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLetter(c byte) bool {
	return c == '_' || c == '$' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// quoted reads a text literal; the quote is written twice to have it inside.
func (l *lexer) quoted(quote byte) (token, *Error) {
	start := l.at
	doubled := false
	for i := start + 1; i < len(l.src); i++ {
		if l.src[i] != quote {
			continue
		}
		if i+1 < len(l.src) && l.src[i+1] == quote {
			doubled = true
			i++
			continue
		}
		text := l.src[start+1 : i]
		if doubled {
			text = strings.ReplaceAll(text, string([]byte{quote, quote}), string(quote))
		}
		l.at = i + 1
		return token{kind: tokValue, at: start, end: l.at, value: OfText(text)}, nil
	}
	return token{}, errorAt(l.src, start, CodeSyntax, "a text literal has no end", "close it with "+string(quote)+
		"; inside it is written twice")
}

// number reads an integer, a hexadecimal integer or a decimal number, with Java's suffixes.
func (l *lexer) number() (token, *Error) {
	start := l.at
	if strings.HasPrefix(l.src[start:], "0x") || strings.HasPrefix(l.src[start:], "0X") {
		return l.hex()
	}
	l.digits()
	decimal := false
	if l.at+1 < len(l.src) && l.src[l.at] == '.' && isDigit(l.src[l.at+1]) {
		decimal = true
		l.at++
		l.digits()
	}
	if end := l.exponent(); end > l.at {
		decimal = true
		l.at = end
	}
	digits := l.src[start:l.at]
	t := token{kind: tokValue, at: start}
	switch suffix := l.suffix("lLfFdD"); {
	case suffix == 0 && !decimal:
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return t, errorAt(l.src, start, CodeNumber, digits+" does not fit an integer", "write "+digits+"L")
		}
		t.value = OfInt(n)
	case suffix|0x20 == 'l' && !decimal:
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return t, errorAt(l.src, start, CodeNumber, digits+" does not fit a long", "")
		}
		t.value = OfLong(n)
	case suffix|0x20 == 'l':
		return t, errorAt(l.src, start, CodeNumber, "a decimal number cannot be a long", "leave out the suffix")
	default:
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsInf(f, 0) {
			return t, errorAt(l.src, start, CodeNumber, digits+" does not fit a double", "")
		}
		t.value = OfDouble(f)
	}
	return l.endNumber(t)
}

func (l *lexer) hex() (token, *Error) {
	start := l.at
	l.at += 2
	digits := l.at
	for l.at < len(l.src) && (isDigit(l.src[l.at]) || l.src[l.at]|0x20 >= 'a' && l.src[l.at]|0x20 <= 'f') {
		l.at++
	}
	text := l.src[digits:l.at]
	bits := 32
	if l.suffix("lL") != 0 {
		bits = 64
	}
	n, err := strconv.ParseInt(text, 16, bits)
	if err != nil {
		return token{}, errorAt(l.src, start, CodeNumber, "0x"+text+" is not a number of "+strconv.Itoa(bits)+" bits", "")
	}
	t := token{kind: tokValue, at: start, value: OfInt(n)}
	if bits == 64 {
		t.value = OfLong(n)
	}
	return l.endNumber(t)
}

func (l *lexer) digits() {
	for l.at < len(l.src) && isDigit(l.src[l.at]) {
		l.at++
	}
}

// exponent returns where an exponent that begins here ends.
func (l *lexer) exponent() int {
	i := l.at
	if i == len(l.src) || l.src[i]|0x20 != 'e' {
		return l.at
	}
	i++
	if i < len(l.src) && (l.src[i] == '+' || l.src[i] == '-') {
		i++
	}
	digits := i
	for i < len(l.src) && isDigit(l.src[i]) {
		i++
	}
	if i == digits {
		return l.at
	}
	return i
}

func (l *lexer) suffix(of string) byte {
	if l.at < len(l.src) && strings.IndexByte(of, l.src[l.at]) >= 0 {
		l.at++
		return l.src[l.at-1]
	}
	return 0
}

func (l *lexer) endNumber(t token) (token, *Error) {
	t.end = l.at
	if l.at < len(l.src) && (isLetter(l.src[l.at]) || isDigit(l.src[l.at])) {
		return t, errorAt(l.src, t.at, CodeNumber, strconv.Quote(l.src[t.at:l.at+1])+" is not a number", "")
	}
	return t, nil
}
