// Package jsonxml is the policy "json-xml" (policies.md 3.5): it makes XML of bodies that are a JSON object.
//
// It runs in the phases request, response, publish and subscribe, whatever the Content-Type; an empty body stays as it is. The
// object stands in the root element. A member becomes an element of its name, an array one element for each item (arrays in an item become
// elements "array"), a member called "content" becomes text. There are no attributes and no XML declaration, and members
// stay in the order of the document. The charset is read from the body's or the message's own Content-Type, UTF-8 where there is none;
// the result is UTF-8 with Content-Type: application/xml;charset=UTF-8 and its Content-Length.
//
// What is no JSON object, or is more than 100 levels deep, is a failure: JSON_INVALID_PAYLOAD with status 400 for requests and 500 for
// answers, JSON_INVALID_MESSAGE_PAYLOAD with 400 on publish and 500 on subscribe. So is a member whose name is no name of an element,
// for which the reference writes what is no XML. A document may have 16 MiB.
//
// No library writes this form, which is that of the Java library org.json; it is held against that library.
package jsonxml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of json-xml.
type Config struct {
	// RootElement is the name of the element around all others. Default root.
	RootElement string `json:"rootElement"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "json-xml",
	Name:    "JSON to XML",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{RootElement: "root"},
	Compile: compile,
}

// maxDepth is the reference's default of policy.json-xml.maxdepth.
const maxDepth = 100

// rootName is what the reference allows as a root element.
var rootName = regexp.MustCompile(`^[a-z:_A-Z]+[a-zA-Z0-9:\-_]*$`)

var failures = map[policies.Phase]message.Failure{
	policies.Request:   {Status: fasthttp.StatusBadRequest, Key: "JSON_INVALID_PAYLOAD", Message: "Unable to transform invalid JSON payload to XML"},
	policies.Response:  {Status: fasthttp.StatusInternalServerError, Key: "JSON_INVALID_PAYLOAD", Message: "Unable to transform invalid JSON payload to XML"},
	policies.Publish:   {Status: fasthttp.StatusBadRequest, Key: "JSON_INVALID_MESSAGE_PAYLOAD", Message: "Unable to transform invalid JSON message to XML"},
	policies.Subscribe: {Status: fasthttp.StatusInternalServerError, Key: "JSON_INVALID_MESSAGE_PAYLOAD", Message: "Unable to transform invalid JSON message to XML"},
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := Config{RootElement: "root"}
	problems := settings.Decode(cfg, &c)
	if !rootName.MatchString(c.RootElement) {
		problems = append(problems, settings.Invalid("/rootElement", "must be the name of an element: letters, digits, colons, hyphens and underscores, and first a letter, a colon or an underscore"))
	}
	failure := failures[env.Phase]
	return &body.Policy{
		Work: func(_ context.Context, _ *policies.Context, in body.Input) ([]byte, bool, error) {
			return convert(in, c.RootElement)
		},
		Fail:        func(err error) error { f := failure; f.Err = err; return &f },
		ContentType: "application/xml;charset=UTF-8",
		Length:      true,
		Does:        policies.Traits{Shared: true},
	}, problems
}

func convert(in body.Input, root string) ([]byte, bool, error) {
	text, err := body.UTF8(in.Content, in.ContentType)
	if err != nil {
		return nil, false, err
	}
	doc, err := jsondoc.Parse(text)
	if err != nil {
		return nil, false, err
	}
	o, ok := doc.(*jsondoc.Object)
	if !ok {
		return nil, false, errors.New("the document is not an object")
	}
	w := writer{out: make([]byte, 0, 2*len(text))}
	err = w.element(root, o, 0)
	return w.out, true, err
}

type writer struct{ out []byte }

func (w *writer) tag(before, name, after string) {
	w.out = append(append(append(w.out, before...), name...), after...)
}

// element writes a value that is no array.
func (w *writer) element(name string, v any, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("the document is more than %d levels deep", maxDepth)
	case len(w.out) > body.MaxResult:
		return fmt.Errorf("the result has more than %d bytes", body.MaxResult)
	}
	o, ok := v.(*jsondoc.Object)
	if !ok {
		text := plain(v)
		if text == "" {
			w.tag("<", name, "/>")
			return nil
		}
		w.tag("<", name, ">")
		w.text(text)
		w.tag("</", name, ">")
		return nil
	}
	w.tag("<", name, ">")
	for i := range o.Len() {
		if err := w.member(o.At(i), depth); err != nil {
			return err
		}
	}
	w.tag("</", name, ">")
	return nil
}

// textMember is the member that becomes text.
const textMember = "content"

func (w *writer) member(m jsondoc.Member, depth int) error {
	list, isList := m.Value.(*jsondoc.Array)
	if m.Name == textMember {
		if !isList {
			list = jsondoc.NewArray(m.Value)
		}
		for i, item := range list.Items {
			if i > 0 {
				w.out = append(w.out, '\n')
			}
			switch item.(type) {
			case *jsondoc.Object, *jsondoc.Array:
				text, err := jsondoc.Append(nil, item)
				if err != nil {
					return err
				}
				w.text(string(text))
			default:
				w.text(plain(item))
			}
		}
		return nil
	}
	if !isName(m.Name) {
		return fmt.Errorf("the member %.40q cannot be an element: its name is none", m.Name)
	}
	if isList {
		return w.items(m.Name, list, depth+1)
	}
	return w.element(m.Name, m.Value, depth+1)
}

// items writes the items of a member. Arrays among them are wrapped once, and flat within, as org.json has it.
func (w *writer) items(name string, list *jsondoc.Array, depth int) error {
	for _, item := range list.Items {
		inner, ok := item.(*jsondoc.Array)
		if !ok {
			if err := w.element(name, item, depth); err != nil {
				return err
			}
			continue
		}
		w.tag("<", name, ">")
		if err := w.flat(inner, depth+1); err != nil {
			return err
		}
		w.tag("</", name, ">")
	}
	return nil
}

func (w *writer) flat(list *jsondoc.Array, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("the document is more than %d levels deep", maxDepth)
	}
	for _, item := range list.Items {
		var err error
		if inner, ok := item.(*jsondoc.Array); ok {
			err = w.flat(inner, depth+1)
		} else {
			err = w.element("array", item, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plain is the text of a value that is neither object nor array.
func plain(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case int32:
		return strconv.Itoa(int(x))
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return jsondoc.FormatDouble(x)
	case jsondoc.Number:
		return string(x)
	}
	return ""
}

// isName tells whether a text is a name of XML 1.0 (section 2.3).
func isName(s string) bool {
	for i, r := range s {
		start := r == ':' || r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= 0xC0 && r != 0xD7 && r != 0xF7 && r != 0x37E &&
			(r < 0x300 || r > 0x36F) && (r < 0x2000 || r > 0x206F) && r < 0xF0000 && (r < 0xD800 || r > 0xF8FF) && r != 0xFFFE && r != 0xFFFF && r != utf8.RuneError
		if !start && (i == 0 || r != '-' && r != '.' && (r < '0' || r > '9') && r != 0xB7 && (r < 0x300 || r > 0x36F) && r != 0x203F && r != 0x2040) {
			return false
		}
	}
	return s != ""
}

// text writes a text with what XML needs escaped. Control characters are written as references, as org.json does, those that no XML
// document may hold as well.
func (w *writer) text(s string) {
	for _, r := range s {
		switch {
		case r == '&':
			w.out = append(w.out, "&amp;"...)
		case r == '<':
			w.out = append(w.out, "&lt;"...)
		case r == '>':
			w.out = append(w.out, "&gt;"...)
		case r == '"':
			w.out = append(w.out, "&quot;"...)
		case r == '\'':
			w.out = append(w.out, "&apos;"...)
		case r < ' ', r >= 0x7f && r <= 0x9f, r == 0xfffe, r == 0xffff:
			w.out = append(strconv.AppendInt(append(w.out, "&#x"...), int64(r), 16), ';')
		default:
			w.out = utf8.AppendRune(w.out, r)
		}
	}
}
