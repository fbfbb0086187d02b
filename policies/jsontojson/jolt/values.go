package jolt

import (
	"math"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// toNumber is the number that a text is, as Java reads it: an int32, else an int64, else a float64; nil: it is none.
func toNumber(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return jsondoc.Integer(n)
	}
	s := strings.TrimSpace(text)
	if plain := strings.TrimLeft(s, "+-"); strings.ContainsAny(s, "_xXpP") || plain != "NaN" && plain != "Infinity" && strings.ContainsAny(plain, "nN") {
		return nil
	}
	s = strings.TrimRight(s, "dDfF")
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil
	}
	return f
}

// saturated is the long of a double, as Java converts it.
func saturated(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

func toInt(v any) (int32, bool) {
	switch n := v.(type) {
	case int32:
		return n, true
	case int64:
		return int32(n), true
	case float64:
		return int32(max(math.MinInt32, min(math.MaxInt32, saturated(n)))), true
	case jsondoc.Number:
		d, ok := toDouble(n)
		return int32(saturated(d)), ok
	case string:
		if m := toNumber(n); m != nil {
			return toInt(m)
		}
	}
	return 0, false
}

func toLong(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return saturated(n), true
	case jsondoc.Number:
		d, ok := toDouble(n)
		return saturated(d), ok
	case string:
		if m := toNumber(n); m != nil {
			return toLong(m)
		}
	}
	return 0, false
}

func toDouble(v any) (float64, bool) {
	switch n := v.(type) {
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case jsondoc.Number:
		f, err := strconv.ParseFloat(string(n), 64)
		return f, err == nil
	case string:
		if m := toNumber(n); m != nil {
			return toDouble(m)
		}
	}
	return 0, false
}

func toBoolean(v any) (any, bool) {
	switch x := v.(type) {
	case bool:
		return x, true
	case string:
		return strings.EqualFold(x, "true"), strings.EqualFold(x, "true") || strings.EqualFold(x, "false")
	}
	return nil, false
}

// javaText is a value as Java's toString has it.
func javaText(v any) string {
	var b strings.Builder
	appendText(&b, v, 0)
	return b.String()
}

func appendText(b *strings.Builder, v any, depth int) {
	if depth > jsondoc.MaxDepth || b.Len() > maxText {
		b.WriteString("...")
		return
	}
	switch x := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case string:
		b.WriteString(x)
	case int32:
		b.WriteString(strconv.Itoa(int(x)))
	case int64:
		b.WriteString(strconv.FormatInt(x, 10))
	case float64:
		b.WriteString(strings.Trim(jsondoc.FormatDouble(x), `"`))
	case jsondoc.Number:
		b.WriteString(string(x))
	case *jsondoc.Array:
		b.WriteByte('[')
		for i, item := range x.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			appendText(b, item, depth+1)
		}
		b.WriteByte(']')
	case *jsondoc.Object:
		b.WriteByte('{')
		for i := range x.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(x.At(i).Name + "=")
			appendText(b, x.At(i).Value, depth+1)
		}
		b.WriteByte('}')
	}
}
