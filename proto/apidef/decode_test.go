package apidef_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

const minimal = `{"name":"orders","type":"message","apiVersion":"1.0","definitionVersion":"4.0.0",
 "listeners":[{"type":"http","paths":[{"path":"/orders"}],"entrypoints":[{"type":"sse"}]}],
 "endpointGroups":[{"name":"g","type":"mqtt5","endpoints":[{"name":"e","type":"mqtt5"}]}]}`

func TestDecodeAll_Documents(t *testing.T) {
	t.Parallel()
	docs, err := apidef.DecodeAll([]byte("name: a\n---\n# nothing\n---\nname: b\ntype: [x]\n---\nkind: Secret\n"))
	if len(docs) != 2 || docs[0].API.Name != "a" || docs[1].API.Name != "b" {
		t.Fatalf("read %d documents", len(docs))
	}
	if len(docs[0].Problems()) != 0 || len(docs[1].Problems()) != 1 {
		t.Errorf("problems: %v and %v", docs[0].Problems(), docs[1].Problems())
	}
	var found apidef.Problems
	if !errors.As(err, &found) || len(found) != 2 {
		t.Fatalf("error is %v", err)
	}
	for i, begin := range []string{"document 2: must be a text", "document 3: must be ApiV4Definition"} {
		if !strings.HasPrefix(found[i].Message, begin) {
			t.Errorf("%q does not begin with %q", found[i].Message, begin)
		}
	}
}

func TestDecodeAll_SyntaxErrorKeepsWhatStoodBefore(t *testing.T) {
	t.Parallel()
	docs, err := apidef.DecodeAll([]byte("name: a\n---\nname: b: c\n"))
	if len(docs) != 1 || err == nil {
		t.Errorf("%d documents, error %v", len(docs), err)
	}
}

// TestDecodeAll_LimitsAreForTheWholeText: many documents are no way around them.
func TestDecodeAll_LimitsAreForTheWholeText(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [" + strings.Repeat("1,", 1000) + "1]\nb: [" + strings.Repeat("*a,", 100) + "*a]\n---\n"
	docs, err := apidef.DecodeAll([]byte(strings.Repeat(bomb, 10)))
	var found apidef.Problems
	if !errors.As(err, &found) || !holds(found, "", apidef.CodeLimit) {
		t.Errorf("%d documents, error %.200v", len(docs), err)
	}
}

func TestDecode_ByteOrderMark(t *testing.T) {
	t.Parallel()
	if _, err := apidef.Decode([]byte("\xef\xbb\xbf" + minimal)); err != nil {
		t.Error(err)
	}
}

