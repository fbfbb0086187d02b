package el

import (
	"fmt"
	"strconv"
	"strings"
)

// formatText is String.format, for texts, numbers and booleans: %[index$][flags][width][.precision] and one of d x X o s S
// b c f e n %.
func formatText(m *machine, a []Value) (Value, error) {
	src, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	var out []byte
	next := 1
	for i := 0; i < len(src); i++ {
		if src[i] != '%' {
			out = append(out, src[i])
			continue
		}
		d, read, ok := readDirective(src[i+1:])
		if !ok {
			return Value{}, faultf(CodeArgument, "the format %s is wrong behind byte %d", quoteShort(src), i)
		}
		i += read
		if d.verb == '%' || d.verb == 'n' {
			out = append(out, map[byte]byte{'%': '%', 'n': '\n'}[d.verb])
			continue
		}
		place := d.index
		if place == 0 {
			place = next
			next++
		}
		if place >= len(a) {
			return Value{}, faultf(CodeArgument, "the format %s wants argument %d", quoteShort(src), place)
		}
		if out, err = d.append(m, out, a[place]); err == nil {
			err = tooLong(out)
		}
		if err != nil {
			return Value{}, err
		}
	}
	return OfText(string(out)), nil
}

// directive is one part of a format.
type directive struct {
	index     int
	flags     string
	width     int
	precision int // -1: none
	verb      byte
}

const maxWidth = 1_000 // of one part of a format, in characters

func readDirective(s string) (d directive, read int, ok bool) {
	d.precision = -1
	number := func() int {
		start := read
		for read < len(s) && isDigit(s[read]) && read-start < 5 {
			read++
		}
		n, _ := strconv.Atoi(s[start:read]) // none is 0
		return n
	}
	if n := number(); n > 0 && read < len(s) && s[read] == '$' {
		d.index = n
		read++
	} else {
		read = 0
	}
	for read < len(s) && strings.IndexByte("-+ 0,(#", s[read]) >= 0 {
		d.flags += s[read : read+1]
		read++
	}
	d.width = number()
	if read < len(s) && s[read] == '.' {
		read++
		d.precision = number()
	}
	if read == len(s) || d.width > maxWidth || d.precision > maxWidth || strings.IndexByte("dxXosSbcfen%", s[read]) < 0 ||
		strings.Contains(d.flags, "(") || strings.Contains(d.flags, ",") && s[read] != 'd' {
		return d, read, false
	}
	d.verb = s[read]
	return d, read + 1, true
}

func (d *directive) append(m *machine, dst []byte, v Value) ([]byte, error) {
	text, err := d.text(m, v)
	if err != nil {
		return dst, err
	}
	if d.verb == 'S' {
		text = strings.ToUpper(text)
	}
	pad := max(0, d.width-units(text))
	if strings.Contains(d.flags, "-") {
		return append(append(dst, text...), strings.Repeat(" ", pad)...), nil
	}
	return append(append(dst, strings.Repeat(" ", pad)...), text...), nil
}

// text is one argument without what pads it to its width, zeros aside.
func (d *directive) text(m *machine, v Value) (string, error) {
	spec := "%" + strings.Trim(d.flags, "-,")
	if strings.Contains(d.flags, "0") {
		spec += strconv.Itoa(d.width)
	}
	switch {
	case v.kind == Null:
		return "null", nil
	case d.verb == 's' || d.verb == 'S':
		b, err := appendJava(nil, v)
		if d.precision >= 0 && d.precision < len(b) {
			b = []byte(string(b)[:max(0, offset(string(b), int64(d.precision)))])
		}
		return string(b), err
	case d.verb == 'b':
		return strconv.FormatBool(v.kind != Bool || v.Bool()), nil
	case d.verb == 'c' && v.isWhole():
		return string(rune(v.Int())), nil
	case d.verb == 'c' && v.kind == Text && units(v.text) == 1:
		return v.text, nil
	case strings.IndexByte("dxXo", d.verb) >= 0 && v.isWhole():
		return d.whole(spec, v), nil
	case (d.verb == 'f' || d.verb == 'e') && v.kind == Double:
		precision := 6
		if d.precision >= 0 {
			precision = d.precision
		}
		return fmt.Sprintf(spec+"."+strconv.Itoa(precision)+string(d.verb), v.Float()), nil
	}
	return "", faultf(CodeArgument, "a %s cannot be written with %%%c", v.kind, d.verb)
}

func (d *directive) whole(spec string, v Value) string {
	switch {
	case d.verb != 'd' && v.kind == Int:
		return fmt.Sprintf(spec+string(d.verb), uint32(v.Int()))
	case d.verb != 'd':
		return fmt.Sprintf(spec+string(d.verb), v.num)
	case !strings.Contains(d.flags, ","):
		return fmt.Sprintf(spec+"d", v.Int())
	}
	digits := strconv.FormatUint(magnitude(v.Int()), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v.Int() < 0 {
		return "-" + digits
	}
	return digits
}
