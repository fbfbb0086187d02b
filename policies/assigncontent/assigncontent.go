// Package assigncontent is the policy "policy-assign-content" (policies.md 3.3): it replaces the body of a request, an answer or a
// message by what a FreeMarker template makes.
//
// It runs in the phases request, response, publish and subscribe. The template sees request (request and response), response
// (response), message (publish and subscribe) and context: context.attributes['x'] and context.dictionaries['d']['k'].
// Expressions of the expression language are not evaluated in it. The members of request, response and message are those of
// the variables of the expression language, and headers and parameters are sequences of values: ${request.headers['X-A'][0]}.
//
// The policy runs where there is no body as well, so a GET gets one. Content-Length follows; Content-Type and a message's headers
// stay as they are. A template that fails is a failure with status 500: ASSIGN_CONTENT_ERROR "Unable to assign body content" for
// requests and answers, and "Unable to assign message content: ..." without a key for messages.
//
// What of FreeMarker is known is told in package ftl; the rest is refused when the definition is saved, with its name and place.
// There is no Go library of FreeMarker, so the evaluator is ours, held against FreeMarker 2.3.30 itself. ?eval reads JSON and
// nothing else. A template has at most 256 KiB, and one evaluation at most 1,000,000 parts and 8 MiB of output.
package assigncontent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assigncontent/ftl"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-assign-content.
type Config struct {
	// Body is the FreeMarker template of the new body. Required; an empty text empties the body. Expressions ({#...}) are not
	// evaluated in it.
	Body *string `json:"body"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "policy-assign-content",
	Aliases: []string{"assign-content"},
	Name:    "Assign Content",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

// roots are the variables of a template, by phase.
var roots = map[policies.Phase][]string{
	policies.Request:   {"request", "context"},
	policies.Response:  {"request", "response", "context"},
	policies.Publish:   {"message", "context"},
	policies.Subscribe: {"message", "context"},
}

// paths are what a template reads, as expressions.
type paths struct {
	phase policies.Phase
	all   []*policies.Expression
	ids   map[string]int
	uses  policies.Uses
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	if c.Body == nil {
		return nil, append(problems, settings.Invalid("/body", "is required: the FreeMarker template of the new body"))
	}
	p := &paths{phase: env.Phase, ids: map[string]int{}}
	template, err := ftl.Parse(*c.Body, p.resolve)
	if err != nil {
		return nil, append(problems, settings.Invalid("/body", "at "+err.Error()))
	}
	out := &body.Policy{Empty: true, Fail: failure, Does: policies.Traits{Shared: !p.uses.PerExchange(), Uses: p.uses}}
	if env.Phase&policies.PerMessage != 0 {
		out.Fail = messageFailure
	}
	out.Work = func(_ context.Context, c *policies.Context, _ body.Input) ([]byte, bool, error) {
		text, err := template.Render(make([]byte, 0, 256), &model{paths: p.all, context: c})
		return text, true, err
	}
	return out, problems
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "ASSIGN_CONTENT_ERROR", Message: "Unable to assign body content", Err: err}
}

func messageFailure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: "Unable to assign message content: " + err.Error(), Err: err}
}

// deep are the members that are maps themselves, whose keys an expression can name.
var deep = []string{"headers", "params", "pathParams", "attributes", "metadata"}

// resolve makes an expression of a path (ftl.Resolver): the variable's member and, where that is a map, its key.
func (p *paths) resolve(path []string) (id, taken int, err error) {
	known := roots[p.phase]
	if !slices.Contains(known, path[0]) {
		return 0, 0, fmt.Errorf("%s is not a variable here; there are %s, and those that the template assigns before", path[0], strings.Join(known, ", "))
	}
	if len(path) == 1 {
		return 0, 0, fmt.Errorf("%s as a whole is not a value; name one of its members", path[0])
	}
	text, taken := "#"+path[0]+"."+path[1], 1
	switch {
	case path[0] == "context" && path[1] == "dictionaries":
		text = "#dictionaries"
	case path[0] == "context" && path[1] != "attributes":
		return 0, 0, fmt.Errorf("context has no member %s; it has attributes and dictionaries", path[1])
	case len(path) > 2 && slices.Contains(deep, path[1]):
		text += "['" + strings.ReplaceAll(path[2], "'", "''") + "']"
		taken = 2
	}
	if id, ok := p.ids[text]; ok {
		return id, taken, nil
	}
	e, err := policies.ParseExpression("{" + text + "}")
	if err != nil {
		return 0, 0, fmt.Errorf("%s.%s cannot be read: %w", path[0], path[1], err)
	}
	p.uses.Merge(e.Uses())
	p.all = append(p.all, e)
	p.ids[text] = len(p.all) - 1
	return len(p.all) - 1, taken, nil
}

// model is what a template reads of one exchange or message.
type model struct {
	paths   []*policies.Expression
	context *policies.Context
}

// Lookup implements ftl.Model.
func (m *model) Lookup(id int) (any, error) {
	v, err := m.paths[id].Value(m.context)
	if err != nil {
		return nil, err
	}
	return valueOf(v, 0)
}

// valueOf is a value of the expression language as templates have it.
func valueOf(v any, depth int) (any, error) {
	if depth > jsondoc.MaxDepth {
		return nil, errors.New("a value is too deep")
	}
	switch x := v.(type) {
	case nil, string, bool:
		return x, nil
	case []byte:
		return string(x), nil
	case int64:
		return new(big.Rat).SetInt64(x), nil
	case float64:
		n, ok := new(big.Rat).SetString(strconv.FormatFloat(x, 'g', -1, 64))
		if !ok {
			return nil, fmt.Errorf("%v is no number", x)
		}
		return n, nil
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case []any:
		out := make([]any, len(x))
		for i := range x {
			var err error
			if out[i], err = valueOf(x[i], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := new(jsondoc.Object)
		names := make([]string, 0, len(x))
		for name := range x {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			v, err := valueOf(x[name], depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(name, v)
		}
		return out, nil
	}
	return fmt.Sprint(v), nil
}
