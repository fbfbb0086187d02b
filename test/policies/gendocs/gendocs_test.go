package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// compiled is the schema of a subject.
func compiled(t *testing.T, s *subject, src *sources) *jsonschema.Schema {
	t.Helper()
	text, err := s.schema(src)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:test", doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile("urn:test")
	if err != nil {
		t.Fatalf("%s: %v", s.id, err)
	}
	return out
}

func fits(t *testing.T, schema *jsonschema.Schema, configuration any) error {
	t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// TestSchemas_FitTheTables: what a policy takes in a test fits its schema.
func TestSchemas_FitTheTables(t *testing.T) {
	t.Parallel()
	src := &sources{root: "../../..", packages: map[string]*source{}}
	for _, s := range subjects() {
		if s.config == nil {
			continue
		}
		schema := compiled(t, &s, src)
		files, err := filepath.Glob(filepath.Join(src.root, strings.TrimPrefix(s.pkg, module), "testdata", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var cases []struct {
				Name, Policy  string
				Configuration map[string]any
				Want          any
			}
			if err := yaml.Unmarshal(data, &cases); err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				if c.Want == nil || c.Policy != "" && c.Policy != s.id || c.Policy == "" && !s.single || c.Configuration == nil {
					continue
				}
				if err := fits(t, schema, c.Configuration); err != nil {
					t.Errorf("%s, %s: %v", s.id, c.Name, err)
				}
			}
		}
	}
}

// sample is a configuration with everything that one may have.
type sample struct {
	// Name is required. The Count of Inner counts.
	Name string `json:"name"`
	// On and Off are switches (spec 1.2).
	On  bool  `json:"on"`
	Off *bool `json:"off"`
	// Count is a number (policies.md 0.1).
	Count int64 `json:"count"`
	// Share is a part.
	Share float64 `json:"share"`
	// Inner are more.
	Inner []*sample `json:"inner"`
	// ByName are more.
	ByName map[string]sample `json:"byName"`
	// Any is anything.
	Any    json.RawMessage `json:"any"`
	hidden int
}

// ofSample has the comments of sample, which stand in a test.
func ofSample(t *testing.T) *sources {
	t.Helper()
	src := &sources{root: "../../..", packages: map[string]*source{}}
	pkg := reflect.TypeFor[sample]().PkgPath()
	src.packages[pkg] = &source{fields: map[string]map[string]string{"sample": {"Name": "Name is required. The Count of ByName counts.\n", "On": "On and Off are\nswitches (spec 1.2).",
		"Off": "On and Off are switches (spec 1.2).", "Count": "c", "Share": "s", "Inner": "i", "ByName": "b", "Any": "a", "hidden": "h"}}}
	return src
}

func TestSchema_IsAsLenientAsWhatReadsIt(t *testing.T) {
	t.Parallel()
	s := subject{kind: "policy", id: "sample", name: "Sample", config: &sample{Count: 7, hidden: 1}}
	schema := compiled(t, &s, ofSample(t))
	for text, good := range map[string]bool{
		`{}`: true, `{"name":"n","on":"true","off":null,"count":"-3","share":1.5,"inner":[{"name":"m"}],"byName":{"x":{"count":1}},"any":[1],"unknown":1}`: true,
		`{"on":"perhaps"}`: false, `{"count":"x"}`: false, `{"count":1.5}`: false, `{"inner":{}}`: false, `{"inner":[{"count":"x"}]}`: false,
		`{"byName":{"x":{"on":3}}}`: false, `{"name":{}}`: false, `[]`: false,
	} {
		if err := fits(t, schema, json.RawMessage(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPage_TellsTheConfiguration(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := ofSample(t).table(&out, "", reflect.ValueOf(sample{Count: 7}), map[reflect.Type]bool{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `name` | text |  | `name` is required. The Count of `byName` counts. |",
		"| `off` | boolean |  | `on` and Off are switches. |",
		"| `count` | whole number | `7` | c |",
		"| `inner` | list of objects |  | i |",
		"| `any` | any JSON |  | a |",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no line %s in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "hidden") {
		t.Error("an unexported field is told")
	}
}

func TestIntroduction(t *testing.T) {
	t.Parallel()
	if got := introduction("Package x is the policy \"x\" (policies.md 3.1): it\nworks (spec 2.9).\n\nMore.\n"); got != "This is the policy \"x\": it\nworks.\n\nMore.\n" {
		t.Errorf("%q", got)
	}
}
