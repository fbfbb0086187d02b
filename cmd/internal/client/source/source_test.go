package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

const definition = `{"name":"NAME","apiVersion":"1","definitionVersion":"4.0.0","type":"message",
"listeners":[{"type":"http","paths":[{"path":"/NAME"}],"entrypoints":[{"type":"sse"}]}],
"endpointGroups":[{"name":"g","type":"mock","endpoints":[{"name":"e","type":"mock"}]}]}`

func named(name string) string { return strings.ReplaceAll(definition, "NAME", name) }

func TestLoad_Expands(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"apis/b.json": named("b"), "apis/a.yaml": named("a"), "apis/deep/c.yml": named("c"),
		"apis/README.md": "no definition", "apis/.hidden.json": "no", "apis/.git/x.json": "no", "single.json": named("d"),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Load([]string{"single.json", "apis", "apis/*.json", "-"}, strings.NewReader(named("e")), apidef.Validation{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range Definitions(files) {
		got = append(got, d.Label()+" "+d.API.Name)
	}
	want := []string{"single.json d", "apis/a.yaml a", "apis/b.json b", "apis/deep/c.yml c", "standard input e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_Refuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, arg, want string }{
		{"missing file", "x.json", "x.json: no such file or directory"},
		{"no match", "x*.json", "x*.json: no file matches"},
		{"empty directory", "empty", "empty: holds no definition (.json, .yaml, .yml)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Load([]string{c.arg}, nil, apidef.Validation{}); err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestLoad_TooLarge(t *testing.T) {
	t.Parallel()
	files, err := Load([]string{"-"}, strings.NewReader(strings.Repeat(" ", 5<<20)), apidef.Validation{})
	if err != nil || files[0].Problems.Err() == nil {
		t.Errorf("%v %v", files, err)
	}
}

func TestLoad_NumbersDocumentsAroundAnUnreadableOne(t *testing.T) {
	t.Parallel()
	text := named("a") + "\n"
	text = "# YAML\n" + text + "---\n- a list\n---\n" + named("c") + "\n"
	files, err := Load([]string{"-"}, strings.NewReader(text), apidef.Validation{})
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, d := range files[0].Definitions {
		labels = append(labels, d.Label())
	}
	if diff := cmp.Diff([]string{"standard input (document 1)", "standard input (document 3)"}, labels); diff != "" {
		t.Error(diff)
	}
	if errs := files[0].Problems.Errors(); len(errs) != 1 || !strings.HasPrefix(errs[0].Message, "document 2: ") {
		t.Errorf("%v", errs)
	}
}

func TestDefinition_CrossID(t *testing.T) {
	t.Parallel()
	manifest := func(metadata, spec string) *Definition {
		doc, err := apidef.Decode([]byte(`{"apiVersion":"gravitee.io/v1alpha1","kind":"ApiV4Definition","metadata":` + metadata + `,"spec":` + spec + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return &Definition{Document: doc}
	}
	spec := strings.Replace(named("a"), `"apiVersion"`, `"version"`, 1)
	own := manifest(`{"name":"a"}`, strings.Replace(spec, "{", `{"crossId":"mine",`, 1))
	if own.CrossID() != "mine" {
		t.Errorf("%s, want the definition's own", own.CrossID())
	}
	if a, b := manifest(`{"name":"a"}`, spec), manifest(`{"name":"a","namespace":"default"}`, spec); a.CrossID() == "" || a.CrossID() != b.CrossID() {
		t.Errorf("%s and %s, want the same", a.CrossID(), b.CrossID())
	}
	if a, b := manifest(`{"name":"a","namespace":"x"}`, spec), manifest(`{"name":"a","namespace":"y"}`, spec); a.CrossID() == b.CrossID() {
		t.Error("two namespaces have one crossId")
	}
}
