package websocket

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
)

// Bounds of what a client says in sluice.v1. They are ours; a frame as a whole has Limits.MaxFrame.
const (
	maxRef     = 64   // bytes of a publish's ref
	maxSeqs    = 1024 // of one ack
	maxHeaders = 128  // header values of one publish
	maxQuoted  = 32   // bytes of a client's name that an error repeats
)

// request is one frame of a client in sluice.v1. Its byte slices are valid until the next decode.
type request struct {
	kind     string
	fields   field // those that were given
	through  uint64
	seqs     []uint64
	messages uint64
	ref      []byte
	content  []byte // nil: null
	key      []byte
	headers  []requestHeader

	text []byte // memory of what had to be unescaped; where it grows, what points into the old stays valid
	in   []byte
	at   int
}

type requestHeader struct{ name, value []byte }

// field is a set of members of a request.
type field uint16

const (
	fieldType field = 1 << iota
	fieldThrough
	fieldSeqs
	fieldMessages
	fieldRef
	fieldContent
	fieldContentBase64
	fieldKey
	fieldKeyBase64
	fieldHeaders
	fieldHeadersBase64
)

// fieldNames are the members, in the order of their bits.
var fieldNames = [...]string{"type", "through", "seqs", "messages", "ref", "content", "contentBase64", "key", "keyBase64", "headers",
	"headersBase64"}

// Types of requests.
const (
	kindAck     = "ack"
	kindCredit  = "credit"
	kindPublish = "publish"
)

// shape says which members a type has. Of choice exactly one must be there.
type shape struct {
	required, choice, optional field
	choiceText                 string
}

var shapes = map[string]shape{
	kindAck:    {choice: fieldThrough | fieldSeqs, choiceText: "exactly one of through and seqs is needed"},
	kindCredit: {required: fieldMessages},
	kindPublish: {required: fieldRef, choice: fieldContent | fieldContentBase64, optional: fieldKey | fieldKeyBase64 | fieldHeaders | fieldHeadersBase64,
		choiceText: "exactly one of content and contentBase64 is needed"},
}

// decode reads a frame, which is UTF-8. An error is a *closing: 1007 for what is not the JSON it should be, 1008 for what is,
// and breaks a rule all the same.
func (q *request) decode(in []byte) *closing {
	*q = request{in: in, text: q.text[:0], seqs: q.seqs[:0], headers: q.headers[:0]}
	if cap(q.text) < len(in) { // nothing is longer unescaped
		q.text = make([]byte, 0, len(in))
	}
	if bad := q.object(q.member); bad != nil {
		return bad
	}
	if q.space(); q.at < len(in) {
		return q.syntax("nothing may follow the object")
	}
	return q.check()
}

// trim gives back memory that one large frame made necessary.
func (q *request) trim() {
	if cap(q.text) > maxKeptText {
		q.text = nil
	}
	q.in, q.ref, q.content, q.key = nil, nil, nil, nil
	clear(q.headers)
}

// maxKeptText is how much memory for text an idle connection keeps, in bytes.
const maxKeptText = 4 << 10

func (q *request) check() *closing {
	if q.fields&fieldType == 0 {
		return invalid("/type", "is missing")
	}
	s, known := shapes[q.kind]
	if !known {
		return violation("/type", "is not one of ack, credit, publish")
	}
	given := q.fields &^ fieldType
	if missing := s.required &^ given; missing != 0 {
		return violation("/"+missing.name(), "is missing")
	}
	if foreign := given &^ (s.required | s.choice | s.optional); foreign != 0 {
		return violation("/"+foreign.name(), "does not belong to "+q.kind)
	}
	if chosen := given & s.choice; s.choice != 0 && (chosen == 0 || chosen&(chosen-1) != 0) {
		return violation("", s.choiceText)
	}
	if given&fieldKey != 0 && given&fieldKeyBase64 != 0 {
		return violation("", "only one of key and keyBase64 may be given")
	}
	return nil
}

