// Package xmljson is the policy "xml-json" (policies.md 3.6): it makes JSON of bodies that are XML.
//
// It runs in the phases request, response, publish and subscribe, whatever the Content-Type; an empty body stays as it is.
// Elements and attributes become members, under their names with prefixes, in the order of the document; elements of one name beside
// each other become an array; text beside other things becomes the member "content", and an element of text alone is that text; an empty
// element is an empty text. Texts that look like numbers, booleans or null are such. The charset is read from the body's or the
// message's own Content-Type, UTF-8 where there is none. The result has Content-Type: application/json;charset=UTF-8.
//
// What is no XML, has no element or is more than 100 levels deep is a failure: XML_INVALID_PAYLOAD with status 400 for requests and 500
// for answers, XML_INVALID_MESSAGE_PAYLOAD with 400 on publish and 500 on subscribe. Document types are not read: there are no
// entities but the five of XML, so none can be expanded. A document may have 16 MiB and 1,000,000 elements, attributes and texts.
//
// No library makes this form, which is that of the Java library org.json; it is held against that library.
package xmljson

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of xml-json: there is nothing to choose.
type Config struct {
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "xml-json",
	Name:    "XML to JSON",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

const (
	maxDepth = 100       // the reference's default of policy.xml-json.maxdepth
	maxParts = 1_000_000 // elements, attributes and texts
)

var failures = map[policies.Phase]message.Failure{
	policies.Request:   {Status: fasthttp.StatusBadRequest, Key: "XML_INVALID_PAYLOAD", Message: "Unable to transform invalid XML to Json"},
	policies.Response:  {Status: fasthttp.StatusInternalServerError, Key: "XML_INVALID_PAYLOAD", Message: "Unable to transform invalid XML to Json"},
	policies.Publish:   {Status: fasthttp.StatusBadRequest, Key: "XML_INVALID_MESSAGE_PAYLOAD", Message: "Unable to transform invalid XML message to JSON"},
	policies.Subscribe: {Status: fasthttp.StatusInternalServerError, Key: "XML_INVALID_MESSAGE_PAYLOAD", Message: "Unable to transform invalid XML message to JSON"},
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	failure := failures[env.Phase]
	return &body.Policy{
		Work:        func(_ context.Context, _ *policies.Context, in body.Input) ([]byte, bool, error) { return convert(in) },
		Fail:        func(err error) error { f := failure; f.Err = err; return &f },
		ContentType: "application/json;charset=UTF-8",
		Length:      true,
		Does:        policies.Traits{Shared: true},
	}, problems
}

func convert(in body.Input) ([]byte, bool, error) {
	text, err := body.UTF8(in.Content, in.ContentType)
	if err != nil {
		return nil, false, err
	}
	if len(text) > jsondoc.MaxSize {
		return nil, false, fmt.Errorf("the document has more than %d bytes", jsondoc.MaxSize)
	}
	doc, err := read(text)
	if err != nil {
		return nil, false, err
	}
	out, err := jsondoc.Append(make([]byte, 0, len(text)), doc)
	return out, true, err
}

// reader makes objects of elements. open are those that have not ended, below the document.
type reader struct {
	open  []element
	parts int
}

type element struct {
	name   string
	object *jsondoc.Object
	text   strings.Builder // what came since the last tag or comment
}

func read(text []byte) (any, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	root := new(jsondoc.Object)
	r := &reader{open: []element{{object: root}}}
	for {
		at := d.InputOffset()
		t, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		// The end of <a/> takes nothing of the text.
		if err := r.token(t, d.InputOffset() == at); err != nil {
			return nil, err
		}
	}
	switch {
	case len(r.open) > 1:
		return nil, fmt.Errorf("the element %s is not closed", r.open[len(r.open)-1].name)
	case root.Len() == 0:
		return nil, errors.New("there is no element")
	}
	return root, nil
}

func (r *reader) token(t xml.Token, closed bool) error {
	top := &r.open[len(r.open)-1]
	if _, isText := t.(xml.CharData); !isText {
		if err := r.flush(top); err != nil {
			return err
		}
	}
	switch x := t.(type) {
	case xml.StartElement:
		return r.start(x)
	case xml.EndElement:
		return r.end(top, full(x.Name), closed)
	case xml.CharData:
		if len(r.open) == 1 {
			if len(bytes.TrimSpace(x)) > 0 {
				return errors.New("there is text outside of all elements")
			}
			return nil
		}
		top.text.Write(x)
	}
	return nil
}

// full is a name with its prefix, as it is written.
func full(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

func (r *reader) count() error {
	if r.parts++; r.parts > maxParts {
		return fmt.Errorf("the document has more than %d elements, attributes and texts", maxParts)
	}
	return nil
}

// flush adds the text that came to its element.
func (r *reader) flush(e *element) error {
	text := strings.TrimFunc(e.text.String(), func(c rune) bool { return c <= ' ' })
	e.text.Reset()
	if text == "" {
		return nil
	}
	accumulate(e.object, "content", valueOf(text))
	return r.count()
}

func (r *reader) start(t xml.StartElement) error {
	if len(r.open) > maxDepth {
		return fmt.Errorf("the document is more than %d levels deep", maxDepth)
	}
	o := new(jsondoc.Object)
	for _, a := range t.Attr {
		accumulate(o, full(a.Name), valueOf(a.Value))
		if err := r.count(); err != nil {
			return err
		}
	}
	r.open = append(r.open, element{name: full(t.Name), object: o})
	return r.count()
}

// end closes an element. One that is text alone is that text, other than one that is closed in its own tag.
func (r *reader) end(e *element, name string, closed bool) error {
	if len(r.open) == 1 || e.name != name {
		return fmt.Errorf("</%s> closes nothing", name)
	}
	var v any = e.object
	switch only, _ := e.object.Get("content"); {
	case e.object.Len() == 0:
		v = ""
	case !closed && e.object.Len() == 1 && e.object.At(0).Name == "content":
		v = only
	}
	r.open = r.open[:len(r.open)-1]
	accumulate(r.open[len(r.open)-1].object, name, v)
	return nil
}

// accumulate adds a value to a member, which becomes an array with the second.
func accumulate(o *jsondoc.Object, name string, v any) {
	old, ok := o.Get(name)
	list, isList := old.(*jsondoc.Array)
	switch {
	case ok && isList:
		list.Items = append(list.Items, v)
	case ok:
		o.Set(name, jsondoc.NewArray(old, v))
	default:
		if _, nested := v.(*jsondoc.Array); nested {
			v = jsondoc.NewArray(v)
		}
		o.Set(name, v)
	}
}

// valueOf is what a text looks like.
func valueOf(text string) any {
	switch strings.ToLower(text) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if n, ok := number(text); ok {
		return n
	}
	return text
}

// number is the number that a text is as org.json has it: no zeros at the front, unless there is a fraction or an exponent.
func number(text string) (any, bool) {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || strings.Trim(text, "+-0123456789.eE") != "" {
		return nil, false
	}
	if !strings.ContainsAny(text, ".eE") && text != "-0" {
		if len(digits) > 1 && digits[0] == '0' || strings.ContainsAny(digits, "+-") {
			return nil, false
		}
		return jsondoc.ParseNumber(text), true
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	if _, ok := new(big.Int).SetString(strings.Replace(mantissa, ".", "", 1), 10); !ok {
		return nil, false
	}
	if scientific {
		if e, ok := new(big.Int).SetString(exponent, 10); !ok || e.BitLen() > 31 {
			return nil, false
		}
	}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	out := whole
	if strings.HasPrefix(mantissa, "-") {
		out = "-" + whole
	}
	if fraction != "" {
		out += "." + fraction
	}
	if scientific {
		out += "E" + exponent
	}
	return jsondoc.Number(out), true
}
