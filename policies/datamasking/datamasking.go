// Package datamasking is the policy "data-masking", an addition of Sluice: it masks parts of requests, answers and messages, so that
// whoever is behind it never sees them.
//
// It runs in the phases request, response, publish and subscribe. A rule names a place, a kind of text, or both: with a path
// alone every value there is masked; with a type or a regex as well, what they match within those values; with a type or regex
// alone, what they match anywhere in the content. A path that begins with $ is a JSONPath (members, indexes, * and .., no
// filters), one that begins with / an XPath. Header rules mask whole headers.
//
// A replacer of one character takes the place of each character that is masked, so the length stays; a longer one takes the
// place of the whole. keepLast leaves the last characters as they are. In JSON everything that is not masked stays byte for byte;
// numbers and booleans that are masked become texts, null stays null; of objects and lists all that is in them is masked. XML is
// written anew.
//
// Content that a path's rule cannot read, since it is not JSON or not XML, is refused with 500 DATA_MASKING_FAILURE, so that
// nothing gets through unmasked by being malformed; with onInvalidContent KEEP those rules are passed over. Empty content is left alone. On
// subscribe the step runs once per message for all subscribers.
package datamasking

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of data-masking.
type Config struct {
	// Rules mask content. At least one of Rules and HeaderRules is required.
	Rules []Rule `json:"rules"`
	// HeaderRules mask headers.
	HeaderRules []HeaderRule `json:"headerRules"`
	// OnInvalidContent is FAIL or KEEP: what becomes of content that a rule's path cannot read. Default FAIL.
	OnInvalidContent string `json:"onInvalidContent"`
}

// Rule masks parts of content.
type Rule struct {
	// Path is a JSONPath, which begins with $, or an XPath, which begins with /. Default: the whole content, as text.
	Path string `json:"path"`
	// Type is CREDIT_CARD, EMAIL, IP, URI or CUSTOM, which is what Regex says. Default: CUSTOM with Regex, else everything at Path.
	Type string `json:"type"`
	// Regex is what is masked (RE2). Required for CUSTOM.
	Regex string `json:"regex"`
	// Replacer takes the place of each character, or where it is longer than one, of the whole. Default *.
	Replacer string `json:"replacer"`
	// KeepLast leaves so many characters at the end of what is masked. Default 0.
	KeepLast int `json:"keepLast"`
}

