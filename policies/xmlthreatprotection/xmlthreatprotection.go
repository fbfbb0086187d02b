// Package xmlthreatprotection is the policy "xml-threat-protection" (policies.md 5.5): request bodies that are no XML, or more of it than
// the limits allow, are refused.
//
// It stands in the request phase and looks at bodies whose Content-Type ends with xml, once and without building them. Entities are never
// expanded here; what expanding them would come to is computed, so that a body which would grow when somebody else reads it is
// refused. Lengths are in characters, of the body as it was sent.
//
// Failures are 400 Bad Request: XML_THREAT_DETECTED for what is malformed, and XML_THREAT_ followed by MAX_LENGTH, MAX_ELEMENTS, MAX_DEPTH,
// MAX_CHILD_ELEMENTS, MAX_ATTRIBUTES, MAX_ATTRIBUTE_VALUE_LENGTH, MAX_TEXT_VALUE_LENGTH, MAX_ENTITIES, MAX_ENTITY_DEPTH or
// EXTERNAL_ENTITY_FORBIDDEN.
package xmlthreatprotection

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of xml-threat-protection. Negative numbers are no limit.
type Config struct {
	// MaxElements is how many elements a document may have. Default 1000.
	MaxElements int `json:"maxElements"`
	// MaxDepth is how deep elements may be nested. Default 100.
	MaxDepth int `json:"maxDepth"`
	// MaxLength is how long the body may be, in characters. Default 1000.
	MaxLength int `json:"maxLength"`
	// MaxAttributesPerElement is how many attributes an element may have. Default 100.
	MaxAttributesPerElement int `json:"maxAttributesPerElement"`
	// MaxAttributeValueLength is how long an attribute's value may be, in characters. Default 100.
	MaxAttributeValueLength int `json:"maxAttributeValueLength"`
	// MaxChildrenPerElement is how many elements an element may have within, next to each other. Default 100.
	MaxChildrenPerElement int `json:"maxChildrenPerElement"`
	// MaxTextValueLength is how long a text may be, in characters. Default 100.
	MaxTextValueLength int `json:"maxTextValueLength"`
	// MaxEntities is how often entities may be expanded. Default 100.
	MaxEntities int `json:"maxEntities"`
	// MaxEntityDepth is how deep entities may refer to each other. Default 100.
	MaxEntityDepth int `json:"maxEntityDepth"`
	// AllowExternalEntities lets documents through that name entities elsewhere. Nothing is loaded either way. Default false.
	AllowExternalEntities bool `json:"allowExternalEntities"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "xml-threat-protection", Name: "XML Threat Protection", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config { return &Config{1000, 100, 1000, 100, 100, 100, 100, 100, 100, false} }

type policy struct{ Config }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	return &policy{*c}, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	if !strings.HasSuffix(string(r.Header.ContentType()), "xml") {
		return nil
	}
	if key, err := p.check(r.Body()); key != "" {
		return &message.Failure{Status: fasthttp.StatusBadRequest, Key: "XML_THREAT_" + key, Message: "Bad Request", Err: err}
	}
	return nil
}

func over(n, limit int) bool { return limit >= 0 && n > limit }

// document is what was seen of one.
type document struct {
	*policy
	elements, texts int
	children        []int // of the open elements
	root            bool
	entities        entities
}

var errNoDocument = errors.New("there is no element, or one is open")

// check reads a document; key is that of the failure without its beginning, empty: all is well.
func (p *policy) check(body []byte) (key string, err error) {
	if over(utf8.RuneCount(body), p.MaxLength) {
		return "MAX_LENGTH", fmt.Errorf("longer than %d", p.MaxLength)
	}
	dec := xml.NewDecoder(bytes.NewReader(body))
	dec.Entity = map[string]string{}
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // markup is ASCII in all that are used
	d := document{policy: p}
	for {
		token, err := dec.Token()
		switch {
		case err == io.EOF && d.root && len(d.children) == 0:
			return d.entities.check(p, body)
		case err == io.EOF:
			return "DETECTED", errNoDocument
		case err != nil:
			return "DETECTED", err
		}
		if key, err := d.token(token, dec); key != "" {
			return key, err
		}
	}
}

func (d *document) token(token xml.Token, dec *xml.Decoder) (key string, err error) {
	switch t := token.(type) {
	case xml.StartElement:
		d.texts = 0
		return d.start(t)
	case xml.EndElement:
		d.texts = 0
		d.children = d.children[:len(d.children)-1]
	case xml.CharData:
		if d.texts += utf8.RuneCount(t); over(d.texts, d.MaxTextValueLength) {
			return "MAX_TEXT_VALUE_LENGTH", fmt.Errorf("a text longer than %d", d.MaxTextValueLength)
		}
	case xml.Directive:
		if key, err := d.entities.declare(d.policy, string(t)); key != "" {
			return key, err
		}
		for name := range d.entities.values {
			dec.Entity[name] = "" // never expanded
		}
	}
	return "", nil
}

func (d *document) start(t xml.StartElement) (key string, err error) {
	d.root = true
	if d.elements++; over(d.elements, d.MaxElements) {
		return "MAX_ELEMENTS", fmt.Errorf("more than %d elements", d.MaxElements)
	}
	if n := len(d.children); n > 0 {
		if d.children[n-1]++; over(d.children[n-1], d.MaxChildrenPerElement) {
			return "MAX_CHILD_ELEMENTS", fmt.Errorf("an element of more than %d", d.MaxChildrenPerElement)
		}
	}
	if d.children = append(d.children, 0); over(len(d.children), d.MaxDepth) {
		return "MAX_DEPTH", fmt.Errorf("deeper than %d", d.MaxDepth)
	}
	if over(len(t.Attr), d.MaxAttributesPerElement) {
		return "MAX_ATTRIBUTES", fmt.Errorf("an element of more than %d attributes", d.MaxAttributesPerElement)
	}
	for _, a := range t.Attr {
		if over(utf8.RuneCountInString(a.Value), d.MaxAttributeValueLength) {
			return "MAX_ATTRIBUTE_VALUE_LENGTH", fmt.Errorf("an attribute longer than %d", d.MaxAttributeValueLength)
		}
	}
	return "", nil
}

// entities are those that a document declares.
type entities struct {
	values map[string]string
	costs  map[string]cost
}

// cost is what one reference comes to.
type cost struct {
	expansions int // 0: being computed
	depth      int
}

var (
	declaration = regexp.MustCompile(`<!ENTITY\s+(%\s+)?([^\s%"'>]+)\s+(?:"([^"]*)"|'([^']*)'|(SYSTEM|PUBLIC)\b)`)
	reference   = regexp.MustCompile(`[&%]([^#;&%\s<>"']+);`)
	external    = regexp.MustCompile(`\A\s*DOCTYPE\s+[^\[\s>]+\s+(SYSTEM|PUBLIC)\b`)
)

// declare reads a document type declaration.
func (e *entities) declare(p *policy, text string) (key string, err error) {
	found := declaration.FindAllStringSubmatch(text, -1)
	if len(found) != strings.Count(text, "<!ENTITY") {
		return "DETECTED", errors.New("a declaration of an entity is malformed")
	}
	if external.MatchString(text) && !p.AllowExternalEntities {
		return "EXTERNAL_ENTITY_FORBIDDEN", errors.New("the document type is elsewhere")
	}
	for _, m := range found {
		if m[5] != "" && !p.AllowExternalEntities {
			return "EXTERNAL_ENTITY_FORBIDDEN", fmt.Errorf("entity %.100q is elsewhere", m[2])
		}
		if e.values == nil {
			e.values = map[string]string{}
		}
		if _, known := e.values[m[2]]; !known { // the first counts (XML 1.0 section 4.2)
			e.values[m[2]] = m[3] + m[4]
		}
	}
	return "", nil
}

// costly is more expansions than any limit.
const costly = 1 << 30

var predefined = map[string]bool{"lt": true, "gt": true, "amp": true, "apos": true, "quot": true}

var errRecursive = errors.New("an entity refers to itself")

// check computes what expanding the entities would come to. References in declarations count once more than needed, which
// errs on the safe side.
func (e *entities) check(p *policy, body []byte) (key string, err error) {
	if len(e.values) == 0 {
		return "", nil
	}
	e.costs = map[string]cost{}
	total := 0
	for _, m := range reference.FindAllSubmatch(body, -1) {
		c, err := e.expand(string(m[1]), 1)
		switch {
		case err != nil:
			return "DETECTED", err
		case over(c.depth, p.MaxEntityDepth):
			return "MAX_ENTITY_DEPTH", fmt.Errorf("entities deeper than %d", p.MaxEntityDepth)
		}
		if total = min(total+c.expansions, costly); over(total, p.MaxEntities) {
			return "MAX_ENTITIES", fmt.Errorf("entities are expanded more than %d times", p.MaxEntities)
		}
	}
	return "", nil
}

// deepest bounds the nesting that is followed.
const deepest = 1000

// expand computes a reference's cost, each name's once: a few declarations may stand for billions of expansions.
func (e *entities) expand(name string, depth int) (cost, error) {
	value, known := e.values[name]
	if predefined[name] || !known { // one that is not known is refused by the parser, or elsewhere
		return cost{}, nil
	}
	if c, done := e.costs[name]; done && c.expansions > 0 {
		return c, nil
	} else if done || depth > deepest {
		return c, errRecursive
	}
	e.costs[name] = cost{}
	c := cost{expansions: 1, depth: 1}
	for _, m := range reference.FindAllStringSubmatch(value, -1) {
		inner, err := e.expand(m[1], depth+1)
		if err != nil {
			return c, err
		}
		c.expansions, c.depth = min(c.expansions+inner.expansions, costly), max(c.depth, 1+inner.depth)
	}
	e.costs[name] = c
	return c, nil
}

var _ policies.RequestPolicy = (*policy)(nil)
