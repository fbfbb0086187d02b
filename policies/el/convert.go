package el

import (
	"math"
	"strconv"
	"strings"
)

// appendText appends v as text, as the reference's conversion does (addenda 6.1-h): lists joined by commas; null nothing.
func appendText(dst []byte, v Value) ([]byte, error) {
	switch v.kind {
	case Null:
		return dst, nil
	case Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case Int, Long:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case Double:
		return appendDouble(dst, v.Float()), nil
	case Text:
		return append(dst, v.text...), nil
	case List, Values:
		return appendItems(dst, v)
	case Time:
		m := v.ref.(*moment)
		if m.class != date {
			return m.appendText(dst), nil
		}
	}
	return dst, faultf(CodeConversion, "a %s has no text", v.kind)
}

func appendItems(dst []byte, v Value) ([]byte, error) {
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		item := v.At(i)
		if item.kind == Null {
			dst = append(dst, "null"...)
			continue
		}
		var err error
		if dst, err = appendText(dst, item); err != nil {
			return dst, err
		}
		if len(dst) > maxResult {
			return dst, faultf(CodeSize, "a text of more than %d bytes", maxResult)
		}
	}
	return dst, nil
}

// appendDouble appends f as Java writes a double: at least one digit behind the point, an exponent outside of 1e-3 to 1e7.
func appendDouble(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case abs == 0 || abs >= 1e-3 && abs < 1e7:
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	var tmp [32]byte
	text := string(strconv.AppendFloat(tmp[:0], f, 'e', -1, 64))
	mantissa, exponent, _ := strings.Cut(text, "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent) // strconv wrote it
	return strconv.AppendInt(append(append(dst, mantissa...), 'E'), int64(n), 10)
}

// toBool converts as the reference does (addenda 6.1-e).
func toBool(v Value) (bool, error) {
	switch v.kind {
	case Bool:
		return v.Bool(), nil
	case Int, Long, Double:
		return v.Float() != 0, nil
	case Values:
		if v.Len() == 1 {
			return toBool(v.At(0))
		}
	case Text:
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "true", "on", "yes", "1":
			return true, nil
		case "false", "off", "no", "0", "":
			return false, nil
		}
		return false, faultf(CodeConversion, "the text %s is neither true nor false", quoteShort(v.text))
	}
	return false, faultf(CodeConversion, "a %s is neither true nor false", v.kind)
}

// quoteShort quotes at most the start of a text that came from outside.
func quoteShort(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// toLong converts to an integer; what lies behind a point is cut off.
func toLong(v Value) (int64, error) {
	switch v.kind {
	case Int, Long:
		return v.Int(), nil
	case Double:
		f := v.Float()
		if f >= -(1<<63) && f < 1<<63 {
			return int64(f), nil
		}
		return 0, faultf(CodeConversion, "the number does not fit a long")
	case Values:
		if v.Len() == 1 {
			return toLong(v.At(0))
		}
	case Text:
		n, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64)
		if err != nil {
			return 0, faultf(CodeConversion, "the text %s is not an integer", quoteShort(v.text))
		}
		return n, nil
	}
	return 0, faultf(CodeConversion, "a %s is not a number", v.kind)
}

func toDouble(v Value) (float64, error) {
	if v.isNumber() {
		return v.Float(), nil
	}
	if v.kind == Values && v.Len() == 1 {
		v = v.At(0)
	}
	if v.kind != Text {
		return 0, faultf(CodeConversion, "a %s is not a number", v.kind)
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(v.text), 64)
	if err != nil {
		return 0, faultf(CodeConversion, "the text %s is not a number", quoteShort(v.text))
	}
	return f, nil
}
