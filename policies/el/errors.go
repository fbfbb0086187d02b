package el

import (
	"fmt"
	"strings"
)

// Code tells errors apart. Codes never change meaning.
type Code string

// Codes of what a text is refused for, at deployment.
const (
	CodeSyntax       Code = "EL_SYNTAX"         // not an expression
	CodeNumber       Code = "EL_NUMBER"         // a number that its type cannot hold
	CodeNotAllowed   Code = "EL_NOT_ALLOWED"    // a class, method or function that is not on the allow-list
	CodeArguments    Code = "EL_ARGUMENTS"      // a number of arguments that the method or function does not take
	CodeUnknown      Code = "EL_UNKNOWN"        // a variable of the gateway has no such member
	CodeRegex        Code = "EL_REGEX"          // a pattern that is wrong, or cannot be tried in linear time
	CodePath         Code = "EL_PATH"           // a JSONPath or XPath that is wrong
	CodeTooLong      Code = "EL_TOO_LONG"       // more than maxText
	CodeTooDeep      Code = "EL_TOO_DEEP"       // more than maxDepth
	CodeTooManyParts Code = "EL_TOO_MANY_PARTS" // more than maxNodes
)

// Codes of what an evaluation fails with, beside those above where a pattern or path is itself computed.
const (
	CodeNull       Code = "EL_NULL"        // a member, an index or a method of null
	CodeType       Code = "EL_TYPE"        // an operand or argument of the wrong type
	CodeIndex      Code = "EL_INDEX"       // an index out of range
	CodeConversion Code = "EL_CONVERSION"  // the result cannot be made what is wanted
	CodeArithmetic Code = "EL_ARITHMETIC"  // a division by zero, an overflow
	CodeDocument   Code = "EL_DOCUMENT"    // a text that is no JSON or XML document
	CodeSecret     Code = "EL_SECRET"      // the secret provider has no such secret, or cannot tell
	CodeArgument   Code = "EL_ARGUMENT"    // a value that the method or function cannot take
	CodeSteps      Code = "EL_LIMIT_STEPS" // more than maxSteps
	CodeSize       Code = "EL_LIMIT_SIZE"  // more than maxResult, maxItems, maxInput or maxDoc
)

// Error is what is wrong with a text (from Parse), or why it has no value (from an evaluation). Selectors take the latter
// as false; policies fail (spec 5.3, 5.5).
type Error struct {
	Code    Code
	Offset  int // in bytes from the start of the text
	Line    int // from 1
	Column  int // from 1, in bytes
	Message string
	Hint    string // what to do; empty: the message says it
	Err     error  // the cause; nil: none
}

// Error says what is wrong, where, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d: %s", e.Line, e.Column, e.Message)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errorAt makes an error at a place of src.
func errorAt(src string, offset int, code Code, message, hint string) *Error {
	offset = min(offset, len(src))
	before := src[:offset]
	return &Error{Code: code, Offset: offset, Line: 1 + strings.Count(before, "\n"),
		Column: offset - strings.LastIndexByte(before, '\n'), Message: message, Hint: hint}
}

// fault is why a method or an operator has no value. It does not know its place; who calls does.
type fault struct {
	code Code
	text string
	hint string
	err  error
}

func (f *fault) Error() string { return f.text }

func faultf(code Code, format string, args ...any) *fault {
	return &fault{code: code, text: fmt.Sprintf(format, args...)}
}
