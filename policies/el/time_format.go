package el

import (
	"strings"
	"time"
)

// formatter writes and reads moments by a pattern of Java's, as Go's layout.
type formatter struct{ layout string }

func isoFormatter(layout string) Value { return Value{kind: opaque, ref: &formatter{layout}} }

func newFormatter(m *machine, a []Value) (Value, error) {
	pattern, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	layout, err := translatePattern(pattern)
	if err != nil {
		return Value{}, err
	}
	return Value{kind: opaque, ref: &formatter{layout}}, nil
}

// patternParts are the runs of letters in Java's patterns that Go has.
var patternParts = map[string]string{"yyyy": "2006", "uuuu": "2006", "yy": "06", "MM": "01", "M": "1", "MMM": "Jan", "MMMM": "January",
	"dd": "02", "d": "2", "DDD": "002", "HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "a": "PM",
	"E": "Mon", "EE": "Mon", "EEE": "Mon", "EEEE": "Monday", "X": "Z07", "XX": "Z0700", "XXX": "Z07:00", "xx": "-0700",
	"xxx": "-07:00", "Z": "-0700", "z": "MST"}

func translatePattern(pattern string) (string, error) {
	if len(pattern) > 200 {
		return "", faultf(CodeArgument, "a date pattern of more than 200 bytes")
	}
	var out strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, read, ok := quotedPart(pattern[i:])
			if !ok || !plain(text) {
				return "", faultf(CodeArgument, "the date pattern %s has a text that cannot be kept", quoteShort(pattern))
			}
			out.WriteString(text)
			i += read
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			end := i
			for end < len(pattern) && pattern[end] == c {
				end++
			}
			part, ok := patternParts[pattern[i:end]]
			if c == 'S' && i > 0 && (pattern[i-1] == '.' || pattern[i-1] == ',') && end-i <= 9 {
				part, ok = strings.Repeat("0", end-i), true
			}
			if !ok {
				return "", faultf(CodeArgument, "the date pattern part %s is not supported", pattern[i:end])
			}
			out.WriteString(part)
			i = end
		case isDigit(c) || c == '_':
			return "", faultf(CodeArgument, "the date pattern %s has a digit", quoteShort(pattern))
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String(), nil
}

// quotedPart reads '...' with ” for one quote.
func quotedPart(s string) (text string, read int, ok bool) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, true
	}
	end := strings.IndexByte(s[1:], '\'')
	if end < 0 {
		return "", 0, false
	}
	return s[1 : 1+end], end + 2, true
}

// plain tells whether Go's layouts take a text as it is.
func plain(text string) bool {
	a, b := time.Date(2001, 2, 3, 4, 6, 7, 0, time.UTC), time.Date(2012, 11, 10, 23, 58, 59, 9, time.FixedZone("X", 3600))
	return a.Format(text) == text && b.Format(text) == text
}

func (f *formatter) invoke(m *machine, name string, a []Value) (Value, bool, error) {
	switch name {
	case "format":
		if a[0].kind != Time {
			return Value{}, true, faultf(CodeType, "format wants a date, not a %s", a[0].kind)
		}
		return OfText(a[0].ref.(*moment).at.Format(f.layout)), true, nil
	case "parse":
		s, err := argText(m, a[0])
		if err != nil {
			return Value{}, true, err
		}
		v, err := readTime(s, f.layout, date)
		return v, true, err
	}
	return Value{}, false, nil
}
