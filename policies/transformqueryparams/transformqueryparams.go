// Package transformqueryparams is the policy "transform-queryparams" (policies.md 3.10): query parameters of requests are set, added and
// removed.
//
// It stands in the request phase, so that later steps and expressions see the parameters as they are then. All are cleared first where that
// is asked for; then those to add replace the values that there are, or are appended to them; then those to remove go, unless all
// were cleared. An expression that is null or has no value is passed over. There is no failure.
package transformqueryparams

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of transform-queryparams.
type Config struct {
	// ClearAll removes all parameters first. Default false.
	ClearAll bool `json:"clearAll"`
	// AddQueryParameters are set, or appended.
	AddQueryParameters []Parameter `json:"addQueryParameters"`
	// RemoveQueryParameters are removed, except with ClearAll.
	RemoveQueryParameters []string `json:"removeQueryParameters"`
}

// Parameter is a parameter to add.
type Parameter struct {
	// Name is the parameter's name. Required.
	Name string `json:"name"`
	// Value may hold expressions. Required.
	Value *string `json:"value"`
	// AppendToExistingArray keeps the values that there are. Default false.
	AppendToExistingArray bool `json:"appendToExistingArray"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "transform-queryparams", Name: "Transform Query Parameters", Phases: policies.Request, Config: &Config{}, Compile: compile}

type parameter struct {
	name  string
	value *policies.Expression
	more  bool
}

type policy struct {
	clear  bool
	add    []parameter
	remove []string
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	p := &policy{clear: c.ClearAll, remove: c.RemoveQueryParameters}
	for i, a := range c.AddQueryParameters {
		at := fmt.Sprintf("/addQueryParameters/%d", i)
		if strings.TrimSpace(a.Name) == "" {
			problems = append(problems, settings.Invalid(at+"/name", "is required"))
			continue
		}
		if a.Value == nil {
			continue
		}
		if value := policies.ParseAt(&problems, at+"/value", *a.Value); value != nil {
			p.add = append(p.add, parameter{a.Name, value, a.AppendToExistingArray})
		}
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	uri := c.Exchange.HTTP.URI()
	args := uri.QueryArgs()
	if p.clear {
		args.Reset()
	}
	for i := range p.add {
		a := &p.add[i]
		value, ok, err := a.value.TextOrNull(c)
		switch {
		case err != nil || !ok:
		case a.more:
			args.Add(a.name, value)
		default:
			args.Del(a.name)
			args.Add(a.name, value)
		}
	}
	if !p.clear {
		for _, name := range p.remove {
			args.Del(name)
		}
	}
	uri.SetQueryStringBytes(args.AppendBytes(nil))
	c.Exchange.HTTP.Request.Header.SetRequestURIBytes(uri.RequestURI())
	return nil
}

var _ policies.RequestPolicy = (*policy)(nil)
