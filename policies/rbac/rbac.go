// Package rbac is the policy "rbac" (policies.md 5.11): who has not the right roles is refused.
//
// It stands in the request phase and reads the attribute user.roles, which plans and policy-basic-authentication set: a list, or a text that is a
// JSON array or separates roles by blanks or commas. With strict all roles are needed, else one of them. No roles: whoever has any
// passes.
//
// Failures: 403 RBAC_NO_USER_ROLE where there is no such attribute, 400 RBAC_INVALID_USER_ROLES where it is something else, 403
// RBAC_FORBIDDEN where roles are missing.
package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of rbac.
type Config struct {
	// Roles are those that are needed.
	Roles []string `json:"roles"`
	// Strict needs all of them, else one is enough. Default true.
	Strict bool `json:"strict"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "rbac", Aliases: []string{"role-based-access-control"}, Name: "Role Based Access Control",
	Phases: policies.Request, Config: &Config{Strict: true}, Compile: compile}

// attribute holds the roles.
const attribute = "user.roles"

type policy struct{ Config }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config{Strict: true}}
	problems := settings.Decode(cfg, &p.Config)
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	v, ok := c.Exchange.Attribute(attribute)
	if !ok || v == nil {
		return &message.Failure{Status: fasthttp.StatusForbidden, Key: "RBAC_NO_USER_ROLE", Message: "There is no user role associated to the current request."}
	}
	have, ok := roles(v)
	if !ok {
		return &message.Failure{Status: fasthttp.StatusBadRequest, Key: "RBAC_INVALID_USER_ROLES", Message: "User roles are not valid."}
	}
	missing := func(role string) bool { return !slices.Contains(have, role) }
	found := func(role string) bool { return slices.Contains(have, role) }
	if p.Strict && slices.ContainsFunc(p.Roles, missing) || !p.Strict && len(p.Roles) > 0 && !slices.ContainsFunc(p.Roles, found) {
		return &message.Failure{Status: fasthttp.StatusForbidden, Key: "RBAC_FORBIDDEN", Message: "User is not allowed to access this route."}
	}
	return nil
}

// roles reads the attribute.
func roles(v any) ([]string, bool) {
	switch v := v.(type) {
	case []string:
		return v, true
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = fmt.Sprint(v[i])
		}
		return out, true
	case string:
		var out []string
		if text := strings.TrimSpace(v); strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &out) == nil {
			return out, true
		}
		return strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' }), true
	}
	return nil, false
}

var _ policies.RequestPolicy = (*policy)(nil)
