package script

import (
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// rewriter changes the tree of a script so that what it makes is counted.
type rewriter struct {
	seen   map[any]bool // nodes, some of which the tree refers to twice
	kept   map[any]bool // assignments that are parts of a pattern
	shared bool
	err    error
}

func uni(s string) unistring.String { return unistring.NewFromString(s) }

// completions has expression statements leave their value, in order, in the hidden result: what a script completes with.
// Functions within the script are not looked into.
func (w *rewriter) completions(list []ast.Statement) {
	for _, s := range list {
		w.completion(s)
	}
}

func (w *rewriter) completion(s ast.Statement) {
	switch s := s.(type) {
	case *ast.ExpressionStatement:
		if !isDirective(s) {
			s.Expression = &ast.AssignExpression{Operator: token.ASSIGN, Left: hidden(result), Right: s.Expression}
		}
	case *ast.BlockStatement:
		w.completions(s.List)
	case *ast.IfStatement:
		w.completion(s.Consequent)
		if s.Alternate != nil {
			w.completion(s.Alternate)
		}
	case *ast.LabelledStatement:
		w.completion(s.Statement)
	case *ast.SwitchStatement:
		for _, c := range s.Body {
			w.completions(c.Consequent)
		}
	case *ast.TryStatement:
		w.completions(s.Body.List)
		if s.Catch != nil {
			w.completions(s.Catch.Body.List)
		}
	case *ast.WithStatement:
		w.completion(s.Body)
	case *ast.ForStatement:
		w.completion(s.Body)
	case *ast.ForInStatement:
		w.completion(s.Body)
	case *ast.ForOfStatement:
		w.completion(s.Body)
	case *ast.WhileStatement:
		w.completion(s.Body)
	case *ast.DoWhileStatement:
		w.completion(s.Body)
	}
}

// perExchange are names that a shared program must not have: what they give depends on the exchange, or on the moment.
var perExchange = map[string]bool{"context": true, "request": true, "response": true, "Date": true, "Math": true, "Intl": true,
	"globalThis": true, "console": true}

var expressionType = reflect.TypeFor[ast.Expression]()

// walk visits a node and all below it, children first, and puts counted expressions in the place of those that make something.
func (w *rewriter) walk(node any) { w.value(reflect.ValueOf(node)) }

func (w *rewriter) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		w.value(v.Elem())
		if v.CanSet() && v.Type() == expressionType {
			if counted := w.counted(v.Interface().(ast.Expression)); counted != nil {
				v.Set(reflect.ValueOf(counted))
			}
		}
	case reflect.Pointer:
		if v.IsNil() || w.seen[v.Interface()] {
			return
		}
		w.seen[v.Interface()] = true
		w.look(v.Interface())
		w.value(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				w.value(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	}
}

// look finds what keeps a program from being shared, and what scripts do not have.
func (w *rewriter) look(node any) {
	switch n := node.(type) {
	case *ast.Identifier:
		w.shared = w.shared && !perExchange[n.Name.String()]
	case *ast.ThisExpression:
		w.shared = false // in a function it may be the global object
	case *ast.ArrayPattern:
		for _, e := range n.Elements {
			w.keep(e)
		}
	case *ast.ObjectPattern:
		for _, p := range n.Properties {
			if keyed, ok := p.(*ast.PropertyKeyed); ok {
				w.keep(keyed.Value)
			}
		}
	case *ast.NumberLiteral:
		if isBig(n) {
			w.err = errNoBigInt
		}
	}
}

func (w *rewriter) keep(e ast.Expression) {
	if e != nil {
		w.kept[e] = true
	}
}

// counted is the call that counts what e makes; nil: it makes nothing worth counting. What grows by a literal at most
// grows no faster than the time allows.
func (w *rewriter) counted(e ast.Expression) ast.Expression {
	switch e := e.(type) {
	case *ast.BinaryExpression:
		if e.Operator != token.PLUS || isLiteral(e.Left) || isLiteral(e.Right) {
			return nil
		}
	case *ast.AssignExpression:
		_, indexed := e.Left.(*ast.BracketExpression)
		switch {
		case w.kept[e]:
			return nil
		case e.Operator == token.PLUS && !isLiteral(e.Right):
		case indexed:
			return call(entry, e)
		default:
			return nil
		}
	case *ast.TemplateLiteral:
		if len(e.Expressions) == 0 {
			return nil
		}
	case *ast.ArrayLiteral, *ast.ObjectLiteral, *ast.NewExpression, *ast.RegExpLiteral:
	default:
		return nil
	}
	return call(check, e)
}

func call(name string, e ast.Expression) ast.Expression {
	return &ast.CallExpression{Callee: hidden(name), ArgumentList: []ast.Expression{e}, LeftParenthesis: e.Idx0(), RightParenthesis: e.Idx1()}
}

func isLiteral(e ast.Expression) bool {
	switch e.(type) {
	case *ast.StringLiteral, *ast.NumberLiteral:
		return true
	}
	return false
}
