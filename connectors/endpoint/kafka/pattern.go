package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is a topicPattern: a topic is read if its whole name matches, as in a Java consumer's subscribe(Pattern). Topics that
// the broker keeps for itself are never read.
type pattern struct {
	text  string // as configured
	match *regexp.Regexp
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1000

// patternError says what is wrong with a pattern, and where.
type patternError struct {
	at   int // in bytes from 0; -1: everywhere
	text string
}

func (e *patternError) Error() string {
	if e.at < 0 {
		return e.text
	}
	return fmt.Sprintf("at character %d: %s", e.at+1, e.text)
}

// newPattern reads a Java regular expression. It is matched by RE2 in time linear to a name, so that what RE2 has not (look-around,
// back references, possessive and atomic groups) is refused, and so is what RE2 would read otherwise than Java.
func newPattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, &patternError{-1, fmt.Sprintf("is longer than %d characters", maxPattern)}
	}
	t := translator{in: text}
	if err := t.run(); err != nil {
		return nil, err
	}
	match, err := regexp.Compile(`\A(?:` + t.out.String() + `)\z`)
	if err == nil {
		return &pattern{text, match}, nil
	}
	var bad *syntax.Error
	if !errors.As(err, &bad) {
		return nil, &patternError{-1, err.Error()}
	}
	at := strings.Index(text, bad.Expr)
	if bad.Expr == "" || at < 0 { // it is of the translation, or of the end
		return nil, &patternError{-1, bad.Code.String()}
	}
	return nil, &patternError{at, fmt.Sprintf("%s: %s", bad.Code, bad.Expr)}
}

// translator makes RE2 of Java.
type translator struct {
	in    string
	at    int
	out   strings.Builder
	class bool // inside [...]
	open  int  // where it was opened
	begun int  // where its members begin
	last  bool // what was read last is a quantifier
}

// javaClasses are the classes of ASCII that Java writes as \p{...}.
var javaClasses = map[string]string{
	"Lower": "lower", "Upper": "upper", "ASCII": "ascii", "Alpha": "alpha", "Digit": "digit", "Alnum": "alnum", "Punct": "punct",
	"Graph": "graph", "Print": "print", "Blank": "blank", "Cntrl": "cntrl", "XDigit": "xdigit", "Space": "space",
}

func (t *translator) run() error {
	for t.at < len(t.in) {
		var err error
		switch {
		case t.in[t.at] == '\\':
			err = t.escape()
		case t.class:
			err = t.member()
		default:
			err = t.plain()
		}
		if err != nil {
			return err
		}
	}
	if t.class {
		return &patternError{t.open, "missing closing ]"}
	}
	return nil
}

func (t *translator) refuse(text string) error { return &patternError{t.at, text} }

// take passes n bytes on as they are.
func (t *translator) take(n int) error {
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
	return nil
}

func (t *translator) put(text string, n int) error {
	t.out.WriteString(text)
	t.at += n
	return nil
}

func (t *translator) follows(text string) bool { return strings.HasPrefix(t.in[t.at:], text) }

func (t *translator) plain() error {
	c, quantified := t.in[t.at], t.last
	t.last = strings.IndexByte("*+?}", c) >= 0
	switch {
	case c == '+' && quantified:
		return t.refuse("possessive quantifiers are not served; leave the second + out")
	case t.follows("(?=") || t.follows("(?!") || t.follows("(?<=") || t.follows("(?<!"):
		return t.refuse("look-around is not served; name what is read, as in (orders|payments)-.*, or list the topics in topics")
	case t.follows("(?>"):
		return t.refuse("atomic groups are not served; write (?:...)")
	case t.follows("(?U"):
		return t.refuse("the flag U is not served")
	case t.follows("[^"):
		t.class, t.open, t.begun = true, t.at, t.at+2
		return t.take(2)
	case c == '[':
		t.class, t.open, t.begun = true, t.at, t.at+1
	}
	if t.last && quantified {
		t.last = false // a lazy quantifier
	}
	return t.take(1)
}

// member is a character of a class.
func (t *translator) member() error {
	switch {
	case t.follows("&&"):
		return t.refuse("intersections of classes are not served; name the characters")
	case t.in[t.at] == '[':
		return t.refuse(`classes within classes are not served; name the characters, and write \[ for [`)
	case t.in[t.at] == ']' && t.at > t.begun:
		t.class = false
	}
	return t.take(1)
}

func (t *translator) escape() error {
	t.last = false
	if t.at+1 == len(t.in) {
		return t.refuse(`nothing is behind \`)
	}
	switch c := t.in[t.at+1]; {
	case c >= '1' && c <= '9', c == 'k':
		return t.refuse("back references are not served")
	case c == 'u':
		if t.at+6 > len(t.in) {
			return t.refuse(`\u needs four digits`)
		}
		return t.put(`\x{`+t.in[t.at+2:t.at+6]+`}`, 6)
	case c == 'Z':
		return t.put(`\z`, 2)
	case c == 'C':
		return t.refuse(`\C is not served`)
	case c == 'Q':
		return t.quoted()
	case (c == 'p' || c == 'P') && t.at+2 < len(t.in) && t.in[t.at+2] == '{':
		return t.property(c == 'P')
	}
	return t.take(2)
}

func (t *translator) quoted() error {
	if t.class {
		return t.refuse(`\Q within a class is not served`)
	}
	end := strings.Index(t.in[t.at:], `\E`)
	if end < 0 {
		return t.take(len(t.in) - t.at)
	}
	return t.take(end + 2)
}

// property is \p{...} or \P{...}.
func (t *translator) property(not bool) error {
	end := strings.IndexByte(t.in[t.at:], '}')
	if end < 0 {
		return t.refuse("} is missing")
	}
	name, ok := javaClasses[t.in[t.at+3:t.at+end]]
	if !ok {
		return t.take(end + 1)
	}
	if not {
		name = "^" + name
	}
	if name = "[:" + name + ":]"; !t.class {
		name = "[" + name + "]"
	}
	return t.put(name, end+1)
}
