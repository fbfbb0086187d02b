package describe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-gateway/sluice/controlplane/describe"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

var update = flag.Bool("update", false, "write the golden files")

// formats are the documents, and the official schemas that they are held against.
var formats = []struct {
	name, schema string
	make         func(*apidef.API, describe.Options) (map[string]any, error)
}{
	{"asyncapi", "asyncapi-3.0.0.schema.json", describe.AsyncAPI},
	{"openapi", "openapi-3.1.schema.json", describe.OpenAPI},
}

func load(t *testing.T, file string) *apidef.API {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := apidef.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc.API
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err = c.AddResource("http://localhost/"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("http://localhost/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDocuments_ValidAndAsBefore makes both documents of each definition and of the seeds' samples, and holds them against the
// official schemas.
func TestDocuments_ValidAndAsBefore(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seeds, err := filepath.Glob("../../proto/apidef/testdata/seeds/*.yaml")
	if err != nil || len(seeds) == 0 {
		t.Fatal(seeds, err)
	}
	for _, f := range formats {
		schema := compile(t, f.schema)
		for i, file := range append(files, seeds...) {
			name := strings.TrimSuffix(filepath.Base(file), ".yaml")
			t.Run(f.name+"/"+name, func(t *testing.T) {
				o := describe.Options{}
				if strings.HasPrefix(name, "orders") {
					o.Gateway = "https://gateway.example.com"
				}
				made, err := f.make(load(t, file), o)
				var got []byte
				if errors.Is(err, describe.ErrNothing) {
					got = []byte(err.Error() + "\n")
				} else if err != nil {
					t.Fatal(err)
				} else {
					got, err = json.MarshalIndent(made, "", "  ")
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, '\n')
					v, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
					if err != nil {
						t.Fatal(err)
					}
					if err := schema.Validate(v); err != nil {
						t.Errorf("is not valid: %#v", err)
					}
				}
				if i < len(files) {
					golden(t, filepath.Join("testdata", name+"."+f.name+".golden"), got)
				}
			})
		}
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("differs from %s:\n%s", file, diff)
	}
}

// TestDocuments_SchemaRefusesNonsense shows that the schemas are looked at.
func TestDocuments_SchemaRefusesNonsense(t *testing.T) {
	for _, f := range formats {
		made, err := f.make(load(t, "testdata/orders.yaml"), describe.Options{})
		if err != nil {
			t.Fatal(err)
		}
		delete(made, "info")
		text, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if compile(t, f.schema).Validate(v) == nil {
			t.Errorf("%s: valid without info", f.name)
		}
	}
}

func TestOptions_GatewayRefused(t *testing.T) {
	for _, gateway := range []string{"localhost:8082", "ftp://x", "http://", "://"} {
		if _, err := describe.OpenAPI(load(t, "testdata/open.yaml"), describe.Options{Gateway: gateway}); err == nil || errors.Is(err, describe.ErrNothing) {
			t.Errorf("%q: %v", gateway, err)
		}
	}
}
