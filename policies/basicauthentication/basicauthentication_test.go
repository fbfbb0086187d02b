package basicauthentication

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/inlineauth"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func provider(t *testing.T, users string) any {
	t.Helper()
	made, problems := inlineauth.Type.Compile(json.RawMessage(`{"users":`+users+`}`), resource.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	resources := map[string]any{"first": provider(t, `[{"username":"ann","password":"other"},{"username":"bob"}]`),
		"second": provider(t, `[{"username":"ann","password":"se:cret","roles":["admin"]}]`), "cache": 1}
	env := policies.Env{Log: slog.New(slog.DiscardHandler), Resource: func(name string) any { return resources[name] }}
	made, problems := Type.Compile(json.RawMessage(`{"authenticationProviders":["first","second"],"realm":"my \"realm\""}`), env)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, header, user string }{
		{"well", "Basic YW5uOnNlOmNyZXQ=", "ann"}, {"any case", "bAsIc YW5uOnNlOmNyZXQ=", "ann"}, {"no password", "Basic Ym9i", "bob"},
		{"a wrong password", "Basic YW5uOnNl", ""}, {"nobody knows", "Basic eHg6eA==", ""}, {"no name", "Basic OmE=", ""}, {"malformed", "Basic !!", ""}, {"another scheme", "Bearer x", ""}, {"nothing", "", ""},
	} {
		x := &exchange.Exchange{API: &exchange.API{}, HTTP: &fasthttp.RequestCtx{}}
		x.HTTP.Request.Header.Set("Authorization", c.header)
		pc := new(policies.Context)
		pc.Init(x, nil)
		err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc)
		user, _ := x.Attribute("gravitee.attribute.user")
		roles, _ := x.Attribute("user.roles")
		var f *message.Failure
		if c.user == "" && (!errors.As(err, &f) || f.Status != 401 || string(x.HTTP.Response.Header.Peek("WWW-Authenticate")) != `Basic realm="my \"realm\""`) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.user != "" && (err != nil || user != c.user || (c.user == "ann") != (fmt.Sprint(roles) == "[admin]")) {
			t.Errorf("%s: %v, user %v of roles %v", c.name, err, user, roles)
		}
	}
	if _, problems = Type.Compile(json.RawMessage(`{"authenticationProviders":["cache"]}`), env); problems.Err() == nil {
		t.Error("a resource that checks no passwords is taken")
	}
}
