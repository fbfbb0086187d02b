package el

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// staticMethod is a static method or a constructor on the allow-list.
type staticMethod struct {
	min, max int
	volatile bool // another result each time
	call     func(m *machine, a []Value) (Value, error)
}

func (s *staticMethod) takes(n int) bool { return s.min <= n && n <= s.max }

// classes are those that T() may name.
var classes = map[string]bool{}

// statics are the static methods by class and name; constructors are called new.
var statics = allowStatics(mathStatics, numberStatics, textStatics, systemStatics, codecStatics, collectionStatics, timeStatics)

func allowStatics(tables ...map[string]staticMethod) map[string]*staticMethod {
	all := map[string]*staticMethod{}
	for _, t := range tables {
		for name, s := range t {
			all[name] = &s
			classes[name[:strings.LastIndexByte(name, '.')]] = true
		}
	}
	return all
}

// constants are the static fields on the allow-list.
var constants = map[string]Value{
	"java.lang.Math.PI": OfDouble(math.Pi), "java.lang.Math.E": OfDouble(math.E),
	"java.lang.Integer.MAX_VALUE": OfInt(math.MaxInt32), "java.lang.Integer.MIN_VALUE": OfInt(math.MinInt32),
	"java.lang.Long.MAX_VALUE": OfLong(math.MaxInt64), "java.lang.Long.MIN_VALUE": OfLong(math.MinInt64),
	"java.lang.Short.MAX_VALUE": OfInt(math.MaxInt16), "java.lang.Short.MIN_VALUE": OfInt(math.MinInt16),
	"java.lang.Double.MAX_VALUE":                              OfDouble(math.MaxFloat64),
	"java.time.format.DateTimeFormatter.ISO_LOCAL_DATE":       isoFormatter("2006-01-02"),
	"java.time.format.DateTimeFormatter.ISO_DATE":             isoFormatter("2006-01-02"),
	"java.time.format.DateTimeFormatter.ISO_LOCAL_TIME":       isoFormatter("15:04:05.999999999"),
	"java.time.format.DateTimeFormatter.ISO_LOCAL_DATE_TIME":  isoFormatter("2006-01-02T15:04:05.999999999"),
	"java.time.format.DateTimeFormatter.ISO_OFFSET_DATE_TIME": isoFormatter("2006-01-02T15:04:05.999999999Z07:00"),
	"java.time.format.DateTimeFormatter.ISO_DATE_TIME":        isoFormatter("2006-01-02T15:04:05.999999999Z07:00"),
	"java.time.format.DateTimeFormatter.BASIC_ISO_DATE":       isoFormatter("20060102"),
}

// onDouble makes a static method of a function of one double.
func onDouble(f func(float64) float64) staticMethod {
	return staticMethod{1, 1, false, func(_ *machine, a []Value) (Value, error) {
		x, err := toDouble(a[0])
		return OfDouble(f(x)), err
	}}
}

// extreme is max (more) and min: of two integers an integer, else a double.
func extreme(more bool) func(*machine, []Value) (Value, error) {
	return func(_ *machine, a []Value) (Value, error) {
		for i := range a {
			if !a[i].isNumber() {
				f, err := toDouble(a[i])
				if err != nil {
					return Value{}, err
				}
				a[i] = OfDouble(f)
			}
		}
		x, y := a[0], a[1]
		if (compareNumbers(x, y) < 0) == more {
			x, y = y, x
		}
		switch {
		case x.isWhole() != y.isWhole():
			return OfDouble(x.Float()), nil
		case x.kind != y.kind:
			return OfLong(x.Int()), nil
		}
		return x, nil
	}
}

func twoLongs(f func(x, y int64) int64) staticMethod {
	return staticMethod{2, 2, false, func(_ *machine, a []Value) (Value, error) {
		x, err := toLong(a[0])
		if err != nil {
			return Value{}, err
		}
		y, err := toLong(a[1])
		if err != nil {
			return Value{}, err
		}
		if y == 0 {
			return Value{}, &fault{code: CodeArithmetic, text: "division by zero"}
		}
		if a[0].kind == Long || a[1].kind == Long {
			return OfLong(f(x, y)), nil
		}
		return OfInt(f(x, y)), nil
	}}
}

