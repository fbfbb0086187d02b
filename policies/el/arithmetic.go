package el

import (
	"math"
	"math/bits"
	"strings"
)

// arithmetic is + - * / % ^. Integers stay integers, and become Long where 32 bits are too few; what even a Long cannot
// hold is an error, where Java would go on with a wrong number.
func (m *machine) arithmetic(o op, a, b Value) (Value, error) {
	if a.kind == Values && b.isNumber() || b.kind == Values && a.isNumber() {
		return Value{}, operands(o, a, b)
	}
	switch {
	case a.isWhole() && b.isWhole():
		n, err := whole(o, a.Int(), b.Int())
		if err != nil {
			return Value{}, err
		}
		if a.kind == Long || b.kind == Long {
			return OfLong(n), nil
		}
		return OfInt(n), nil
	case a.isNumber() && b.isNumber():
		return OfDouble(decimal(o, a.Float(), b.Float())), nil
	case o == opAdd && (a.kind == Text || b.kind == Text || a.kind == Values && b.kind != Null):
		return m.concat(a, b)
	case o == opMul && a.kind == Text && b.isWhole():
		return repeat(a.text, b.Int())
	}
	return Value{}, operands(o, a, b)
}

func operands(o op, a, b Value) error {
	code := CodeType
	if a.kind == Null || b.kind == Null {
		code = CodeNull
	}
	return faultf(code, "%s of a %s and a %s", opNames[o], a.kind, b.kind)
}

var overflow = &fault{code: CodeArithmetic, text: "the result does not fit a long"}

func whole(o op, a, b int64) (int64, error) {
	switch o {
	case opAdd:
		if n := a + b; (n > a) == (b > 0) {
			return n, nil
		}
	case opSub:
		if n := a - b; (n < a) == (b > 0) {
			return n, nil
		}
	case opMul:
		if n, ok := times(a, b); ok {
			return n, nil
		}
	case opDiv, opMod:
		switch {
		case b == 0:
			return 0, &fault{code: CodeArithmetic, text: "division by zero"}
		case o == opMod && b == -1:
			return 0, nil
		case o == opMod:
			return a % b, nil
		case a != math.MinInt64 || b != -1:
			return a / b, nil
		}
	case opPow:
		if f := math.Pow(float64(a), float64(b)); f >= -(1<<63) && f < 1<<63 {
			return power(a, b, f), nil
		}
	}
	return 0, overflow
}

func times(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	if high != 0 || low > 1<<63 || low == 1<<63 && !negative {
		return 0, false
	}
	return a * b, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// power is exact where a double, which Java goes through, is not.
func power(a, b int64, f float64) int64 {
	n := int64(1)
	if b < 0 || b > 64 {
		return int64(f)
	}
	for range b {
		var ok bool
		if n, ok = times(n, a); !ok {
			return int64(f)
		}
	}
	return n
}

func decimal(o op, a, b float64) float64 {
	switch o {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opDiv:
		return a / b
	case opMod:
		return math.Mod(a, b)
	}
	return math.Pow(a, b)
}

func negate(v Value) (Value, error) {
	switch {
	case v.kind == Double:
		return OfDouble(-v.Float()), nil
	case v.Int() == math.MinInt64:
		return Value{}, overflow
	case v.kind == Long:
		return OfLong(-v.Int()), nil
	}
	return OfInt(-v.Int()), nil
}

// concat joins two values as texts; null is written out.
func (m *machine) concat(a, b Value) (Value, error) {
	dst, err := appendOperand(m.buf[:0], a)
	if err == nil {
		dst, err = appendOperand(dst, b)
	}
	m.buf = dst
	if err != nil {
		return Value{}, err
	}
	if len(dst) > maxResult {
		return Value{}, faultf(CodeSize, "a text of more than %d bytes", maxResult)
	}
	if err := m.spend(len(dst) / bytesPerStep); err != nil {
		return Value{}, err
	}
	return OfText(string(dst)), nil
}

func appendOperand(dst []byte, v Value) ([]byte, error) {
	if v.kind == Null {
		return append(dst, "null"...), nil
	}
	return appendText(dst, v)
}

func repeat(s string, n int64) (Value, error) {
	if n < 0 {
		return Value{}, faultf(CodeArgument, "a text cannot be repeated %d times", n)
	}
	if len(s) > 0 && n > int64(maxResult/len(s)) {
		return Value{}, faultf(CodeSize, "a text of more than %d bytes", maxResult)
	}
	return OfText(strings.Repeat(s, int(n))), nil
}
