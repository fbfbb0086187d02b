package ftl

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

type unary struct {
	op string
	of node
}

func (u *unary) String() string { return u.op + u.of.String() }

func (u *unary) eval(r *run) (any, error) {
	if u.op == "!" {
		b, err := r.truth(u.of)
		return !b, err
	}
	n, err := r.number(u.of)
	if err != nil || u.op == "+" {
		return n, err
	}
	return new(big.Rat).Neg(n), nil
}

type binary struct {
	op          string
	left, right node
}

func (b *binary) String() string { return b.left.String() + " " + b.op + " " + b.right.String() }

func (b *binary) eval(r *run) (any, error) {
	if b.op == "&&" || b.op == "||" {
		left, err := r.truth(b.left)
		if err != nil || left == (b.op == "||") {
			return left, err
		}
		return r.truth(b.right)
	}
	left, err := r.present(b.left)
	if err != nil {
		return nil, err
	}
	right, err := r.present(b.right)
	if err != nil {
		return nil, err
	}
	switch b.op {
	case "+":
		if err := r.spend(work(left) + work(right)); err != nil {
			return nil, err
		}
		return plus(left, right)
	case "-", "*", "/", "%":
		return arithmetic(b.op, left, right)
	}
	return compare(b.op, left, right)
}

func plus(left, right any) (any, error) {
	switch a := left.(type) {
	case *big.Rat:
		if _, ok := right.(*big.Rat); ok {
			return arithmetic("+", left, right)
		}
	case []any:
		if b, ok := right.([]any); ok {
			if len(a)+len(b) > maxItems {
				return nil, fmt.Errorf("%w: a sequence of more than %d items", ErrLimit, maxItems)
			}
			return append(a[:len(a):len(a)], b...), nil
		}
	case *jsondoc.Object:
		if b, ok := right.(*jsondoc.Object); ok {
			out := new(jsondoc.Object)
			for _, o := range []*jsondoc.Object{a, b} {
				for i := range o.Len() {
					out.Set(o.At(i).Name, o.At(i).Value)
				}
			}
			return out, nil
		}
	}
	a, err := text(left)
	if err != nil {
		return nil, err
	}
	b, err := text(right)
	if err != nil {
		return nil, err
	}
	if len(a)+len(b) > maxOutput {
		return nil, tooLong()
	}
	return a + b, nil
}

func arithmetic(op string, left, right any) (any, error) {
	a, ok1 := left.(*big.Rat)
	b, ok2 := right.(*big.Rat)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("%s needs two numbers, not %s and %s", op, kind(left), kind(right))
	}
	out := new(big.Rat)
	switch op {
	case "+":
		out.Add(a, b)
	case "-":
		out.Sub(a, b)
	case "*":
		out.Mul(a, b)
	default:
		if op == "%" { // of the numbers without their fractions
			a, b = whole(a), whole(b)
		}
		if b.Sign() == 0 {
			return nil, errors.New("division by zero")
		}
		if op == "%" {
			return out.SetInt(new(big.Int).Rem(a.Num(), b.Num())), nil
		}
		out = rounded(out.Quo(a, b))
	}
	if out.Num().BitLen() > maxBits || out.Denom().BitLen() > maxBits {
		return nil, fmt.Errorf("%w: a number of more than %d bits", ErrLimit, maxBits)
	}
	return out, nil
}

// rounded is a quotient, with as many decimals as FreeMarker gives one.
func rounded(n *big.Rat) *big.Rat {
	const digits = 12
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil))
	scaled := new(big.Rat).Mul(n, scale)
	half := big.NewRat(int64(scaled.Sign()), 2)
	return new(big.Rat).Quo(whole(scaled.Add(scaled, half)), scale)
}

// whole is n without its fraction.
func whole(n *big.Rat) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Quo(n.Num(), n.Denom())) }

// compare compares two values of one kind.
func compare(op string, left, right any) (bool, error) {
	equal := op == "==" || op == "=" || op == "!="
	if _, ok := left.(nothing); ok {
		left = ""
	}
	if _, ok := right.(nothing); ok {
		right = ""
	}
	order := 0
	switch a := left.(type) {
	case *big.Rat:
		b, ok := right.(*big.Rat)
		if !ok {
			return false, incomparable(left, right)
		}
		order = a.Cmp(b)
	case string:
		b, ok := right.(string)
		if !ok || !equal {
			return false, incomparable(left, right)
		}
		order = strings.Compare(a, b)
	case bool:
		b, ok := right.(bool)
		if !ok || !equal {
			return false, incomparable(left, right)
		}
		if a != b {
			order = 1
		}
	default:
		return false, incomparable(left, right)
	}
	switch op {
	case "==", "=":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<", "lt":
		return order < 0, nil
	case "<=", "lte":
		return order <= 0, nil
	case ">", "gt":
		return order > 0, nil
	}
	return order >= 0, nil
}

func incomparable(left, right any) error {
	return fmt.Errorf("%s and %s cannot be compared so; numbers can, and texts and booleans for equality", kind(left), kind(right))
}

// kind names a value's kind in messages.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case nothing:
		return "an empty default"
	case string:
		return "a text"
	case bool:
		return "a boolean"
	case *big.Rat:
		return "a number"
	case []any:
		return "a sequence"
	case *jsondoc.Object:
		return "a hash"
	}
	return fmt.Sprintf("a %T", v)
}

// text is v as an interpolation writes it.
func text(v any) (string, error) {
	switch x := v.(type) {
	case nothing:
		return "", nil
	case string:
		return x, nil
	case *big.Rat:
		return localised(x), nil
	case bool:
		return "", errors.New("a boolean has no text of its own; write ?c or ?string('yes', 'no')")
	}
	return "", fmt.Errorf("%s has no text; name one of its items or members", kind(v))
}

// decimals is n with at most so many digits behind the point, the last rounded to even, and without zeros at its end.
func decimals(n *big.Rat, digits int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	scaled := new(big.Rat).Mul(n, new(big.Rat).SetInt(scale))
	q, rem := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	twice := new(big.Int).Abs(rem)
	twice.Lsh(twice, 1)
	if c := twice.Cmp(scaled.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(scaled.Sign())))
	}
	s := new(big.Rat).SetFrac(q, scale).FloatString(digits)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "-0"
	}
	return s
}

// computer is n as programs read it (?c).
func computer(n *big.Rat) string {
	if s := decimals(n, 16); s != "-0" {
		return s
	}
	return "0"
}

// localised is n as in English: thousands apart, at most three decimals.
func localised(n *big.Rat) string {
	s := decimals(n, 3)
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if n.Sign() < 0 {
		return "-" + whole
	}
	return whole
}

// maxDigits bounds the text of a number, so that exponents cannot make it huge.
const maxDigits = 400

// parseNumber reads a number as it is written in templates and documents.
func parseNumber(s string) (*big.Rat, bool) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(s), "e")
	if len(s) > maxDigits || strings.ContainsAny(mantissa, "/_xpbo") || mantissa == "" {
		return nil, false
	}
	if hasExponent {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxDigits || e < -maxDigits {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}
