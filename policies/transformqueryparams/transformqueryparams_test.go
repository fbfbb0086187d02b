package transformqueryparams

import (
	"encoding/json"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

func TestOnRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, cfg, query, want string }{
		{"set", `{"addQueryParameters":[{"name":"a","value":"{#request.params['b']} x"}]}`, "a=1&a=2&b=3", "b=3&a=3+x"},
		{"append", `{"addQueryParameters":[{"name":"a","value":"9","appendToExistingArray":true}]}`, "a=1", "a=1&a=9"},
		{"remove", `{"removeQueryParameters":["a","none"]}`, "a=1&a=2&b=3", "b=3"},
		{"clear, and what is added stays", `{"clearAll":true,"addQueryParameters":[{"name":"a","value":"9"}],"removeQueryParameters":["a"]}`, "a=1&b=3", "a=9"},
		{"null is passed over", `{"addQueryParameters":[{"name":"a","value":"{#request.params['none']}"},{"name":"b"}]}`, "a=1", "a=1"},
	} {
		made, problems := Type.Compile(json.RawMessage(c.cfg), policies.Env{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{API: &exchange.API{}, HTTP: &fasthttp.RequestCtx{}}
		x.HTTP.Request.SetRequestURI("/p/q?" + c.query)
		pc := new(policies.Context)
		pc.Init(x, nil)
		if err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := string(x.HTTP.Request.Header.RequestURI()); got != "/p/q?"+c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
