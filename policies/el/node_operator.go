package el

type op uint8

const (
	opOr op = iota
	opAnd
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opPow
	opNot
	opNeg
	opPlus
	opMatches
	opBetween
	opInstance
)

var opNames = [...]string{"or", "and", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "^", "!", "-", "+",
	"matches", "between", "instanceof"}

func newBinary(at int, o op, left, right node) node {
	if o == opOr || o == opAnd {
		return &logical{at, o, left, right}
	}
	return &binary{at, o, left, right}
}

// logical is and, or: the right side counts only where the left does not decide.
type logical struct {
	at          int
	op          op
	left, right node
}

func (n *logical) each(f func(node)) { f(n.left); f(n.right) }

func (n *logical) eval(m *machine) (Value, error) {
	left, err := n.side(m, n.left)
	if err != nil || left == (n.op == opOr) {
		return OfBool(left), err
	}
	right, err := n.side(m, n.right)
	return OfBool(right), err
}

func (n *logical) side(m *machine, of node) (bool, error) {
	v, err := of.eval(m)
	if err != nil {
		return false, err
	}
	if v.kind == Bool {
		return v.Bool(), nil
	}
	return m.condition(n.at, v)
}

// condition takes v as an operand that decides; null decides nothing.
func (m *machine) condition(at int, v Value) (bool, error) {
	if v.kind == Null {
		return false, m.fail(at, faultf(CodeType, "null is neither true nor false"))
	}
	b, err := toBool(v)
	if err != nil {
		return false, m.fail(at, err)
	}
	return b, nil
}

type binary struct {
	at          int
	op          op
	left, right node
}

func (n *binary) each(f func(node)) { f(n.left); f(n.right) }

func (n *binary) eval(m *machine) (Value, error) {
	left, err := n.left.eval(m)
	if err != nil {
		return left, err
	}
	right, err := n.right.eval(m)
	if err != nil {
		return right, err
	}
	if err := m.step(n.at, 1); err != nil {
		return Value{}, err
	}
	switch n.op {
	case opEq:
		return OfBool(equal(left, right, m.strict)), nil
	case opNe:
		return OfBool(!equal(left, right, m.strict)), nil
	case opLt, opLe, opGt, opGe:
		c, err := compare(left, right)
		if err != nil {
			return Value{}, m.fail(n.at, err)
		}
		return OfBool(n.op == opLt && c < 0 || n.op == opLe && c <= 0 || n.op == opGt && c > 0 || n.op == opGe && c >= 0), nil
	}
	v, err := m.arithmetic(n.op, left, right)
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return v, nil
}

type unary struct {
	at      int
	op      op
	operand node
}

func (n *unary) each(f func(node)) { f(n.operand) }

func (n *unary) eval(m *machine) (Value, error) {
	v, err := n.operand.eval(m)
	if err != nil {
		return v, err
	}
	switch {
	case n.op == opNot:
		b, err := m.condition(n.at, v)
		return OfBool(!b), err
	case !v.isNumber():
		return Value{}, m.fail(n.at, faultf(CodeType, "%s of a %s", opNames[n.op], v.kind))
	case n.op == opPlus:
		return v, nil
	}
	v, err = negate(v)
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return v, nil
}

type ternary struct {
	at            int
	when, yes, no node
}

func (n *ternary) each(f func(node)) { f(n.when); f(n.yes); f(n.no) }

func (n *ternary) eval(m *machine) (Value, error) {
	v, err := n.when.eval(m)
	if err != nil {
		return v, err
	}
	yes, err := m.condition(n.at, v)
	if err != nil {
		return Value{}, err
	}
	if yes {
		return n.yes.eval(m)
	}
	return n.no.eval(m)
}

// elvis is the left side unless that is null or an empty text.
type elvis struct{ left, other node }

func (n *elvis) each(f func(node)) { f(n.left); f(n.other) }

func (n *elvis) eval(m *machine) (Value, error) {
	v, err := n.left.eval(m)
	if err != nil || v.kind != Null && !(v.kind == Text && v.text == "") {
		return v, err
	}
	return n.other.eval(m)
}

type matchesNode struct {
	at          int
	left, right node
	fixed       *regex
	last        regexes
}

func (n *matchesNode) each(f func(node)) { f(n.left); f(n.right) }

func (n *matchesNode) eval(m *machine) (Value, error) {
	left, err := n.left.eval(m)
	if err != nil {
		return left, err
	}
	if left.kind == Null {
		return left, m.fail(n.at, &fault{code: CodeNull, text: "cannot match null", hint: "ask for != null first"})
	}
	re := n.fixed
	if re == nil {
		right, err := n.right.eval(m)
		if err != nil {
			return right, err
		}
		if re, err = n.last.get(right, true); err != nil {
			return Value{}, m.fail(n.at, err)
		}
	}
	text, err := m.text(left)
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	ok, err := re.match(m, text)
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return OfBool(ok), nil
}

// between tells whether a value lies within a list of two, the ends included.
type between struct {
	at          int
	left, right node
}

func (n *between) each(f func(node)) { f(n.left); f(n.right) }

func (n *between) eval(m *machine) (Value, error) {
	v, err := n.left.eval(m)
	if err != nil {
		return v, err
	}
	ends, err := n.right.eval(m)
	if err != nil {
		return ends, err
	}
	if !ends.isList() || ends.Len() != 2 {
		return Value{}, m.fail(n.at, faultf(CodeType, "between wants a list of two values"))
	}
	low, err := compare(v, ends.At(0))
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	high, err := compare(v, ends.At(1))
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return OfBool(low >= 0 && high <= 0), nil
}

type instanceOf struct {
	left  node
	class string
	kinds []Kind
}

func (n *instanceOf) each(f func(node)) { f(n.left) }

func (n *instanceOf) eval(m *machine) (Value, error) {
	v, err := n.left.eval(m)
	if err != nil {
		return v, err
	}
	for _, k := range n.kinds {
		if v.kind == k {
			return OfBool(true), nil
		}
	}
	return OfBool(n.class == "java.lang.Object" && v.kind != Null), nil
}

// instanceKinds are the types that instanceof knows.
var instanceKinds = map[string][]Kind{
	"java.lang.String": {Text}, "java.lang.CharSequence": {Text},
	"java.lang.Integer": {Int}, "java.lang.Long": {Long}, "java.lang.Double": {Double}, "java.lang.Number": {Int, Long, Double},
	"java.lang.Boolean": {Bool}, "java.lang.Object": nil,
	"java.util.List": {List, Values}, "java.util.Collection": {List, Values}, "java.util.Map": {Map},
}
