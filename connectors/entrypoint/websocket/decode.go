package websocket

import (
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