func TestDecode_Limits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, message string }{
		{"size", `{"name":"` + strings.Repeat("a", 4<<20) + `"}`, "the limit is 4194304"},
		{"values in json", `{"metadata":[` + strings.Repeat("0,", 200_000) + `0]}`, "more than 200000 values"},
		{"values in yaml", "metadata: [" + strings.Repeat("0,", 200_000) + "0]", "more than 200000 values"},
		{"depth in yaml", "metadata: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "more than 64 deep"},
		{"alias of a long text", "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 20) + "*a]\n", "aliases are expanded"},
		{"problems", `{"name":1,` + manyMembers(1000) + `"type":1}`, "more problems are not shown"},
		{"an error among those not shown", `{"listeners":[{` + manyMembers(600) + `"type":"http"},{"type":1}]}`, "more problems are not shown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := apidef.Decode([]byte(tt.text))
			var found apidef.Problems
			if !errors.As(err, &found) || !strings.Contains(found.Error(), tt.message) {
				t.Errorf("%.300v", err)
			}
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"x` + strings.Repeat("y", i%50) + string(json.Number(strings.Repeat("1", 1+i/50))) + `":1,`)
	}
	return b.String()
}

// TestValidate_PointersIntoBothForms: a Document speaks of the text, an API of the normal form.
func TestValidate_PointersIntoBothForms(t *testing.T) {
	t.Parallel()
	doc, err := apidef.Decode([]byte(`
apiVersion: gravitee.io/v1alpha1
kind: ApiV4Definition
metadata: {name: orders}
spec:
  version: ""
  plans: {Free: {mode: PUSH}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ normal, written, code string }{
		{"/apiVersion", "/spec/version", apidef.CodeMemberMissing},
		{"/type", "/spec/type", apidef.CodeMemberMissing},
		{"/listeners", "/spec/listeners", apidef.CodeMemberMissing},
	} {
		if !holds(doc.Validate(apidef.Validation{}), tt.written, tt.code) {
			t.Errorf("nothing at %s", tt.written)
		}
		if !holds(doc.API.Validate(apidef.Validation{}), tt.normal, tt.code) {
			t.Errorf("nothing at %s", tt.normal)
		}
		if got := doc.Origin(tt.normal); got != tt.written {
			t.Errorf("Origin(%s) = %s, want %s", tt.normal, got, tt.written)
		}
	}
}

// TestValidate_NothingToAsk: without connectors only the structure is checked.
func TestValidate_NothingToAsk(t *testing.T) {
	t.Parallel()
	doc, err := apidef.Decode([]byte(strings.Replace(minimal, "mqtt5", "carrier-pigeon", 2)))
	if err != nil {
		t.Fatal(err)
	}
	if found := doc.Validate(apidef.Validation{}); len(found) != 0 {
		t.Error(found)
	}
	if found := doc.Validate(fakes()); len(found.Errors()) == 0 {
		t.Error("nothing found")
	}
}

// TestValidate_FirstMinute holds the words that a newcomer reads (DESIGN, section 9).
func TestValidate_FirstMinute(t *testing.T) {
	t.Parallel()
	env := fakes()
	env.SupportedQoS = func(string, string) []string { return []string{"none", "auto"} }
	env.Entrypoint = func(string) (apidef.EntrypointInfo, bool) {
		return apidef.EntrypointInfo{Listener: apidef.ListenerHTTP, API: apidef.TypeMessage}, true
	}
	doc, err := apidef.Decode([]byte(strings.Replace(minimal, `"type":"sse"`, `"type":"http-post","qos":"at-least-once"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	const want = "/listeners/0/entrypoints/0/qos  at-least-once is not possible between http-post and mqtt5; choose one of: none, auto"
	if got := doc.Validate(env).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	env.ExplainQoS = func(entrypoint, endpoint, level string) string {
		return strings.Join([]string{entrypoint, endpoint, level, "100% refused"}, " ")
	}
	const explained = "/listeners/0/entrypoints/0/qos  http-post mqtt5 at-least-once 100% refused"
	if got := doc.Validate(env).Error(); got != explained {
		t.Errorf("got  %s\nwant %s", got, explained)
	}
	env.Entrypoint = func(string) (apidef.EntrypointInfo, bool) { return apidef.EntrypointInfo{}, false }
	env.EntrypointTypes, env.Promised = []string{"sse"}, func(typ string) bool { return typ == "http-post" }
	const promised = "/listeners/0/entrypoints/0/type  http-post is not served yet by this version; choose one of: sse"
	if got := doc.Validate(env).Error(); got != promised {
		t.Errorf("got  %s\nwant %s", got, promised)
	}
}

func TestProblems_Err(t *testing.T) {
	t.Parallel()
	warning := apidef.Problem{Severity: apidef.Warning}
	refusal := apidef.Problem{Severity: apidef.Error}
	for _, tt := range []struct {
		name     string
		problems apidef.Problems
		refused  bool
	}{
		{"none", nil, false}, {"warnings", apidef.Problems{warning}, false}, {"both", apidef.Problems{warning, refusal}, true},
	} {
		if got := tt.problems.Err() != nil; got != tt.refused {
			t.Errorf("%s: refused %v, want %v", tt.name, got, tt.refused)
		}
	}
}
