package el

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// regex is a compiled pattern. RE2 takes time linear in the text, whatever the pattern.
type regex struct {
	re     *regexp.Regexp
	states int
}

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
	tree, bad := syntax.Parse(re2, syntax.Perl)
	if bad != nil {
		return nil, &regexError{0, "is wrong: " + bad.Error(), ""}
	}
	n := states(tree)
	if n > maxStates {
		return nil, &regexError{0, "repeats too much", "make the counts in { } smaller"}
	}
	re, bad := regexp.Compile(re2)
	if bad != nil {
		return nil, &regexError{0, "is wrong: " + bad.Error(), ""}
	}
	return &regex{re, n}, nil
}

// CompileRegexp compiles a pattern in Java's syntax for policies, within the limits of patterns in expressions; whole: it must
// match all of a text. What takes more than linear time, such as look-around and back references, is refused with an
// error that says so.
func CompileRegexp(java string, whole bool) (*regexp.Regexp, error) {
	re, err := compileRegex(java, whole)
	if err != nil {
		if err.hint != "" {
			return nil, fmt.Errorf("%s; %s", err.text, err.hint)
		}
		return nil, errors.New(err.text)
	}
	return re.re, nil
}

// states is about how many states a pattern has, as its repetitions are written out when it is compiled.
func states(tree *syntax.Regexp) int {
	n := 1 + len(tree.Rune)
	for _, sub := range tree.Sub {
		n += states(sub)
	}
	if tree.Op == syntax.OpRepeat {
		n *= max(1, tree.Min, tree.Max)
	}
	return min(n, maxStates+1)
}

func (r *regex) match(m *machine, text string) (bool, error) {
	if err := r.count(m, text); err != nil {
		return false, err
	}
	return r.re.MatchString(text), nil
}

// count counts what a trial on text costs, and refuses what is too much.
func (r *regex) count(m *machine, text string) error {
	if len(text) > maxInput {
		return faultf(CodeSize, "a pattern is tried on at most %d bytes", maxInput)
	}
	return m.spend(r.states * len(text) / statesPerStep)
}

// regexes keeps the patterns of a place where they are computed, such as those of subscriptions.
type regexes struct{ recent[*regex] }

func (l *regexes) get(v Value, whole bool) (*regex, error) {
	if v.kind == Values && v.Len() > 0 {
		v = v.At(0)
	}
	if v.kind != Text {
		return nil, faultf(CodeType, "a pattern must be a text, not a %s", v.kind)
	}
	if re, ok := l.find(v.text); ok {
		return re, nil
	}
	re, err := compileRegex(v.text, whole)
	if err != nil {
		return nil, &fault{code: CodeRegex, text: "the pattern " + quoteShort(v.text) + " " + err.text, hint: err.hint}
	}
	l.keep(v.text, re)
	return re, nil
}

// pattern is the first argument of a method that takes one.
type pattern struct {
	whole bool
	fixed *regex
	last  regexes
}

func (p *pattern) get(arg Value) (*regex, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	return p.last.get(arg, p.whole)
}
