package jsonxml

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies/body"
)

// TestConvert_AsOrgJSON: the outputs are those of org.json 20240303.
func TestConvert_AsOrgJSON(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		In, Want string
		Fails    bool
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		got, _, err := convert(body.Input{Content: []byte(c.In)}, "root")
		if (err != nil) != c.Fails || !c.Fails && string(got) != c.Want {
			t.Errorf("%s\ngot  %s, %v\nwant %s, fails %v", c.In, got, err, c.Want, c.Fails)
		}
	}
}

func TestConvert_Refuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"a b":1}`, `{"a><b":1}`, `{"1":1}`, `{"":1}`, strings.Repeat(`{"a":`, 102) + "1" + strings.Repeat("}", 102),
		`{"a":` + strings.Repeat("[", 110) + strings.Repeat("]", 110) + "}"} {
		if out, _, err := convert(body.Input{Content: []byte(in)}, "root"); err == nil {
			t.Errorf("%.40s: %.40s", in, out)
		}
	}
}

func TestConvert_Charset(t *testing.T) {
	t.Parallel()
	got, _, err := convert(body.Input{Content: []byte("{\"a\":\"\xe9\"}"), ContentType: "application/json; charset=ISO-8859-1"}, "root")
	if err != nil || string(got) != "<root><a>é</a></root>" {
		t.Errorf("%s, %v", got, err)
	}
}

// FuzzConvert: what comes out is XML.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"content":"x<"}],"é":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _, err := convert(body.Input{Content: in}, "root")
		if err != nil || strings.Contains(string(out), "&#x") {
			return // references to what no XML may hold
		}
		d := xml.NewDecoder(strings.NewReader(string(out)))
		for {
			_, err := d.RawToken()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", out, err)
			}
		}
	})
}
