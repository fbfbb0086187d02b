package el

import (
	"regexp"
	"sync/atomic"
)

// regex is a compiled pattern. RE2 takes time linear in the text, whatever the pattern.
type regex struct{ re *regexp.Regexp }

// compileRegex compiles a pattern in Java's syntax; whole: it must match all of a text.
func compileRegex(java string, whole bool) (*regex, *regexError) {
	if len(java) > maxRegex {
		return nil, &regexError{0, "is too long", ""}
	}
	re2, err := translate(java)
	if err != nil {
		return nil, err
	}
	if whole {
		re2 = `\A(?:` + re2 + `)\z`
	}
	re, bad := regexp.Compile(re2)
	if bad != nil {
		return nil, &regexError{0, "is wrong: " + bad.Error(), ""}
	}
	return &regex{re}, nil
}

func (r *regex) match(m *machine, text string) (bool, error) {
	if err := inputSize(text); err != nil {
		return false, err
	}
	return r.re.MatchString(text), nil
}

func inputSize(text string) error {
	if len(text) > maxInput {
		return faultf(CodeSize, "a pattern is tried on at most %d bytes", maxInput)
	}
	return nil
}

// lastRegex keeps the last pattern of a place where the pattern is computed: most often it is always the same.
type lastRegex struct{ p atomic.Pointer[compiled] }

type compiled struct {
	src string
	re  *regex
}

func (l *lastRegex) get(v Value, whole bool) (*regex, error) {
	if v.kind == Values && v.Len() > 0 {
		v = v.At(0)
	}
	if v.kind != Text {
		return nil, faultf(CodeType, "a pattern must be a text, not a %s", v.kind)
	}
	if c := l.p.Load(); c != nil && c.src == v.text {
		return c.re, nil
	}
	re, err := compileRegex(v.text, whole)
	if err != nil {
		return nil, &fault{code: CodeRegex, text: "the pattern " + quoteShort(v.text) + " " + err.text, hint: err.hint}
	}
	l.p.Store(&compiled{src: string([]byte(v.text)), re: re})
	return re, nil
}

// pattern is the first argument of a method that takes one.
type pattern struct {
	whole bool
	fixed *regex
	last  lastRegex
}

func (p *pattern) get(arg Value) (*regex, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	return p.last.get(arg, p.whole)
}