var mathStatics = map[string]staticMethod{
	"java.lang.Math.max": {2, 2, false, extreme(true)},
	"java.lang.Math.min": {2, 2, false, extreme(false)},
	"java.lang.Math.abs": {1, 1, false, func(_ *machine, a []Value) (Value, error) {
		if a[0].isWhole() && a[0].Int() >= 0 {
			return a[0], nil
		}
		if a[0].isWhole() {
			return negate(a[0])
		}
		x, err := toDouble(a[0])
		return OfDouble(math.Abs(x)), err
	}},
	"java.lang.Math.round": {1, 1, false, func(_ *machine, a []Value) (Value, error) {
		x, err := toDouble(a[0])
		if err != nil {
			return Value{}, err
		}
		n, err := toLong(OfDouble(math.Floor(x + 0.5)))
		return OfLong(n), err
	}},
	"java.lang.Math.pow": {2, 2, false, func(_ *machine, a []Value) (Value, error) {
		x, err := toDouble(a[0])
		if err != nil {
			return Value{}, err
		}
		y, err := toDouble(a[1])
		return OfDouble(math.Pow(x, y)), err
	}},
	"java.lang.Math.floorMod": twoLongs(func(x, y int64) int64 {
		if y == -1 {
			return 0
		}
		if r := x % y; r != 0 && (r < 0) != (y < 0) {
			return r + y
		}
		return x % y
	}),
	"java.lang.Math.floorDiv": twoLongs(func(x, y int64) int64 {
		q := x / y
		if x%y != 0 && (x < 0) != (y < 0) {
			q--
		}
		return q
	}),
	"java.lang.Math.random": {0, 0, true, func(*machine, []Value) (Value, error) { return OfDouble(rand.Float64()), nil }},
	"java.lang.Math.floor":  onDouble(math.Floor), "java.lang.Math.ceil": onDouble(math.Ceil),
	"java.lang.Math.rint": onDouble(math.RoundToEven), "java.lang.Math.sqrt": onDouble(math.Sqrt),
	"java.lang.Math.cbrt": onDouble(math.Cbrt), "java.lang.Math.exp": onDouble(math.Exp),
	"java.lang.Math.log": onDouble(math.Log), "java.lang.Math.log10": onDouble(math.Log10),
	"java.lang.Math.signum": onDouble(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	}),
}

// parseInteger makes a static method that reads a whole number of so many bits from a text.
func parseInteger(bits int, kind func(int64) Value) staticMethod {
	return staticMethod{1, 2, false, func(m *machine, a []Value) (Value, error) {
		if a[0].isWhole() && len(a) == 1 {
			return kind(a[0].Int()), nil
		}
		s, err := argText(m, a[0])
		if err != nil {
			return Value{}, err
		}
		radix := int64(10)
		if len(a) == 2 {
			if radix, err = toLong(a[1]); err != nil || radix < 2 || radix > 36 {
				return Value{}, faultf(CodeArgument, "a radix is from 2 to 36")
			}
		}
		n, bad := strconv.ParseInt(s, int(radix), bits)
		if bad != nil {
			return Value{}, faultf(CodeArgument, "the text %s is not a number of %d bits", quoteShort(s), bits)
		}
		return kind(n), nil
	}}
}

var parseDouble = staticMethod{1, 1, false, func(_ *machine, a []Value) (Value, error) {
	f, err := toDouble(a[0])
	return OfDouble(f), err
}}

var parseBoolean = staticMethod{1, 1, false, func(m *machine, a []Value) (Value, error) {
	if a[0].kind == Null {
		return OfBool(false), nil
	}
	s, err := m.text(a[0])
	return OfBool(strings.EqualFold(s, "true")), err
}}

var valueText = staticMethod{1, 1, false, func(_ *machine, a []Value) (Value, error) {
	b, err := appendJava(nil, a[0])
	return OfText(string(b)), err
}}

var numberStatics = map[string]staticMethod{
	"java.lang.Integer.parseInt": parseInteger(32, OfInt), "java.lang.Integer.valueOf": parseInteger(32, OfInt),
	"java.lang.Short.parseShort": parseInteger(16, OfInt), "java.lang.Short.valueOf": parseInteger(16, OfInt),
	"java.lang.Long.parseLong": parseInteger(64, OfLong), "java.lang.Long.valueOf": parseInteger(64, OfLong),
	"java.lang.Double.parseDouble": parseDouble, "java.lang.Double.valueOf": parseDouble,
	"java.lang.Float.parseFloat": parseDouble, "java.lang.Float.valueOf": parseDouble,
	"java.lang.Boolean.parseBoolean": parseBoolean, "java.lang.Boolean.valueOf": parseBoolean,
	"java.lang.Integer.toString": valueText, "java.lang.Long.toString": valueText, "java.lang.Double.toString": valueText,
	"java.lang.Integer.max": {2, 2, false, extreme(true)}, "java.lang.Integer.min": {2, 2, false, extreme(false)},
	"java.lang.Long.max": {2, 2, false, extreme(true)}, "java.lang.Long.min": {2, 2, false, extreme(false)},
	"java.lang.Integer.toHexString": hexText(func(n int64) uint64 { return uint64(uint32(n)) }),
	"java.lang.Long.toHexString":    hexText(func(n int64) uint64 { return uint64(n) }),
}

func hexText(bits func(int64) uint64) staticMethod {
	return staticMethod{1, 1, false, func(_ *machine, a []Value) (Value, error) {
		n, err := toLong(a[0])
		return OfText(strconv.FormatUint(bits(n), 16)), err
	}}
}

var systemStatics = map[string]staticMethod{
	"java.lang.System.currentTimeMillis": {0, 0, true, func(*machine, []Value) (Value, error) {
		return OfLong(time.Now().UnixMilli()), nil
	}},
	"java.lang.System.nanoTime": {0, 0, true, func(*machine, []Value) (Value, error) { return OfLong(time.Now().UnixNano()), nil }},
	"java.util.UUID.randomUUID": {0, 0, true, func(*machine, []Value) (Value, error) { return OfText(uuid.NewString()), nil }},
}
