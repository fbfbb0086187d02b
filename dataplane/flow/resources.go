package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// resources builds the enabled resources, which steps then find by their names (policies.md 11.1).
func (b *builder) resources() {
	b.shared = map[string]any{}
	for i := range b.def.Resources {
		r := &b.def.Resources[i]
		if !on(r.Enabled) {
			continue
		}
		at := fmt.Sprintf("/resources/%d", i)
		if len(r.Ref) > 0 {
			b.warn(at+"/ref", "references to resources have no effect in this version; write the resource into the API")
			continue
		}
		typ, ok := b.cfg.Resources.Find(r.Type)
		if !ok {
			b.warnOf(codeResource, at+"/type", "resource type %q is not served by this version, so policies do not find %q; known are %s", r.Type, r.Name, strings.Join(b.cfg.Resources.Names(), ", "))
			continue
		}
		if made := b.oneResource(at+"/configuration", typ, r.Configuration); made != nil {
			b.shared[r.Name] = made
		}
	}
}

func (b *builder) oneResource(at string, typ resource.Type, configuration json.RawMessage) any {
	cfg, later, problems := b.evaluated(configuration)
	b.add(at, problems)
	if problems.Err() != nil {
		return nil
	}
	made, problems := typ.Compile(cfg, resource.Env{Log: b.log.With("resource", typ.ID), API: b.api.Info, Dial: b.cfg.Dial})
	b.api.held.add(made)
	problems = slices.DeleteFunc(problems, func(p apidef.Problem) bool { return slices.Contains(later, p.Pointer) })
	b.add(at, problems)
	if problems.Err() != nil {
		return nil
	}
	return made
}

// resource finds a resource; nil: there is none.
func (b *builder) resource(name string) any { return b.shared[name] }

// evaluated replaces the expressions in the texts of a resource's configuration, once, before it is built (policies.md 11.2). Only
// texts with "{#" count, since keys and documents may hold braces. later are the pointers whose values are not known here: a
// definition that is only checked is not on the worker that evaluates them.
func (b *builder) evaluated(configuration json.RawMessage) (out json.RawMessage, later []string, problems apidef.Problems) {
	if !bytes.Contains(configuration, []byte("{#")) {
		return configuration, nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(configuration))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return configuration, nil, nil // the resource says it
	}
	tree = b.evaluate("", tree, func(at string, err error) {
		if err == nil {
			later = append(later, at)
			return
		}
		problems = append(problems, apidef.Problem{Pointer: at, Code: connectors.CodeInvalid, Severity: apidef.Error, Message: err.Error()})
	})
	text, err := json.Marshal(tree)
	if err != nil {
		panic(err) // it came from JSON
	}
	return text, later, problems
}

// evaluate returns v with its texts evaluated. told gets those that have an error, and without one those that are not known
// yet.
func (b *builder) evaluate(at string, v any, told func(at string, err error)) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = b.evaluate(at+"/"+escape.Replace(name), member, told)
		}
	case []any:
		for i, item := range v {
			v[i] = b.evaluate(at+"/"+strconv.Itoa(i), item, told)
		}
	case string:
		return b.evaluateText(at, v, told)
	}
	return v
}

func (b *builder) evaluateText(at, text string, told func(at string, err error)) any {
	if !strings.Contains(text, "{#") {
		return text
	}
	e, err := policies.ParseExpression(text)
	switch {
	case err != nil:
		told(at, fmt.Errorf("is no expression: %w", err))
		return text
	case !e.Shared() || e.OfMessage():
		told(at, fmt.Errorf("is evaluated when the API is deployed, so it may read #properties, #dictionaries and #node alone"))
		return text
	case b.checking:
		told(at, nil)
		return text
	}
	value, err := e.Text(b.engine.common)
	if err != nil {
		told(at, fmt.Errorf("cannot be evaluated: %w", err))
	}
	return value
}

// held is what policies and resources of a revision hold and let go of when nothing runs them any more.
type held struct {
	once sync.Once
	all  []io.Closer
}

// add takes what was built, if it has to be closed.
func (h *held) add(made any) {
	if c, ok := made.(io.Closer); ok {
		h.all = append(h.all, c)
	}
}

// close closes everything once, what was built last first: policies before the resources that they use.
func (h *held) close(log *slog.Logger) {
	h.once.Do(func() {
		for _, c := range slices.Backward(h.all) {
			if err := c.Close(); err != nil {
				log.Warn("policy or resource did not close", "err", err)
			}
		}
	})
}
