package el

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/antchfx/xmlquery"
	"github.com/ohler55/ojg/oj"
)

// Documents keeps the last JSON and the last XML document that was parsed, so that several expressions over one body parse
// it once. It knows a text by its place in memory: whoever owns the scope calls Reset before that memory changes. The zero
// value is ready.
type Documents struct {
	jsonText string
	json     Value
	jsonErr  error
	xmlText  string
	xml      *xmlquery.Node
	xmlErr   error
}

// Reset forgets all documents.
func (d *Documents) Reset() { *d = Documents{} }

// JSON returns text as a value.
func (d *Documents) JSON(text string) (Value, error) {
	if text != "" && sameMemory(d.jsonText, text) {
		return d.json, d.jsonErr
	}
	d.jsonText = text
	d.json, d.jsonErr = parseJSON(text)
	return d.json, d.jsonErr
}

// XML returns text as a tree.
func (d *Documents) XML(text string) (*xmlquery.Node, error) {
	if text != "" && sameMemory(d.xmlText, text) {
		return d.xml, d.xmlErr
	}
	d.xmlText = text
	d.xml, d.xmlErr = parseXML(text)
	return d.xml, d.xmlErr
}

func parseJSON(text string) (v Value, err error) {
	if len(text) > maxDoc {
		return Value{}, faultf(CodeSize, "a document of more than %d bytes", maxDoc)
	}
	b := &jsonBuilder{}
	defer func() {
		// The tokenizer has no way to be told to stop, so the builder panics with why.
		switch r := recover().(type) {
		case nil:
		case *fault:
			v, err = Value{}, r
		default:
			panic(r)
		}
	}()
	if err := oj.Tokenize(viewBytes(text), b); err != nil {
		return Value{}, &fault{code: CodeDocument, text: "the text is not JSON", err: err}
	}
	if b.values == 0 {
		return Value{}, &fault{code: CodeDocument, text: "the text is not JSON", err: errors.New("it is empty")}
	}
	return b.root, nil
}

// jsonBuilder makes values of tokens.
type jsonBuilder struct {
	root   Value
	open   []Value // objects and arrays that have not ended
	keys   []string
	values int
}

func (b *jsonBuilder) add(v Value) {
	if b.values++; b.values > maxDocAll {
		panic(faultf(CodeSize, "a document of more than %d values", maxDocAll))
	}
	if len(b.open) == 0 {
		if b.values > 1 {
			panic(&fault{code: CodeDocument, text: "the text is more than one JSON document"})
		}
		b.root = v
		return
	}
	switch top := b.open[len(b.open)-1].ref.(type) {
	case *Dict:
		top.put(b.keys[len(b.keys)-1], v)
		b.keys = b.keys[:len(b.keys)-1]
	case *valueList:
		*top = append(*top, v)
	}
}

func (b *jsonBuilder) start(v Value) {
	if len(b.open) == maxDocIn {
		panic(faultf(CodeSize, "a document more than %d levels deep", maxDocIn))
	}
	b.add(v)
	b.open = append(b.open, v)
}

// The methods of oj.TokenHandler.

func (b *jsonBuilder) Null()           { b.add(Value{}) }
func (b *jsonBuilder) Bool(x bool)     { b.add(OfBool(x)) }
func (b *jsonBuilder) Int(n int64)     { b.add(OfInt(n)) }
func (b *jsonBuilder) Float(f float64) { b.add(OfDouble(f)) }
func (b *jsonBuilder) Number(s string) { b.add(bigNumber(s)) }
func (b *jsonBuilder) String(s string) { b.add(OfText(s)) }
func (b *jsonBuilder) Key(k string)    { b.keys = append(b.keys, k) }
func (b *jsonBuilder) ObjectStart()    { b.start(OfMap(new(Dict))) }
func (b *jsonBuilder) ObjectEnd()      { b.open = b.open[:len(b.open)-1] }
func (b *jsonBuilder) ArrayStart()     { b.start(OfList(nil)) }
func (b *jsonBuilder) ArrayEnd()       { b.open = b.open[:len(b.open)-1] }

// bigNumber is a number that fits neither a long nor, exactly, a double.
func bigNumber(s string) Value {
	f, err := toDouble(OfText(s))
	if err != nil {
		return OfText(s)
	}
	return OfDouble(f)
}

// parseXML reads a document without its declaration and document type: there are no entities but the five.
func parseXML(text string) (*xmlquery.Node, error) {
	if len(text) > maxDoc {
		return nil, faultf(CodeSize, "a document of more than %d bytes", maxDoc)
	}
	if err := countXML(text); err != nil {
		return nil, err
	}
	doc, err := xmlquery.Parse(strings.NewReader(text))
	if err != nil {
		return nil, &fault{code: CodeDocument, text: "the text is not XML", err: err}
	}
	for n := doc.FirstChild; n != nil; n = n.NextSibling {
		if n.Type == xmlquery.ElementNode {
			return doc, nil
		}
	}
	return nil, &fault{code: CodeDocument, text: "the text is not XML", err: fmt.Errorf("it has no element")}
}

// countXML bounds the tree before it is made. Tags are counted, so that a comment counts for a little.
func countXML(text string) error {
	if n := bytes.Count(viewBytes(text), []byte("<")); n > maxDocAll {
		return faultf(CodeSize, "a document of more than %d values", maxDocAll)
	}
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch {
		case text[i] == '<' && text[i+1] == '/':
			depth--
		case text[i] == '<' && text[i+1] != '!' && text[i+1] != '?':
			depth++
		case text[i] == '/' && text[i+1] == '>':
			depth--
		}
		if depth > maxDocIn {
			return faultf(CodeSize, "a document more than %d levels deep", maxDocIn)
		}
	}
	return nil
}