// name returns the name of the first member of the set.
func (f field) name() string {
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			return name
		}
	}
	return ""
}

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

func (q *request) member(name []byte) (bad *closing) {
	f := fieldOf(name)
	switch {
	case f == 0:
		return violation("", "unknown field "+quote(name))
	case q.fields&f != 0:
		return violation("/"+f.name(), "is given twice")
	}
	q.fields |= f
	switch f {
	case fieldType:
		var kind []byte
		kind, bad = q.string()
		q.kind = kindOf(kind)
	case fieldThrough:
		q.through, bad = q.number()
	case fieldMessages:
		q.messages, bad = q.number()
	case fieldSeqs:
		bad = q.array(q.seq)
	case fieldRef:
		if q.ref, bad = q.string(); bad == nil && (len(q.ref) == 0 || len(q.ref) > maxRef) {
			bad = violation("/ref", "must have 1 to 64 bytes")
		}
	case fieldContent:
		if !q.null() {
			q.content, bad = q.string()
		}
	case fieldContentBase64:
		q.content, bad = q.base64()
	case fieldKey:
		q.key, bad = q.string()
	case fieldKeyBase64:
		q.key, bad = q.base64()
	case fieldHeaders, fieldHeadersBase64:
		bad = q.headerFields(f == fieldHeadersBase64)
	}
	return bad.in("/" + f.name())
}

func (q *request) seq() *closing {
	if len(q.seqs) == maxSeqs {
		return violation("", "has more than 1024 elements")
	}
	n, bad := q.number()
	q.seqs = append(q.seqs, n)
	return bad
}

func (q *request) headerFields(encoded bool) *closing {
	return q.object(func(name []byte) *closing {
		if len(name) == 0 {
			return violation("", "a header has no name")
		}
		return q.array(func() (bad *closing) {
			if len(q.headers) == maxHeaders {
				return violation("", "has more than 128 values")
			}
			var value []byte
			if encoded {
				value, bad = q.base64()
			} else {
				value, bad = q.string()
			}
			q.headers = append(q.headers, requestHeader{name, value})
			return bad
		})
	})
}

func fieldOf(name []byte) field {
	for i, n := range fieldNames {
		if string(name) == n {
			return 1 << i
		}
	}
	return 0
}

// kindOf returns the type without allocating it; "" for an unknown one.
func kindOf(name []byte) string {
	switch string(name) {
	case kindAck:
		return kindAck
	case kindCredit:
		return kindCredit
	case kindPublish:
		return kindPublish
	}
	return ""
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

// syntax is what is wrong with the JSON at the present place.
func (q *request) syntax(text string) *closing {
	return &closing{code: codeInvalidData, reason: "byte " + strconv.Itoa(q.at) + ": " + text, key: keyInvalidFrame, fault: true}
}

// invalid is a value that is not of its type. pointer says where.
func invalid(pointer, text string) *closing {
	return (&closing{code: codeInvalidData, reason: text, key: keyInvalidFrame, fault: true}).in(pointer)
}

// violation is a frame that breaks a rule of sluice.v1.
func violation(pointer, text string) *closing {
	return (&closing{code: codePolicy, reason: text, key: keyViolation, fault: true}).in(pointer)
}

// in says where a value is that was found wrong.
func (c *closing) in(pointer string) *closing {
	if c != nil && pointer != "" && (c.reason == "" || c.reason[0] != '/') {
		c.reason = pointer + ": " + c.reason
	}
	return c
}

// quote makes a client's name fit for an error.
func quote(name []byte) string {
	if len(name) > maxQuoted {
		name = name[:runeEnd(name, maxQuoted)]
	}
	return string(httpfront.AppendJSONString(nil, name))
}

// runeEnd returns the last end of a character in b that is not behind most.
func runeEnd[T string | []byte](b T, most int) int {
	if len(b) <= most {
		return len(b)
	}
	for most > 0 && !utf8.RuneStart(b[most]) {
		most--
	}
	return most
}
