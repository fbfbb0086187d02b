package builtin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestPolicies_Check: what each policy refuses, and where.
func TestPolicies_Check(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ policy, cfg, want string }{
		{"message-filtering", `{"filter":"{#message.content == 'a'}"}`, ""},
		{"message-filtering", `{}`, "/filter  is required"},
		{"message-filtering", `{"filter":"{#message.}"}`, "/filter  at 1:"},
		{"message-filtering", `{"filter":"x","ackFilteredMessage":"perhaps"}`, "/ackFilteredMessage  must be true or false"},
		{"transform-headers", `{"addHeaders":[{"name":"a","value":"b"},{"name":"","value":"c"}],"removeHeaders":[null,"x"]}`, ""},
		{"transform-headers", `{"addHeaders":[{"name":"a b","value":"c"}]}`, "/addHeaders/0/name  must have no blanks"},
		{"transform-headers", `{"appendHeaders":[{"name":"a","value":"{#}"}]}`, "/appendHeaders/0/value  at 1:"},
		{"policy-assign-attributes", `{"attributes":[{"name":"a","value":"{#("}]}`, "/attributes/0/value  at 1:"},
		{"policy-interrupt", `{"message":"m"}`, "/errorKey  is required"},
		{"policy-interrupt", `{"errorKey":"K","message":"m","scope":"NEVER"}`, "/scope  must be one of"},
		{"latency", `{"time":"5","timeUnit":"SECONDS"}`, ""},
		{"latency", `{"time":-1}`, "/time  must be 0 or more"},
		{"latency", `{"timeUnit":"WEEKS"}`, "/timeUnit  must be"},
		{"json-validation", `{"schema":"{\"type\":\"object\"}"}`, ""},
		{"json-validation", `{}`, "/schema  is required"},
		{"json-validation", `{"schema":"{\"type\":7}"}`, "/schema  is no JSON Schema"},
		{"json-validation", `{"schema":"{\"$ref\":\"http://example.org/s\"}"}`, "/schema  is no JSON Schema"},
		{"json-validation", `{"schemaSource":{"sourceType":"SCHEMA_REGISTRY_RESOURCE"}}`, "/schemaSource/sourceType"},
	} {
		typ, ok := builtin.Policies.Find(c.policy)
		if !ok {
			t.Fatalf("%s is not in the catalog", c.policy)
		}
		_, problems := typ.Compile(json.RawMessage(c.cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Publish})
		err := problems.Err()
		if got := fmt.Sprint(err); (err != nil) != (c.want != "") || c.want != "" && !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %v, want %q", c.policy, c.cfg, err, c.want)
		}
	}
}

// TestPolicies_OnMessage: what each does to the message "7" with the headers a: 1, a: 2 and B: 3.
func TestPolicies_OnMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ policy, cfg, want string }{
		{"message-filtering", `{"filter":"{#message.content == '7'}"}`, "a=1 a=2 B=3"},
		{"message-filtering", `{"filter":"{#message.content == '8'}"}`, policies.ErrDrop.Error()},
		{"message-filtering", `{"filter":"{#message.content == '8'}","ackFilteredMessage":false}`, policies.ErrHold.Error()},
		{"message-filtering", `{"filter":"{#message.headers['none'][0] == '8'}"}`, policies.ErrDrop.Error()},
		{"message-filtering", `{"filter":"{#message.headers['none'][0] == '8'}","filterMessageOnFilteringError":false}`, "a=1 a=2 B=3"},
		{"transform-headers", `{"addHeaders":[{"name":"A","value":"{#message.content}"},{"name":"c","value":"{#message.headers['A'][0]}!"}]}`, "B=3 A=7 c=7!"},
		{"transform-headers", `{"addHeaders":[{"name":"a","value":"{#context.attributes['none']}"}]}`, "a=1 a=2 B=3"},
		{"transform-headers", `{"appendHeaders":[{"name":"b","value":"4"}],"removeHeaders":["A"]}`, "B=3 b=4"},
		{"transform-headers", `{"addHeaders":[{"name":"c","value":"x"}],"whitelistHeaders":["b"]}`, "B=3"},
		{"transform-headers", `{"addHeaders":[{"name":"c","value":"{#message.headers['none'][0]}"}]}`, "Unable to apply headers transformation on message (TRANSFORM_HEADERS_FAILURE)"},
		{"policy-assign-attributes", `{"attributes":[{"name":"n","value":"{#message.contentLength}"},{"name":"bad","value":"{#message.headers['none'][0]}"},{"name":"gravitee.attribute.t","value":"v{#message.content}"}]}`, "a=1 a=2 B=3 n=1 t=v7"},
		{"json-validation", `{"schema":"{\"type\":\"integer\"}"}`, "a=1 a=2 B=3"},
		{"json-validation", `{"schema":"{\"type\":\"string\"}","errorMessage":"not {#message.content}"}`, "not 7 (JSON_INVALID_MESSAGE_REQUEST_PAYLOAD)"},
		{"json-validation", `{"schema":"{\"type\":\"string\"}","returnDetailedErrorReport":true}`, "(root) — got number, want string (JSON_INVALID_MESSAGE_REQUEST_PAYLOAD)"},
		{"json-validation", `{"schema":"{\"type\":\"string\"}","straightRespondMode":true}`, "a=1 a=2 B=3"},
	} {
		m := &message.Message{Content: []byte("7"), Headers: []message.Header{{Name: "a", Value: []byte("1")}, {Name: "a", Value: []byte("2")}, {Name: "B", Value: []byte("3")}}}
		if got := on(t, c.policy, c.cfg, m); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.policy, c.cfg, got, c.want)
		}
	}
}

// on runs a policy on a message, and renders what comes of it.
func on(t *testing.T, policy, cfg string, m *message.Message) string {
	t.Helper()
	typ, _ := builtin.Policies.Find(policy)
	made, problems := typ.Compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Publish})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var c policies.Context
	c.Init(&exchange.Exchange{}, nil)
	c.SetMessage(m)
	if err := made.(policies.MessagePolicy).OnMessage(context.Background(), &c, m); err != nil {
		return err.Error()
	}
	var out []string
	for _, h := range m.Headers {
		out = append(out, h.Name+"="+string(h.Value))
	}
	for _, name := range []string{"n", "t"} {
		if v, ok := m.Attributes[name]; ok {
			out = append(out, fmt.Sprint(name, "=", v))
		}
	}
	return strings.Join(out, " ")
}
