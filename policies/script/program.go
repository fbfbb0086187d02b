// Package script runs the scripts of policies (policies.md 8) in JavaScript: they are parsed and compiled when an API is deployed,
// and run in runtimes that are kept (goja, ES2015 and most of what came later).
//
// A script sees request, response, message, context and result, and nothing of the worker: no files, no network, no clock
// but Date, no modules, no timers. A run is bounded:
//
//   - In time. What exceeds it is interrupted; regular expressions count too.
//   - In memory, by accounting: what a run makes (texts, arrays, objects, entries of maps) is counted when it is made and never
//     given back, and a run that has made more than it may is ended. The count is of the run alone, so busy neighbours change
//     nothing. It is an estimate, which a single operation may exceed several times before it is noticed: it keeps a
//     script from taking the worker down, and is no exact limit.
//   - In depth of calls.
//
// So that all that is made can be counted, scripts have no eval, no Function constructor, no typed arrays and no BigInt.
//
// Nothing that a script declares, or sets without declaring it, is there at its next run; only what it changes in the
// language's own prototypes is, and a script should not. The package starts no goroutine; the library of the
// expressions that backtrack keeps a clock, in one for all, which ends a second after the last of them.
package script

import (
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
)

// Style is how a script asks for things.
type Style uint8

// Styles.
const (
	Methods Style = iota // request.content(), as "js" has it
	Fields               // request.content, as "javascript" has it
)

// Options are bounds of a program's runs.
type Options struct {
	Style  Style
	Time   time.Duration
	Memory int // bytes that a run may make
	// Console gets what scripts print; nil: it is dropped.
	Console func(level, text string)
}

// Bounds of options.
const (
	// MaxTime is the longest time of a run: that after which a regular expression is given up.
	MaxTime = time.Second
	// maxDepth bounds the calls within calls.
	maxDepth = 256
	// MaxSource bounds a script, in bytes.
	MaxSource = 256 << 10
)

// Program is a compiled script. It may be run by any number of goroutines.
type Program struct {
	options  Options
	compiled *goja.Program
	shared   bool
	runtimes sync.Pool
}

// limitRegexps bounds the regular expressions that may backtrack; the library has no other way.
var limitRegexps = sync.OnceFunc(func() { regexp2.DefaultMatchTimeout = MaxTime })

// Compile reads a script. Errors tell the line and column.
func Compile(source string, o Options) (*Program, error) {
	limitRegexps()
	if len(source) > MaxSource {
		return nil, fmt.Errorf("is longer than %d bytes", MaxSource)
	}
	if _, err := parser.ParseFile(nil, "script", source, 0, parser.WithDisableSourceMaps); err != nil {
		return nil, fmt.Errorf("is no script: %w", err)
	}
	tree, err := parser.ParseFile(nil, "script", prologue+source+epilogue, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("is no script: %w", err)
	}
	w := &rewriter{seen: map[any]bool{}, kept: map[any]bool{}, shared: true}
	w.program(tree)
	if w.err != nil {
		return nil, w.err
	}
	compiled, err := goja.CompileAST(tree, false)
	if err != nil {
		return nil, fmt.Errorf("is no script: %w", err)
	}
	p := &Program{options: o, compiled: compiled, shared: w.shared}
	r, err := p.runtime() // proves that it can be set up
	if err != nil {
		return nil, err
	}
	p.runtimes.Put(r)
	return p, nil
}

// Shared tells whether what a run does to a message depends on the message and the API alone: the script names neither
// context nor what gives another value each time.
func (p *Program) Shared() bool { return p.shared }

// A script is the body of a function within a function: the outer one is called once per runtime, the inner one per run. The
// rewriter gives the outer one's parameters names that no script can write.
const (
	prologue = "(function($check,$entry,$result){return function(request,response,message,context,result,State,console){"
	epilogue = "\n;return $result}})"
	check    = "%check" // counts a value that was made
	entry    = "%entry" // counts a place that was made in an array or object
	result   = "%result"
)

// errNoBigInt: their arithmetic cannot be bounded.
var errNoBigInt = errors.New("has a BigInt, which scripts do not have: its arithmetic cannot be bounded")

// program names the hidden parameters, counts what the script makes, and keeps the value that it completes with.
func (w *rewriter) program(tree *ast.Program) {
	outer := tree.Body[0].(*ast.ExpressionStatement).Expression.(*ast.FunctionLiteral)
	for i, name := range []string{check, entry, result} {
		outer.ParameterList.List[i].Target.(*ast.Identifier).Name = uni(name)
	}
	inner := outer.Body.List[0].(*ast.ReturnStatement).Argument.(*ast.FunctionLiteral)
	last := len(inner.Body.List) - 1
	inner.Body.List[last].(*ast.ReturnStatement).Argument = hidden(result)
	body := inner.Body.List[:last]
	w.completions(body)
	for _, s := range body {
		w.walk(s)
	}
	directives := 0
	for directives < len(body) && isDirective(body[directives]) {
		directives++
	}
	forget := &ast.ExpressionStatement{Expression: &ast.AssignExpression{Operator: token.ASSIGN, Left: hidden(result),
		Right: &ast.UnaryExpression{Operator: token.VOID, Operand: &ast.NumberLiteral{Literal: "0", Value: int64(0)}}}}
	list := append([]ast.Statement{}, body[:directives]...)
	list = append(append(list, forget), body[directives:]...)
	inner.Body.List = append(list, inner.Body.List[last])
}

func hidden(name string) *ast.Identifier { return &ast.Identifier{Name: uni(name)} }

func isDirective(s ast.Statement) bool {
	e, ok := s.(*ast.ExpressionStatement)
	if !ok {
		return false
	}
	text, ok := e.Expression.(*ast.StringLiteral)
	return ok && text.Value.String() == "use strict"
}

// isBig tells a BigInt literal.
func isBig(n *ast.NumberLiteral) bool {
	_, big := n.Value.(*big.Int)
	return big
}
