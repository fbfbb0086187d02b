package apidef

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// kind is what a value of a document is.
type kind uint8

const (
	nullKind kind = iota
	flagKind
	numberKind
	textKind
	listKind
	objectKind
)

// String names a kind for the reader of an error.
func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a text", "a list", "an object"}[k]
}

// node is one value of a document, the same from JSON and from YAML. Numbers keep their literal, so that no digit of
// an opaque configuration is lost on the way through.
type node struct {
	kind         kind
	text         string   // a text's value, a number's literal, true or false
	items        []*node  // of a list
	entries      []*entry // of an object, in the document's order
	line, column int      // where it starts, from 1; 0 where it was made here
}

// entry is one member of an object.
type entry struct {
	name  string
	value *node
	from  string // its pointer where it was moved here from elsewhere in the document; else ""
}

// place is where the entry stands, given where its object does and what the normal form calls it.
func (e *entry) place(object place, name string) place {
	at := object.member(e.name, name)
	if e.from != "" {
		at.from = e.from
	}
	return at
}

func textNode(s string) *node   { return &node{kind: textKind, text: s} }
func numberNode(s string) *node { return &node{kind: numberKind, text: s} }

func flagNode(v bool) *node {
	if v {
		return &node{kind: flagKind, text: "true"}
	}
	return &node{kind: flagKind, text: "false"}
}

// get is the member called name, or nil. Asked of anything but an object it is nil as well.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.name == name {
			return e.value
		}
	}
	return nil
}

// set appends a member where there is a value for it.
func (n *node) set(name string, value *node) {
	if value != nil {
		n.entries = append(n.entries, &entry{name: name, value: value})
	}
}

// raw is the node as compact JSON, members in their order.
func (n *node) raw() json.RawMessage { return n.appendJSON(nil) }

func (n *node) appendJSON(dst []byte) []byte {
	switch n.kind {
	case nullKind:
		return append(dst, "null"...)
	case flagKind, numberKind:
		return append(dst, n.text...)
	case textKind:
		return appendText(dst, n.text)
	case listKind:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst)
		}
		return append(dst, ']')
	default:
		dst = append(dst, '{')
		for i, e := range n.entries {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, e.name), ':')
			dst = e.value.appendJSON(dst)
		}
		return append(dst, '}')
	}
}

// appendText quotes s as JSON and leaves <, > and & as they are: definitions are full of them and no browser sees them.
func appendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("apidef: a string has no JSON form: " + err.Error()) // encoding/json has a form for every string
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// sorted is the node with the members of every object in the order of their names: the canonical form that is hashed.
func (n *node) sorted() *node {
	c := &node{kind: n.kind, text: n.text}
	for _, item := range n.items {
		c.items = append(c.items, item.sorted())
	}
	for _, e := range n.entries {
		c.entries = append(c.entries, &entry{name: e.name, value: e.value.sorted()})
	}
	slices.SortStableFunc(c.entries, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return c
}

// locate follows a pointer as far as it leads. It returns the places taken on the way, by which problems are put in
// document order, and the last node reached: a missing member is where its object is.
func (n *node) locate(pointer string) (path []int, last *node) {
	last = n
	for _, token := range tokens(pointer) {
		i, next := last.step(token)
		if next == nil {
			break
		}
		path, last = append(path, i), next
	}
	return path, last
}

func (n *node) step(token string) (int, *node) {
	for i, e := range n.entries {
		if e.name == token {
			return i, e.value
		}
	}
	if i, err := strconv.Atoi(token); err == nil && 0 <= i && i < len(n.items) {
		return i, n.items[i]
	}
	return 0, nil
}