// HeaderRule masks the values of a header.
type HeaderRule struct {
	// Path is the name of the header, whatever its case. Required.
	Path string `json:"path"`
	// Replacer is as in Rule.
	Replacer string `json:"replacer"`
	// KeepLast is as in Rule.
	KeepLast int `json:"keepLast"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "data-masking",
	Name:    "Data Masking",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{OnInvalidContent: failOnInvalid},
	Compile: compile,
}

const (
	failOnInvalid = "FAIL"
	keepInvalid   = "KEEP"
)

type policy struct {
	json    []*rule // with a JSONPath, all in one pass
	xml     []*rule
	text    []*rule
	headers []header
	lenient bool
}

type header struct {
	name string
	mask
}

// rule is a Rule, compiled.
type rule struct {
	mask
	match *regexp.Regexp         // nil: everything
	is    func(text []byte) bool // whether a match is meant; nil: all are
	path  []segment
	xpath *places
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := &Config{OnInvalidContent: failOnInvalid}
	problems := settings.Decode(cfg, c)
	p := &policy{lenient: c.OnInvalidContent == keepInvalid}
	if c.OnInvalidContent != failOnInvalid && c.OnInvalidContent != keepInvalid {
		problems = append(problems, settings.Invalid("/onInvalidContent", "must be FAIL or KEEP"))
	}
	if len(c.Rules)+len(c.HeaderRules) == 0 {
		problems = append(problems, settings.Invalid("/rules", "is required: what is masked"))
	}
	for i := range c.Rules {
		problems = append(problems, p.add(fmt.Sprintf("/rules/%d", i), &c.Rules[i])...)
	}
	for i, h := range c.HeaderRules {
		at := fmt.Sprintf("/headerRules/%d", i)
		if strings.TrimSpace(h.Path) == "" {
			problems = append(problems, settings.Invalid(at+"/path", "is required: the name of a header"))
		}
		m, more := newMask(at, h.Replacer, h.KeepLast)
		problems = append(problems, more...)
		p.headers = append(p.headers, header{h.Path, m})
	}
	return p, problems
}

func (p *policy) add(at string, r *Rule) (problems apidef.Problems) {
	fail := func(name, text string) { problems = append(problems, settings.Invalid(at+name, text)) }
	out := &rule{}
	out.mask, problems = newMask(at, r.Replacer, r.KeepLast)
	switch kind := strings.ToUpper(r.Type); {
	case kind == "" && r.Regex == "":
		if r.Path == "" {
			fail("/path", "is required where there is neither a type nor a regex")
		}
	case kind == "" || kind == "CUSTOM":
		var err error
		if r.Regex == "" {
			fail("/regex", "is required for CUSTOM")
		} else if out.match, err = regexp.Compile(r.Regex); err != nil {
			fail("/regex", "is no regular expression (RE2): "+err.Error())
		}
	case kinds[kind].match == nil:
		fail("/type", "must be one of: CREDIT_CARD, CUSTOM, EMAIL, IP, URI")
	default:
		out.match, out.is = kinds[kind].match, kinds[kind].is
	}
	var err error
	switch {
	case r.Path == "":
		p.text = append(p.text, out)
	case r.Path[0] == '$':
		if out.path, err = parsePath(r.Path); err != nil {
			fail("/path", "is no JSONPath that is served: "+err.Error())
		}
		p.json = append(p.json, out)
	case r.Path[0] == '/':
		if out.xpath, err = parseXPath(r.Path); err != nil {
			fail("/path", "is no XPath: "+err.Error())
		}
		p.xml = append(p.xml, out)
	default:
		fail("/path", "must begin with $ (JSONPath) or / (XPath)")
	}
	return problems
}

// mask is how something is masked.
type mask struct {
	replacer string
	each     bool // it takes the place of each character
	keep     int
}

func newMask(at, replacer string, keep int) (mask, apidef.Problems) {
	if replacer == "" {
		replacer = "*"
	}
	m := mask{replacer, utf8.RuneCountInString(replacer) == 1, keep}
	if keep < 0 {
		return m, apidef.Problems{settings.Invalid(at+"/keepLast", "must be 0 or more")}
	}
	return m, nil
}

// append appends what comes of text. Of a text that is no longer than what is kept nothing is kept.
func (m *mask) append(dst, text []byte) []byte {
	n := utf8.RuneCount(text)
	keep := m.keep
	if keep >= n {
		keep = 0
	}
	if !m.each {
		dst = append(dst, m.replacer...)
	} else {
		for range n - keep {
			dst = append(dst, m.replacer...)
		}
	}
	from := len(text)
	for range keep {
		_, size := utf8.DecodeLastRune(text[:from])
		from -= size
	}
	return append(dst, text[from:]...)
}

// of is what the rule makes of a text; ok false: nothing of it is masked.
func (r *rule) of(text []byte) (out []byte, ok bool) {
	if r.match == nil {
		return r.append(nil, text), true
	}
	last := 0
	for _, at := range r.match.FindAllIndex(text, -1) {
		if at[0] == at[1] || r.is != nil && !r.is(text[at[0]:at[1]]) {
			continue
		}
		out = r.append(append(out, text[last:at[0]]...), text[at[0]:at[1]])
		last, ok = at[1], true
	}
	return append(out, text[last:]...), ok
}

// content masks content; changed false: there was nothing to mask.
func (p *policy) content(b []byte) (out []byte, changed bool, err error) {
	if len(b) == 0 {
		return b, false, nil
	}
	out = b
	for _, by := range []struct {
		rules []*rule
		mask  func([]byte, []*rule) ([]byte, bool, error)
	}{{p.json, maskJSON}, {p.xml, maskXML}} {
		if len(by.rules) == 0 {
			continue
		}
		made, masked, err := by.mask(out, by.rules)
		switch {
		case err != nil && !p.lenient:
			return nil, false, &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "DATA_MASKING_FAILURE", Message: "Unable to mask the content", Err: err}
		case err == nil && masked:
			out, changed = made, true
		}
	}
	for _, r := range p.text {
		if made, masked := r.of(out); masked {
			out, changed = made, true
		}
	}
	return out, changed, nil
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits { return policies.Traits{Shared: true} }

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	out, changed, err := p.content(m.Content)
	if err != nil {
		return err
	}
	if changed {
		m.Content = out
		c.Changed()
	}
	copied := false
	for i := range p.headers {
		h := &p.headers[i]
		for j := range m.Headers {
			if !strings.EqualFold(m.Headers[j].Name, h.name) {
				continue
			}
			if !copied {
				m.Headers, copied = slices.Clone(m.Headers), true
			}
			m.Headers[j].Value = h.append(nil, m.Headers[j].Value)
		}
	}
	return nil
}

// fields is what requests and answers have in common.
type fields interface {
	PeekAll(name string) [][]byte
	Del(name string)
	AddBytesV(name string, value []byte)
}

func (p *policy) fields(f fields) {
	for i := range p.headers {
		h := &p.headers[i]
		var masked [][]byte
		for _, v := range f.PeekAll(h.name) {
			masked = append(masked, h.append(nil, v))
		}
		if len(masked) > 0 {
			f.Del(h.name)
		}
		for _, v := range masked {
			f.AddBytesV(h.name, v)
		}
	}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	out, changed, err := p.content(r.Body())
	if err != nil {
		return err
	}
	if changed {
		r.SetBody(out)
		c.Changed()
	}
	p.fields(&r.Header)
	return nil
}

// OnResponse implements policies.ResponsePolicy. Of a stream the headers are masked: its content is its messages.
func (p *policy) OnResponse(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Response
	p.fields(&r.Header)
	if c.Streaming {
		return nil
	}
	out, changed, err := p.content(r.Body())
	if err != nil {
		return err
	}
	if changed {
		r.SetBody(out)
		c.Changed()
	}
	return nil
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
