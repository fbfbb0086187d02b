// Package basicauthentication is the policy "policy-basic-authentication" (policies.md 1.7): clients say who they are by a name and a
// password (RFC 7617), which resources of the API check.
//
// It stands in the request phase. The providers are asked in their order, and the first that knows the client wins: its name goes into the
// attribute user, its roles into user.roles, what else is known into user.<name>. Providers must be resources of the API that check
// passwords, which is held at deploy.
//
// Failures are 401 without a key and with WWW-Authenticate. A header that is malformed is refused the same way, where the reference answers
// 500; a provider that cannot tell is logged and counts as one that does not know the client.
package basicauthentication

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-basic-authentication.
type Config struct {
	// AuthenticationProviders are the names of resources, asked in order. Required.
	AuthenticationProviders []string `json:"authenticationProviders"`
	// Realm is what clients are shown. Default gravitee.io.
	Realm string `json:"realm"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "policy-basic-authentication", Aliases: []string{"basic-authentication"}, Name: "Basic Authentication",
	Phases: policies.Request, Config: &Config{Realm: "gravitee.io"}, Compile: compile}

type policy struct {
	providers []resource.AuthProvider
	challenge string
	log       *slog.Logger
	failed    atomic.Uint64
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := Config{Realm: "gravitee.io"}
	problems := settings.Decode(cfg, &c)
	if strings.TrimSpace(c.Realm) == "" {
		c.Realm = "gravitee.io"
	}
	p := &policy{log: env.Log, challenge: `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(c.Realm) + `"`}
	if len(c.AuthenticationProviders) == 0 {
		problems = append(problems, settings.Invalid("/authenticationProviders", "is required: the names of resources"))
	}
	for i, name := range c.AuthenticationProviders {
		at := fmt.Sprintf("/authenticationProviders/%d", i)
		var found any
		if env.Resource != nil {
			found = env.Resource(name)
		}
		provider, ok := found.(resource.AuthProvider)
		switch {
		case found == nil:
			problems = append(problems, settings.Invalid(at, fmt.Sprintf("%q is no enabled resource of this API", name)))
		case !ok:
			problems = append(problems, settings.Invalid(at, fmt.Sprintf("resource %q does not check passwords", name)))
		default:
			p.providers = append(p.providers, provider)
		}
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	x := c.Exchange
	name, password, ok := credentials(string(x.HTTP.Request.Header.Peek(fasthttp.HeaderAuthorization)))
	for i := 0; ok && i < len(p.providers); i++ {
		who, err := p.providers[i].Authenticate(ctx, name, password)
		if err == nil {
			x.SetAttribute("user", who.Name)
			if len(who.Roles) > 0 {
				x.SetAttribute("user.roles", who.Roles)
			}
			for key, value := range who.Attributes {
				x.SetAttribute("user."+key, value)
			}
			return nil
		}
		if !errors.Is(err, resource.ErrUnknown) {
			if n := p.failed.Add(1); n&(n-1) == 0 {
				p.log.Warn("a provider cannot tell who it is", "err", err, "count", n)
			}
		}
	}
	x.HTTP.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, p.challenge)
	return &message.Failure{Status: fasthttp.StatusUnauthorized, Message: "Unauthorized"}
}

// credentials reads the header.
func credentials(header string) (name, password string, ok bool) {
	const scheme = "basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(header[len(scheme):]))
	if err != nil {
		return "", "", false
	}
	name, password, _ = strings.Cut(string(decoded), ":")
	return name, password, name != ""
}

var _ policies.RequestPolicy = (*policy)(nil)
