package policies

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestRunner_SeesDifferences: every expectation that is not met is told, and one that is met is not.
func TestRunner_SeesDifferences(t *testing.T) {
	t.Parallel()
	got := outcome{status: 200, header: http.Header{"X-A": {"1", "2"}}, body: []byte(`{"a":1}`),
		items:   []item{{Content: "one", Headers: map[string][]string{"h": {"v"}}, Metadata: map[string]any{"key": "k"}}},
		failure: &item{Content: `{"message":"bad"}`, Metadata: map[string]any{"key": "K", "statusCode": 400.0}}}
	for _, c := range []struct{ name, want, told string }{
		{"all is well", `{status: 200, headers: {x-a: ['1', '2'], X-B: null}, bodyJSON: {a: 1}, bodyMatches: a, messages: [{key: k, headers: {h: v, i: null}, content: one, contentMatches: n}], error: {key: K, message: bad, messageMatches: ^b, httpStatusCode: 400}}`, ""},
		{"status", `{status: 202}`, "status 200, want 202"},
		{"header", `{headers: {X-A: '1'}}`, "header X-A"},
		{"header to be absent", `{headers: {X-A: null}}`, "want none"},
		{"body", `{body: x}`, "body"},
		{"empty body", `{body: ''}`, "body"},
		{"body as JSON", `{bodyJSON: {a: 2}}`, "body"},
		{"pattern of the body", `{bodyMatches: ^x}`, "does not match"},
		{"no messages", `{messages: []}`, "1 messages, want 0"},
		{"more messages", `{messages: [{content: one}, {}]}`, "1 messages, want 2"},
		{"key", `{messages: [{key: l}]}`, "key"},
		{"header of a message", `{messages: [{headers: {h: w}}]}`, "header h"},
		{"content", `{messages: [{content: two}]}`, "content"},
		{"content as JSON", `{messages: [{contentJSON: 1}]}`, "not JSON"},
		{"bytes", `{messages: [{content64: AAE=}]}`, "content"},
		{"none", `{messages: [{"null": true}]}`, "want none"},
		{"key of the failure", `{error: {key: L}}`, "error key"},
		{"text of the failure", `{error: {message: good}}`, "error message"},
		{"status of the failure", `{error: {httpStatusCode: 500}}`, "error status"},
	} {
		cases, err := read([]byte("- {name: n, want: "+c.want+"}"), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		bad := strings.Join(cases[0].Want.compare(&got), "; ")
		if (bad == "") != (c.told == "") || !strings.Contains(bad, c.told) {
			t.Errorf("%s: told %q, want %q", c.name, bad, c.told)
		}
	}
	if bad := (&Failure{}).compare(&outcome{status: 200}); len(bad) == 0 {
		t.Error("no failure where one is wanted is not told")
	}
}

func TestRunner_ReadsTables(t *testing.T) {
	t.Parallel()
	value := func(name string) (string, error) {
		if name != "echo.url" {
			return "", errors.New("unknown")
		}
		return "http://echo", nil
	}
	cases, err := read([]byte("- {name: n, request: {body: '${fixture.echo.url}/x ${fixture.echo.url}'}}"), value)
	if err != nil || cases[0].Request.Body != "http://echo/x http://echo" {
		t.Errorf("%+v, %v", cases, err)
	}
	for name, text := range map[string]string{
		"an unknown field":    "- {name: n, wants: {}}",
		"an unknown fixture":  "- {name: '${fixture.none.url}'}",
		"an unclosed fixture": "- {name: '${fixture.echo'}",
	} {
		if _, err := read([]byte(text), value); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	one := []Message{}
	for name, c := range map[string]Case{
		"no name":  {Policy: "p", Phase: "publish", Want: &Want{}},
		"no phase": {Name: "n", Policy: "p", Want: &Want{}},
		"no want":  {Name: "n", Policy: "p", Phase: "publish"},
		"both":     {Name: "n", Policy: "p", Phase: "publish", Want: &Want{Stored: &one}, Invalid: []Problem{{}}},
	} {
		if (&table{pkg: "x", cases: []*Case{&c}}).check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
