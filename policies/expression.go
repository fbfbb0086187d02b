package policies

import (
	"fmt"

	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Uses says what expressions read.
type Uses = el.Uses

// Expression is a text with expressions, parsed once (package el). It is immutable and used by any number of goroutines.
type Expression struct {
	template *el.Template
	uses     el.Uses
}

// ParseExpression reads a text. The error says where it is wrong: line and column of the text.
func ParseExpression(text string) (*Expression, error) {
	t, err := el.Parse(text, el.Options{})
	if err != nil {
		return nil, fmt.Errorf("at %w", err)
	}
	return &Expression{template: t, uses: t.Uses()}, nil
}

// ParseAt is ParseExpression for a part of a configuration: nil where it is wrong, which is added to problems under its
// pointer.
func ParseAt(problems *apidef.Problems, pointer, text string) *Expression {
	e, err := ParseExpression(text)
	if err != nil {
		*problems = append(*problems, settings.Invalid(pointer, err.Error()))
		return nil
	}
	return e
}

// Uses says what e reads.
func (e *Expression) Uses() Uses { return e.uses }

// Shared tells whether the value depends on the message and the API alone, so that it is the same for all subscribers.
func (e *Expression) Shared() bool { return !e.uses.PerExchange() }

// OfMessage tells whether the message is read.
func (e *Expression) OfMessage() bool { return e.uses.Has(el.RootMessage) }

// Constant tells whether the text has no expression.
func (e *Expression) Constant() bool { return e.template.Constant() }

// Bool is the value as a condition; null is false.
func (e *Expression) Bool(c *Context) (bool, error) { return e.template.EvalBool(&c.scope) }

// Text is the text with its expressions replaced; null is empty.
func (e *Expression) Text(c *Context) (string, error) {
	s, _, err := e.template.EvalString(&c.scope)
	return s, err
}

// TextOrNull is Text; ok false: the value is null.
func (e *Expression) TextOrNull(c *Context) (s string, ok bool, err error) {
	return e.template.EvalString(&c.scope)
}

// OwnText is the value where that is a text; ok false: it is something else, or has none.
func (e *Expression) OwnText(c *Context) (s string, ok bool) {
	v, err := e.template.Eval(&c.scope)
	if err != nil || v.Kind() != el.Text {
		return "", false
	}
	return v.Text(), true
}

// Value is the value as attributes keep it, with its type where the text is exactly one expression; nil: null.
func (e *Expression) Value(c *Context) (any, error) {
	v, err := e.template.Eval(&c.scope)
	if err != nil {
		return nil, err
	}
	return v.Any(), nil
}
