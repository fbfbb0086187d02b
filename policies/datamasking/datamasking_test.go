package datamasking

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func compiled(t testing.TB, cfg string) *policy {
	t.Helper()
	made, problems := compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return made.(*policy)
}

func TestPolicy_Content(t *testing.T) {
	t.Parallel()
	const doc = `{ "a": "secret", "b":{"a":12.50,"c":[1, "two",null,true]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`
	for _, c := range []struct{ name, rules, content, want string }{
		{"a member", `{"path":"$.a"}`, doc, `{ "a": "******", "b":{"a":12.50,"c":[1, "two",null,true]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"everywhere", `{"path":"$..a"}`, doc, `{ "a": "******", "b":{"a":"*****","c":[1, "two",null,true]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"all in an object", `{"path":"$.b","replacer":"x"}`, doc, `{ "a": "secret", "b":{"a":"xxxxx","c":["x", "xxx",null,"xxxx"]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"an index", `{"path":"$.b.c[1]","replacer":"gone"}`, doc, `{ "a": "secret", "b":{"a":12.50,"c":[1, "gone",null,true]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"any element", `{"path":"$['b'].c[*]"}`, doc, `{ "a": "secret", "b":{"a":12.50,"c":["*", "***",null,"****"]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"an escaped name, characters", `{"path":"$['é\n']","keepLast":1}`, doc, `{ "a": "secret", "b":{"a":12.50,"c":[1, "two",null,true]}, "é\n":"**ï" ,"n":123456789012345678901234567890}`},
		{"any, and deep", `{"path":"$.*.c..[0]"}`, doc, `{ "a": "secret", "b":{"a":12.50,"c":["*", "two",null,true]}, "é\n":"ünï" ,"n":123456789012345678901234567890}`},
		{"nothing there", `{"path":"$.z.y"}`, doc, doc},
		{"the whole", `{"path":"$"}`, `[1,["a"]]`, `["*",["*"]]`},
		{"a regex at a path", `{"path":"$.a","regex":"e(c|t)"}`, doc, strings.Replace(doc, "secret", "s**r**", 1)},
		{"two rules at a path", `{"path":"$.a","regex":"s"},{"path":"$.a","regex":"t$","replacer":"(t)"}`, doc, strings.Replace(doc, "secret", "*ecre(t)", 1)},
		{"quotes in a replacer", `{"path":"$.a","replacer":"\"\\"}`, `{"a":"b"}`, `{"a":"\"\\"}`},
		{"what is kept of short texts", `{"path":"$.a","keepLast":4}`, `{"a":"1234"}`, `{"a":"****"}`},
		{"cards", `{"type":"CREDIT_CARD","keepLast":4}`, `pay 4111 1111 1111 1111, not 4111 1111 1111 1112`, `pay ***************1111, not 4111 1111 1111 1112`},
		{"addresses of mail", `{"type":"EMAIL","replacer":"<mail>"}`, `to a.b+c@d-e.example.org.`, `to <mail>.`},
		{"addresses", `{"type":"ip"}`, `from 10.0.0.1 or 2001:db8::1, at 12:30, v1.2`, `from ******** or ***********, at 12:30, v1.2`},
		{"URIs", `{"type":"URI","replacer":"uri"}`, `see "https://u:p@h/x?y" there`, `see "uri" there`},
		{"text that is no JSON", `{"regex":"[0-9]"}`, `{a: 12`, `{a: **`},
		{"XML", `{"path":"//card"},{"path":"/a/@id","replacer":"#"}`, `<a id="42" x="1"><card n="7">12<b>34</b></card></a>`, `<?xml version="1.0"?><a id="##" x="1"><card n="7">**<b>**</b></card></a>`},
		{"XML with a regex", `{"path":"//b/text()","regex":"\\d"}`, `<a><b>x1 y2</b></a>`, `<?xml version="1.0"?><a><b>x* y*</b></a>`},
		{"nothing", `{"path":"$.a"}`, ``, ``},
	} {
		original := []byte(c.content)
		m := &message.Message{Content: original}
		var pc policies.Context
		pc.Init(&exchange.Exchange{}, nil)
		if err := compiled(t, `{"rules":[`+c.rules+`]}`).OnMessage(context.Background(), &pc, m); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := string(m.Content); got != c.want || string(original) != c.content {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPolicy_Headers(t *testing.T) {
	t.Parallel()
	headers := []message.Header{{Name: "A", Value: []byte("12345")}, {Name: "b", Value: []byte("x")}, {Name: "a", Value: []byte("6")}}
	m := &message.Message{Headers: headers}
	var pc policies.Context
	if err := compiled(t, `{"headerRules":[{"path":"a","keepLast":2}]}`).OnMessage(context.Background(), &pc, m); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Headers[0].Value) + string(m.Headers[1].Value) + string(m.Headers[2].Value); got != "***45x*" || string(headers[0].Value) != "12345" {
		t.Errorf("%s, %s", got, headers[0].Value)
	}
}

func TestPolicy_InvalidContent(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"$.a", "//a"} {
		m := &message.Message{Content: []byte(`{"a":"secret"`)}
		var pc policies.Context
		if err := compiled(t, `{"rules":[{"path":"`+path+`"}]}`).OnMessage(context.Background(), &pc, m); err == nil || !strings.Contains(err.Error(), "DATA_MASKING_FAILURE") {
			t.Errorf("%s: %v", path, err)
		}
		if err := compiled(t, `{"onInvalidContent":"KEEP","rules":[{"path":"`+path+`"},{"regex":"secret"}]}`).OnMessage(context.Background(), &pc, m); err != nil || string(m.Content) != `{"a":"******"` {
			t.Errorf("%s: %s, %v", path, m.Content, err)
		}
	}
	deep := strings.Repeat("<a>", maxXMLDepth+1) + strings.Repeat("</a>", maxXMLDepth+1)
	if _, _, err := compiled(t, `{"rules":[{"path":"//a"}]}`).content([]byte(deep)); err == nil {
		t.Error("elements without end are read")
	}
}

func TestCompile_Problems(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]string{
		`{}`:                                                   "/rules",
		`{"rules":[{}]}`:                                       "/rules/0/path",
		`{"rules":[{"path":"a"}]}`:                             "/rules/0/path",
		`{"rules":[{"path":"$.a[?(@.b)]"}]}`:                   "/rules/0/path",
		`{"rules":[{"path":"$.a["}]}`:                          "/rules/0/path",
		`{"rules":[{"path":"$a"}]}`:                            "/rules/0/path",
		`{"rules":[{"path":"$."}]}`:                            "/rules/0/path",
		`{"rules":[{"path":"//["}]}`:                           "/rules/0/path",
		`{"rules":[{"type":"CUSTOM"}]}`:                        "/rules/0/regex",
		`{"rules":[{"regex":"("}]}`:                            "/rules/0/regex",
		`{"rules":[{"type":"PHONE"}]}`:                         "/rules/0/type",
		`{"rules":[{"path":"$.a","keepLast":-1}]}`:             "/rules/0/keepLast",
		`{"headerRules":[{}]}`:                                 "/headerRules/0/path",
		`{"rules":[{"path":"$.a"}],"onInvalidContent":"DROP"}`: "/onInvalidContent",
	} {
		_, problems := compile(json.RawMessage(cfg), policies.Env{})
		if problems.Err() == nil || problems[0].Pointer != want {
			t.Errorf("%s: %v, want %s", cfg, problems, want)
		}
	}
}

// FuzzMaskJSON: whatever the document, what comes out is one of the same shape, and without rules that match it is the same.
func FuzzMaskJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\"\\u00e9"}],"":null}`, `[[],{},"",-0.0e+5]`, ` "x" `, `{"a":{"a":{"a":true}}}`} {
		f.Add([]byte(s), "$..a")
	}
	f.Add([]byte(`[[1]]`), "$[*][0]")
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		if path == "" || path[0] != '$' {
			return
		}
		segments, err := parsePath(path)
		if err != nil {
			return
		}
		all, _ := newMask("", "", 0)
		out, changed, err := maskJSON(doc, []*rule{{mask: all, path: segments}})
		switch {
		case err != nil:
			if json.Valid(doc) {
				t.Fatalf("valid, and not read: %v", err)
			}
		case !json.Valid(out):
			t.Fatalf("%q is no JSON", out)
		case !changed && !bytes.Equal(doc, out):
			t.Fatalf("%q is changed to %q", doc, out)
		}
	})
}
