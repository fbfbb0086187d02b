// Package jsonthreatprotection is the policy "json-threat-protection" (policies.md 5.4): request bodies that are no JSON, or more of it than
// the limits allow, are refused.
//
// It stands in the request phase and reads the body once, without building it. Like the reference it looks only at bodies
// whose Content-Type is exactly application/json, without parameters; with enforceJson others are refused with 415. An empty body is not
// looked at.
//
// Failures are 400: JSON_THREAT_DETECTED for what is malformed or has a member twice, JSON_THREAT_MAX_DEPTH, JSON_THREAT_MAX_ENTRIES,
// JSON_THREAT_MAX_NAME_LENGTH, JSON_THREAT_MAX_VALUE_LENGTH and JSON_MAX_ARRAY_SIZE; 415 JSON_THREAT_ENFORCE_JSON. Lengths are in characters.
package jsonthreatprotection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of json-threat-protection. Negative numbers are no limit.
type Config struct {
	// MaxEntries is how many members an object may have. Default 100.
	MaxEntries int `json:"maxEntries"`
	// MaxArraySize is how many items an array may have. Default 100.
	MaxArraySize int `json:"maxArraySize"`
	// MaxDepth is how deep objects and arrays may be nested. Default 100.
	MaxDepth int `json:"maxDepth"`
	// MaxNameLength is how long a member's name may be, in characters. Default 100.
	MaxNameLength int `json:"maxNameLength"`
	// MaxValueLength is how long a text may be, in characters. Default 100.
	MaxValueLength int `json:"maxValueLength"`
	// PreventDuplicateKey refuses objects with a member twice. Default true.
	PreventDuplicateKey bool `json:"preventDuplicateKey"`
	// EnforceJSON refuses requests that are not application/json. Default true.
	EnforceJSON bool `json:"enforceJson"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "json-threat-protection", Name: "JSON Threat Protection", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config { return &Config{100, 100, 100, 100, 100, true, true} }

// deepest bounds the nesting that is looked at where MaxDepth does not: the standard library's own (encoding/json maxNestingDepth).
const deepest = 10_000

type policy struct{ Config }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	return &policy{*c}, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	if string(r.Header.ContentType()) != "application/json" {
		if p.EnforceJSON {
			return &message.Failure{Status: fasthttp.StatusUnsupportedMediaType, Key: "JSON_THREAT_ENFORCE_JSON", Message: "Unsupported Media Type"}
		}
		return nil
	}
	body := r.Body()
	if len(body) == 0 {
		return nil
	}
	w := walk{policy: p, dec: json.NewDecoder(bytes.NewReader(body))}
	w.dec.UseNumber()
	if key, err := w.document(); key != "" {
		return &message.Failure{Status: fasthttp.StatusBadRequest, Key: key, Message: "Bad Request", Err: err}
	}
	return nil
}

// keys of failures.
const (
	detected = "JSON_THREAT_DETECTED"
	tooDeep  = "JSON_THREAT_MAX_DEPTH"
)

// walk reads a document.
type walk struct {
	*policy
	dec   *json.Decoder
	stack []level
}

// level is an object or an array that is open.
type level struct {
	object bool
	n      int
	value  bool // of an object: a value comes next
	names  map[string]struct{}
}

var errTwice = errors.New("a member is there twice")

// document reads everything; key is that of the failure, empty: all is well.
func (w *walk) document() (key string, err error) {
	for first := true; ; first = false {
		token, err := w.dec.Token()
		switch {
		case err == io.EOF && !first && len(w.stack) == 0:
			return "", nil
		case err != nil:
			return detected, err
		case !first && len(w.stack) == 0:
			return detected, errors.New("there is more behind the document")
		}
		if key, err := w.token(token); key != "" {
			return key, err
		}
	}
}

func over(n, limit int) bool { return limit >= 0 && n > limit }

func (w *walk) token(token json.Token) (key string, err error) {
	if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
		w.stack = w.stack[:len(w.stack)-1]
		return "", nil
	}
	if len(w.stack) > 0 {
		if top := &w.stack[len(w.stack)-1]; top.object && !top.value {
			return w.name(top, token.(string))
		} else if key, err := w.item(top); key != "" {
			return key, err
		}
	}
	switch v := token.(type) {
	case json.Delim:
		if len(w.stack)+1 > deepest || over(len(w.stack)+1, w.MaxDepth) {
			return tooDeep, fmt.Errorf("deeper than %d", w.MaxDepth)
		}
		l := level{object: v == '{'}
		if l.object && w.PreventDuplicateKey {
			l.names = map[string]struct{}{}
		}
		w.stack = append(w.stack, l)
	case string:
		if over(utf8.RuneCountInString(v), w.MaxValueLength) {
			return "JSON_THREAT_MAX_VALUE_LENGTH", fmt.Errorf("a text longer than %d", w.MaxValueLength)
		}
	}
	return "", nil
}

// name reads a member's name.
func (w *walk) name(top *level, name string) (key string, err error) {
	top.n++
	top.value = true
	switch {
	case over(top.n, w.MaxEntries):
		return "JSON_THREAT_MAX_ENTRIES", fmt.Errorf("an object of more than %d members", w.MaxEntries)
	case over(utf8.RuneCountInString(name), w.MaxNameLength):
		return "JSON_THREAT_MAX_NAME_LENGTH", fmt.Errorf("a name longer than %d", w.MaxNameLength)
	}
	if top.names != nil {
		if _, twice := top.names[name]; twice {
			return detected, errTwice
		}
		top.names[name] = struct{}{}
	}
	return "", nil
}

// item counts a value.
func (w *walk) item(top *level) (key string, err error) {
	if top.object {
		top.value = false
		return "", nil
	}
	top.n++
	if over(top.n, w.MaxArraySize) {
		return "JSON_MAX_ARRAY_SIZE", fmt.Errorf("an array of more than %d items", w.MaxArraySize)
	}
	return "", nil
}

var _ policies.RequestPolicy = (*policy)(nil)
