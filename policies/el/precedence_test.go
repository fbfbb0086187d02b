package el_test

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/policies/el"
)

// tree is an expression over small integers and booleans, with a naive evaluation of its own.
type tree struct {
	op          string // empty: a leaf
	left, right *tree
	n           int64
	b, isBool   bool
}

// rank is how tight an operator binds, from Spring's grammar.
var rank = map[string]int{"or": 1, "and": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "+": 4, "-": 4, "*": 5, "!": 7}

// words are other ways to write an operator.
var words = map[string][]string{"or": {"or", "||", "OR"}, "and": {"and", "&&"}, "==": {"==", "eq"}, "!=": {"!=", "ne"}, "<": {"<", "lt"},
	"<=": {"<=", "le"}, ">": {">", "gt"}, ">=": {">=", "ge"}, "+": {"+"}, "-": {"-"}, "*": {"*"}}

func drawNumber(t *rapid.T, depth int) *tree {
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		return &tree{n: rapid.Int64Range(0, 9).Draw(t, "n")}
	}
	return &tree{op: rapid.SampledFrom([]string{"+", "-", "*"}).Draw(t, "op"), left: drawNumber(t, depth-1), right: drawNumber(t, depth-1)}
}

func drawCondition(t *rapid.T, depth int) *tree {
	if depth == 0 {
		return &tree{b: rapid.Bool().Draw(t, "b"), isBool: true}
	}
	op := rapid.SampledFrom([]string{"or", "and", "!", "==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
	switch op {
	case "or", "and":
		return &tree{op: op, left: drawCondition(t, depth-1), right: drawCondition(t, depth-1)}
	case "!":
		return &tree{op: op, left: drawCondition(t, depth-1)}
	}
	return &tree{op: op, left: drawNumber(t, depth-1), right: drawNumber(t, depth-1)}
}

// write writes the tree with as few parentheses as the ranks allow.
func (x *tree) write(t *rapid.T, b *strings.Builder, above int) {
	mine := rank[x.op]
	parens := x.op != "" && mine < above
	if parens {
		b.WriteString("(")
	}
	switch {
	case x.isBool:
		b.WriteString(strconv.FormatBool(x.b))
	case x.op == "":
		b.WriteString(strconv.FormatInt(x.n, 10))
	case x.op == "!":
		b.WriteString(rapid.SampledFrom([]string{"!", "not "}).Draw(t, "not"))
		x.left.write(t, b, mine)
	default:
		leftRank := mine
		if mine == 3 { // comparisons stand alone
			leftRank = 4
		}
		x.left.write(t, b, leftRank)
		b.WriteString(" " + rapid.SampledFrom(words[x.op]).Draw(t, "word") + " ")
		x.right.write(t, b, mine+1)
	}
	if parens {
		b.WriteString(")")
	}
}

func (x *tree) number() int64 {
	switch x.op {
	case "+":
		return x.left.number() + x.right.number()
	case "-":
		return x.left.number() - x.right.number()
	case "*":
		return x.left.number() * x.right.number()
	}
	return x.n
}

func (x *tree) condition() bool {
	switch x.op {
	case "":
		return x.b
	case "or":
		return x.left.condition() || x.right.condition()
	case "and":
		return x.left.condition() && x.right.condition()
	case "!":
		return !x.left.condition()
	}
	l, r := x.left.number(), x.right.number()
	return map[string]bool{"==": l == r, "!=": l != r, "<": l < r, "<=": l <= r, ">": l > r, ">=": l >= r}[x.op]
}

// Operators bind as in Spring, whichever way they are written.
func TestParse_Precedence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		if rapid.Bool().Draw(t, "condition") {
			x := drawCondition(t, 4)
			x.write(t, &b, 0)
			check(t, "{("+b.String()+")}", strconv.FormatBool(x.condition()))
			return
		}
		x := drawNumber(t, 5)
		x.write(t, &b, 0)
		check(t, "{("+b.String()+")}", strconv.FormatInt(x.number(), 10))
	})
}

func check(t *rapid.T, src, want string) {
	tmpl, err := el.Parse(src, el.Options{})
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	if v, err := tmpl.Eval(&el.Exchange{}); err != nil || v.String() != want {
		t.Fatalf("%s: %v, %v; want %s", src, v, err, want)
	}
}
