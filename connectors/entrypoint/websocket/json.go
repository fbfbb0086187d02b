package websocket

import (
	"encoding/base64"
	"math"
	"unicode/utf8"
)

// object reads an object and has member read each value.
func (q *request) object(member func(name []byte) *closing) *closing {
	if q.space(); !q.eat('{') {
		return q.syntax("an object is expected")
	}
	if q.space(); q.eat('}') {
		return nil
	}
	for {
		q.space()
		name, bad := q.string()
		if bad != nil {
			return bad
		}
		if q.space(); !q.eat(':') {
			return q.syntax("a colon is expected")
		}
		q.space()
		if bad := member(name); bad != nil {
			return bad
		}
		switch q.space(); {
		case q.eat(','):
		case q.eat('}'):
			return nil
		default:
			return q.syntax("a comma or the object's end is expected")
		}
	}
}

// array reads an array and has element read each.
func (q *request) array(element func() *closing) *closing {
	if !q.eat('[') {
		return q.syntax("an array is expected")
	}
	if q.space(); q.eat(']') {
		return nil
	}
	for {
		q.space()
		if bad := element(); bad != nil {
			return bad
		}
		switch q.space(); {
		case q.eat(','):
		case q.eat(']'):
			return nil
		default:
			return q.syntax("a comma or the array's end is expected")
		}
	}
}

func (q *request) space() {
	for q.at < len(q.in) {
		switch q.in[q.at] {
		case ' ', '\t', '\n', '\r':
			q.at++
		default:
			return
		}
	}
}

func (q *request) eat(c byte) bool {
	if q.at < len(q.in) && q.in[q.at] == c {
		q.at++
		return true
	}
	return false
}

func (q *request) null() bool {
	const null = "null"
	if len(q.in)-q.at >= len(null) && string(q.in[q.at:q.at+len(null)]) == null {
		q.at += len(null)
		return true
	}
	return false
}

// number reads a whole number that is not negative.
func (q *request) number() (uint64, *closing) {
	start := q.at
	var n uint64
	for ; q.at < len(q.in) && q.in[q.at] >= '0' && q.in[q.at] <= '9'; q.at++ {
		if n > (math.MaxInt64-9)/10 {
			return 0, invalid("", "is too large")
		}
		n = n*10 + uint64(q.in[q.at]-'0')
	}
	digits := q.at - start
	if digits == 0 || digits > 1 && q.in[start] == '0' || q.at < len(q.in) && (q.in[q.at] == '.' || q.in[q.at]|0x20 == 'e') {
		return 0, q.syntax("a whole number is expected")
	}
	return n, nil
}

// string reads a string. The result is part of the input where nothing in it is escaped. It is never nil.
func (q *request) string() ([]byte, *closing) {
	if !q.eat('"') {
		return nil, q.syntax("a string is expected")
	}
	start := q.at
	for ; q.at < len(q.in); q.at++ {
		switch c := q.in[q.at]; {
		case c == '"':
			q.at++
			return q.in[start : q.at-1 : q.at-1], nil
		case c == '\\':
			return q.escaped(start)
		case c < ' ':
			return nil, q.syntax("a control character must be escaped")
		}
	}
	return nil, q.syntax("a string has no end")
}

// escaped reads on in a string that began at start, from its first backslash.
func (q *request) escaped(start int) ([]byte, *closing) {
	begun := len(q.text)
	q.text = append(q.text, q.in[start:q.at]...)
	for q.at < len(q.in) {
		c := q.in[q.at]
		q.at++
		switch {
		case c == '"':
			return q.text[begun:len(q.text):len(q.text)], nil
		case c < ' ':
			return nil, q.syntax("a control character must be escaped")
		case c != '\\':
			q.text = append(q.text, c)
			continue
		}
		if q.at == len(q.in) {
			break
		}
		c = q.in[q.at]
		q.at++
		switch c {
		case '"', '\\', '/':
			q.text = append(q.text, c)
		case 'b':
			q.text = append(q.text, '\b')
		case 'f':
			q.text = append(q.text, '\f')
		case 'n':
			q.text = append(q.text, '\n')
		case 'r':
			q.text = append(q.text, '\r')
		case 't':
			q.text = append(q.text, '\t')
		case 'u':
			r, ok := q.unicode()
			if !ok {
				return nil, q.syntax("\\u is not followed by a character")
			}
			q.text = utf8.AppendRune(q.text, r)
		default:
			return nil, q.syntax("an unknown character is escaped")
		}
	}
	return nil, q.syntax("a string has no end")
}

// unicode reads what follows \u; half a surrogate pair is no character.
func (q *request) unicode() (rune, bool) {
	r, ok := q.hex()
	if !ok || r >= 0xDC00 && r <= 0xDFFF {
		return 0, false
	}
	if r < 0xD800 || r > 0xDBFF {
		return r, true
	}
	if !q.eat('\\') || !q.eat('u') {
		return 0, false
	}
	low, ok := q.hex()
	if !ok || low < 0xDC00 || low > 0xDFFF {
		return 0, false
	}
	return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, true
}

func (q *request) hex() (rune, bool) {
	if len(q.in)-q.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range q.in[q.at : q.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	q.at += 4
	return r, true
}

func (q *request) base64() ([]byte, *closing) {
	encoded, bad := q.string()
	if bad != nil {
		return nil, bad
	}
	begun := len(q.text)
	out, err := base64.StdEncoding.Strict().AppendDecode(q.text, encoded)
	if err != nil {
		return nil, invalid("", "is not base64")
	}
	q.text = out
	return out[begun:len(out):len(out)], nil
}
