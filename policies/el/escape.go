package el

import (
	"math"
	"strconv"
	"unicode/utf8"
)

var notANumber = math.NaN()

// xpathNumber writes a number as XPath does: whole ones without a point.
func xpathNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// escapeWith makes a function that escapes a text: null stays null, elements of a list are joined by spaces (addenda 6.3-d).
func escapeWith(escape func(dst []byte, s string) []byte) func(*machine, *function, []Value) (Value, error) {
	return func(m *machine, _ *function, a []Value) (Value, error) {
		v := a[0]
		if v.kind == Null {
			return v, nil
		}
		var out []byte
		items := 1
		if v.isList() {
			items = v.Len()
		}
		for i := range items {
			item := v
			if v.isList() {
				item = v.At(i)
			}
			if i > 0 {
				out = append(out, ' ')
			}
			text, err := m.text(item)
			if err != nil {
				return Value{}, err
			}
			out = escape(out, text)
			if err := tooLong(out); err != nil {
				return Value{}, err
			}
		}
		return OfText(string(out)), nil
	}
}

var jsonShort = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`, '/': `\/`}

// appendJSONEscaped escapes s for a JSON text, all beyond ASCII by number, as the reference does.
func appendJSONEscaped(dst []byte, s string) []byte {
	for _, r := range s {
		short, ok := jsonShort[r]
		switch {
		case ok:
			dst = append(dst, short...)
		case r >= 0x20 && r < 0x7f:
			dst = append(dst, byte(r))
		case r > 0xffff:
			r -= 0x10000
			dst = appendUnit(appendUnit(dst, uint16(0xd800+r>>10)), uint16(0xdc00+r&0x3ff))
		default:
			dst = appendUnit(dst, uint16(r))
		}
	}
	return dst
}

func appendUnit(dst []byte, u uint16) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '\\', 'u', digits[u>>12], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}

// appendXMLEscaped escapes s for XML 1.0: five characters by name, and what XML has no place for left out.
func appendXMLEscaped(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '\'':
			dst = append(dst, "&apos;"...)
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
