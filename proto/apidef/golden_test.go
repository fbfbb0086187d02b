package apidef_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

var update = flag.Bool("update", false, "write the golden files")

// outcome is what a golden file holds: what the text was read as, and all that is wrong with it.
type outcome struct {
	Dialect   apidef.Dialect  `json:"dialect,omitempty"`
	Name      string          `json:"metadataName,omitempty"`
	Namespace string          `json:"metadataNamespace,omitempty"`
	API       *apidef.API     `json:"api,omitempty"`
	Problems  apidef.Problems `json:"problems"`
}

func outcomeOf(data []byte) outcome {
	doc, err := apidef.Decode(data)
	if doc == nil {
		problems, _ := err.(apidef.Problems)
		return outcome{Problems: problems}
	}
	return outcome{Dialect: doc.Dialect, Name: doc.Name, Namespace: doc.Namespace, API: doc.API, Problems: doc.Validate(fakes())}
}

func TestDecode_Golden(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t, "testdata", "testdata/seeds") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			got := outcomeOf(readFile(t, file))
			for _, p := range got.Problems {
				if p.Message == "" || p.Code == "" || p.Severity == "" {
					t.Errorf("half a problem: %+v", p)
				}
			}
			compareGolden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", got)
		})
	}
}

// TestCodes_AllShown keeps a case for every code that the package can report.
func TestCodes_AllShown(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, file := range cases(t, "testdata") {
		for _, p := range outcomeOf(readFile(t, file)).Problems {
			shown[p.Code] = true
		}
	}
	elsewhere := map[string]string{
		apidef.CodePathExists:         "TestPathConflicts",
		apidef.CodeListenerHostExists: "TestPathConflicts",
	}
	declared := regexp.MustCompile(`(?m)^\s+Code\w+\s+= "([^"]+)"`).FindAllSubmatch(readFile(t, "codes.go"), -1)
	for _, code := range declared {
		if code := string(code[1]); !shown[code] && elsewhere[code] == "" {
			t.Errorf("no case shows %s", code)
		}
	}
}

// cases are the definitions in some folders.
func cases(t testing.TB, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		for _, ext := range []string{"*.json", "*.yaml"} {
			files, err := filepath.Glob(filepath.Join(folder, ext))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s in %s: %v", ext, folder, err)
			}
			all = append(all, files...)
		}
	}
	return all
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compareGolden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	compareText(t, name, b.Bytes())
}

func compareText(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(readFile(t, name)), string(got)); diff != "" {
		t.Errorf("%s (-want +got); refresh with -update:\n%s", name, diff)
	}
}
