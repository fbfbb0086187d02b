// Package overriderequestmethod is the policy "policy-override-request-method" (policies.md 6.2): requests count as made with another method.
//
// It stands in the request phase: later steps, flow conditions of later phases and proxies behind the API see the new method, which is also in
// the attribute request.method. What a client asked of an entrypoint of messages, to publish or to subscribe, is settled
// before and stays. There is no failure.
package overriderequestmethod

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of policy-override-request-method.
type Config struct {
	// Method is GET (default), POST, PUT, DELETE, PATCH, HEAD, CONNECT, OPTIONS or TRACE.
	Method string `json:"method"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "policy-override-request-method", Aliases: []string{"override-http-method", "override-request-method"},
	Name: "Override Request Method", Phases: policies.Request, Config: &Config{Method: "GET"}, Compile: compile}

var methods = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "CONNECT", "OPTIONS", "TRACE"}

type policy struct{ method string }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := Config{Method: "GET"}
	problems := settings.Decode(cfg, &c)
	if !slices.Contains(methods, c.Method) {
		problems = append(problems, settings.Invalid("/method", "must be one of: "+strings.Join(methods, ", ")))
	}
	return &policy{c.Method}, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	c.Exchange.HTTP.Request.Header.SetMethod(p.method)
	c.Exchange.SetAttribute("request.method", p.method)
	return nil
}

var _ policies.RequestPolicy = (*policy)(nil)
