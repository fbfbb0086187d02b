package jsondoc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Append writes a value to dst, without blanks. The error is ErrLimit: too deep, which a value that holds itself is, or too
// large.
func Append(dst []byte, v any) ([]byte, error) {
	w := writer{out: dst, start: len(dst)}
	if err := w.value(v, 0); err != nil {
		return dst, err
	}
	return w.out, nil
}

type writer struct {
	out   []byte
	start int
}

func (w *writer) value(v any, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels deep", ErrLimit, MaxDepth)
	}
	if len(w.out)-w.start > MaxSize {
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, MaxSize)
	}
	switch x := v.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, x)
	case string:
		w.out = AppendString(w.out, x)
	case int32:
		w.out = strconv.AppendInt(w.out, int64(x), 10)
	case int64:
		w.out = strconv.AppendInt(w.out, x, 10)
	case float64:
		w.out = append(w.out, FormatDouble(x)...)
	case Number:
		w.out = append(w.out, x...)
	case *Object:
		return w.object(x, depth)
	case *Array:
		return w.array(x, depth)
	default:
		return fmt.Errorf("a %T is not a value of a JSON document", v)
	}
	return nil
}

func (w *writer) object(o *Object, depth int) error {
	w.out = append(w.out, '{')
	for i := range o.members {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(AppendString(w.out, o.members[i].Name), ':')
		if err := w.value(o.members[i].Value, depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *writer) array(a *Array, depth int) error {
	w.out = append(w.out, '[')
	for i, v := range a.Items {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(v, depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

const hexDigits = "0123456789abcdef"

// AppendString writes a text in quotes. What is no UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(append(dst, s[from:i]...), '\\')
		switch c {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		case '\b':
			dst = append(dst, 'b')
		case '\f':
			dst = append(dst, 'f')
		default:
			dst = append(dst, 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// FormatDouble writes a number as Java does: with a fraction, and with an exponent from 10^7 on and below 10^-3. What no JSON
// number is (NaN, infinity) is written in quotes.
func FormatDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return `"NaN"`
	case math.IsInf(f, 0):
		return `"` + strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+") + `inity"`
	}
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-3 && abs < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, err := strconv.Atoi(exponent)
	if err != nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return mantissa + "E" + strconv.Itoa(n)
}
