package ftl

import "strings"

// quoted reads a text, in which ${...} may stand.
func (x *expr) quoted() (node, error) {
	start := x.at
	raw := x.text[x.at] == 'r'
	if raw {
		x.at++
	}
	quote := x.text[x.at]
	j := &joined{}
	var b strings.Builder
	for x.at++; ; {
		if x.done() {
			x.at = start
			return nil, x.wrong("a text is not closed")
		}
		c := x.text[x.at]
		switch {
		case c == quote:
			x.at++
			if len(j.parts) == 0 {
				e := &constant{v: b.String(), text: x.text[start:x.at]}
				x.space()
				return e, nil
			}
			j.parts = append(j.parts, &constant{v: b.String()})
			j.text = x.text[start:x.at]
			x.space()
			return j, nil
		case c == '\\' && !raw:
			if err := x.escape(&b); err != nil {
				return nil, err
			}
		case !raw && strings.HasPrefix(x.text[x.at:], "${"):
			end, err := closing(x.text, x.at+2, '}')
			if err != nil {
				return nil, x.wrong("} is missing")
			}
			inner := &expr{p: x.p, text: x.text[x.at+2 : end], base: x.base + x.at + 2, depth: x.depth}
			inner.space()
			e, err := inner.expression()
			if err == nil && !inner.done() {
				err = inner.wrong("%q is not expected here", inner.rest())
			}
			if err != nil {
				return nil, err
			}
			j.parts = append(j.parts, &constant{v: b.String()}, e)
			b.Reset()
			x.at = end + 1
		default:
			b.WriteByte(c)
			x.at++
		}
	}
}

var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'f': "\f", 'b': "\b", 'g': ">", 'l': "<", 'a': "&", '"': "\"", '\'': "'", '\\': "\\", '{': "{", '=': "="}

func (x *expr) escape(b *strings.Builder) error {
	if x.at+1 >= len(x.text) {
		return x.wrong("a text is not closed")
	}
	c := x.text[x.at+1]
	if s, ok := escapes[c]; ok {
		b.WriteString(s)
		x.at += 2
		return nil
	}
	if c != 'x' {
		return x.wrong("\\%c is no escape", c)
	}
	end, r := x.at+2, rune(0)
	for end < len(x.text) && end < x.at+6 {
		d := strings.IndexByte("0123456789abcdef", x.text[end]|0x20)
		if d < 0 || x.text[end]|0x20 == 0x30 && x.text[end] != '0' {
			break
		}
		r = r<<4 | rune(d)
		end++
	}
	if end == x.at+2 {
		return x.wrong("\\x needs a code")
	}
	b.WriteRune(r)
	x.at = end
	return nil
}
