// Package ftl evaluates templates in a subset of FreeMarker 2.3's language: what it does not know is refused when a template is
// parsed, with its name, so that no text comes out other than FreeMarker's.
//
// Known are interpolations ${...}; the directives if, elseif, else, list (with sep and else), assign, switch, case, default,
// break, noparse and comments; literals, ranges, members, operators, the default operators ! and ??; and the built-ins of
// Builtins. Lines of directives alone leave nothing behind, as FreeMarker strips them. Numbers are printed as in FreeMarker's
// English locale (1,234.5) unless ?c is said. Values come from a Model. Work, output and depth are bounded.
//
// A Template is immutable and serves any number of goroutines. The package does no I/O and starts no goroutine.
package ftl

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of parsing and of one evaluation.
const (
	maxText   = 256 << 10 // bytes of a template
	maxDepth  = 64        // expressions or directives within each other
	maxSteps  = 1_000_000 // parts evaluated
	maxOutput = 8 << 20   // bytes of the output, and of a text on the way
	maxItems  = 100_000   // items of a sequence
	maxBits   = 4096      // of a number's numerator and denominator
)

// ErrLimit: an evaluation went beyond a limit.
var ErrLimit = errors.New("the template does too much")

// Model gives the values of the variables that a template does not assign itself.
type Model interface {
	// Lookup returns what a path leads to: nil where there is nothing. Values are string, bool, *big.Rat, []any and *jsondoc.Object.
	Lookup(id int) (any, error)
}

// Resolver turns a path, a variable and the constant keys behind it, into an id for Model.Lookup while a template is parsed. taken
// is how many of the keys the id stands for: the template follows the others itself. The error says why there is no such path.
type Resolver func(path []string) (id, taken int, err error)

// Error says what is wrong in a template, and where.
type Error struct {
	Line, Column int
	Text         string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// Template is a parsed template.
type Template struct{ body []part }

// part is a piece of a template.
type part interface {
	write(r *run) error
}

// Parse reads a template. The error is an *Error.
func Parse(text string, resolve Resolver) (*Template, error) {
	if len(text) > maxText {
		return nil, &Error{1, 1, fmt.Sprintf("the template has more than %d bytes", maxText)}
	}
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: strip(text, tokens), resolve: resolve}
	body, err := p.block(nil)
	if err != nil {
		return nil, err
	}
	return &Template{body: body}, nil
}

// Render appends the output to dst.
func (t *Template) Render(dst []byte, m Model) ([]byte, error) {
	r := &run{out: dst, start: len(dst), model: m}
	if err := r.all(t.body); err != nil {
		if err == errBreak {
			err = errors.New("break outside of list and switch")
		}
		return dst, err
	}
	return r.out, nil
}

// run is one evaluation.
type run struct {
	out   []byte
	start int
	steps int
	model Model
	vars  map[string]any
	loops []*loop
}

var errBreak = errors.New("break")

func (r *run) all(parts []part) error {
	for _, p := range parts {
		if err := r.step(); err != nil {
			return err
		}
		if err := p.write(r); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) step() error { return r.spend(1) }

// spend counts work: a part, or an item that is looked at.
func (r *run) spend(n int) error {
	if r.steps += n; r.steps > maxSteps {
		return fmt.Errorf("%w: more than %d parts are evaluated", ErrLimit, maxSteps)
	}
	if len(r.out)-r.start > maxOutput {
		return fmt.Errorf("%w: more than %d bytes come out", ErrLimit, maxOutput)
	}
	return nil
}

// position returns the line and column of an offset, from 1.
func position(text string, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return strings.Count(before, "\n") + 1, len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
}

func fail(text string, at int, format string, args ...any) *Error {
	line, column := position(text, at)
	return &Error{line, column, fmt.Sprintf(format, args...)}
}
