package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Secrets in the configuration of a subscription are told by the names of their members, as the connectors that they are
// for use them (spec 2.5), so that one is not answered either that a connector has and this node does not know of.
var (
	// secretParts are in the name of a member that holds a secret, or secrets below it.
	secretParts = []string{"password", "passphrase", "secret", "privatekey", "keycontent", "apikey", "credential"}
	// secretNames are the whole name of one.
	secretNames = []string{"token", "accesstoken", "bearertoken", "refreshtoken", "assertion", "pin"}
	// secretHeaders are in the name of a header whose value is a secret.
	secretHeaders = []string{"auth", "token", "secret", "password", "cookie", "credential", "api-key", "apikey", "signature"}
)

// secretMember tells whether the member of that name, below parent, holds a secret.
func secretMember(parent, name string) bool {
	flat := strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
	contains := func(part string) bool { return strings.Contains(flat, part) }
	return slices.ContainsFunc(secretParts, contains) || slices.Contains(secretNames, flat) ||
		flat == "content" && strings.EqualFold(parent, "keyStore") // a key store holds the private key, a trust store none
}

// secretHeader tells whether an object is a header with a secret in its value.
func secretHeader(o map[string]any) bool {
	name, _ := o["name"].(string)
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretHeaders, func(part string) bool { return strings.Contains(name, part) })
}

// masked is a configuration as it is answered.
func masked(cfg json.RawMessage) (json.RawMessage, error) {
	if len(cfg) == 0 {
		return nil, nil
	}
	v, err := readJSON(cfg)
	if err != nil {
		return nil, err
	}
	return writeJSON((&secrets{}).walk("", "", v, nil, false))
}

// unmasked is a configuration as it is stored: where it holds the mask, it keeps the secret of the one stored before. A mask
// that stands for nothing is a problem.
func unmasked(cfg, stored json.RawMessage) (json.RawMessage, apidef.Problems, error) {
	if len(cfg) == 0 || !bytes.Contains(cfg, []byte(management.Mask)) {
		return cfg, nil, nil
	}
	v, err := readJSON(cfg)
	if err != nil {
		return nil, nil, err
	}
	var old any
	if len(stored) > 0 {
		if old, err = readJSON(stored); err != nil {
			return nil, nil, err
		}
	}
	w := &secrets{restore: true}
	out, err := writeJSON(w.walk("", "", v, old, false))
	return out, w.problems, err
}

// secrets walks a configuration: it puts masks in the place of secrets or, with restore, secrets in the place of masks.
type secrets struct {
	restore  bool
	problems apidef.Problems
}

// walk returns v changed; parent is the name of the member that holds it, old what was stored in its place.
func (w *secrets) walk(at, parent string, v, old any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		was, _ := old.(map[string]any)
		for name, member := range v {
			hidden := secret || secretMember(parent, name) || name == "value" && secretHeader(v)
			v[name] = w.walk(at+"/"+escape(name), name, member, was[name], hidden)
		}
	case []any:
		was, _ := old.([]any)
		for i, e := range v {
			v[i] = w.walk(at+"/"+strconv.Itoa(i), parent, e, counterpart(was, e, i), secret)
		}
	case string:
		return w.text(at, v, old, secret)
	}
	return v
}

// counterpart is what was stored in the place of an element: the one of the same name, where elements have names.
func counterpart(was []any, e any, i int) any {
	if o, ok := e.(map[string]any); ok && o["name"] != nil {
		for _, one := range was {
			if other, ok := one.(map[string]any); ok && other["name"] == o["name"] {
				return one
			}
		}
		return nil
	}
	if i < len(was) {
		return was[i]
	}
	return nil
}

func (w *secrets) text(at, v string, old any, secret bool) string {
	before, password, after, inURL := splitURL(v)
	switch {
	case !w.restore && secret && v != "":
		return management.Mask
	case !w.restore && inURL:
		return before + management.Mask + after
	case !w.restore:
		return v
	case v == management.Mask:
		if was, ok := old.(string); ok {
			return was
		}
	case inURL && password == management.Mask:
		was, _ := old.(string)
		if _, stored, _, ok := splitURL(was); ok {
			return before + stored + after
		}
	default:
		return v
	}
	w.problems = append(w.problems, apidef.Problem{Pointer: at, Code: management.CodeDataInvalid, Severity: apidef.Error,
		Message: "is the mask that answers show in place of a secret, and no secret is stored here; give the secret itself"})
	return v
}

// splitURL takes a URL apart around the password in it, scheme://user:password@host.
func splitURL(text string) (before, password, after string, ok bool) {
	scheme := strings.Index(text, "://")
	if scheme < 0 {
		return "", "", "", false
	}
	authority := text[scheme+3:]
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	host := strings.LastIndexByte(authority, '@')
	colon := strings.IndexByte(authority, ':')
	if host < 0 || colon < 0 || colon > host {
		return "", "", "", false
	}
	start := scheme + 3
	return text[:start+colon+1], text[start+colon+1 : start+host], text[start+host:], true
}

func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) // RFC 6901
}

// readJSON decodes without loss of digits.
func readJSON(b json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode subscription configuration: %w", err)
	}
	return v, nil
}

func writeJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode subscription configuration: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
