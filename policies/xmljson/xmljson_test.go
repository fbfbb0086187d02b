package xmljson

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies/body"
)

// TestConvert_AsOrgJSON: the outputs are those of org.json 20240303, by value: it does not keep the order of members.
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
		got, _, err := convert(body.Input{Content: []byte(c.In)})
		if (err != nil) != c.Fails {
			t.Errorf("%s\ngot  %s, %v\nwant %s, fails %v", c.In, got, err, c.Want, c.Fails)
			continue
		}
		if err != nil {
			continue
		}
		var a, b any
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%s became %s: %v", c.In, got, err)
		}
		if err := json.Unmarshal([]byte(c.Want), &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s\ngot  %s\nwant %s", c.In, got, c.Want)
		}
	}
}

func TestConvert_Refuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"text", "<a>&x;</a>", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "<a></b>", "<a>", "</a>", "<a/>text",
		strings.Repeat("<a>", 101) + strings.Repeat("</a>", 101)} {
		if out, _, err := convert(body.Input{Content: []byte(in)}); err == nil {
			t.Errorf("%.40s: %.40s", in, out)
		}
	}
}

func TestConvert_Order(t *testing.T) {
	t.Parallel()
	got, _, err := convert(body.Input{Content: []byte(`<?xml version="1.0" encoding="ISO-8859-1"?><z b="1" a="2"><y>` + "\xe9" + `</y><x/></z>`), ContentType: "text/xml; charset=latin1"})
	if want := `{"z":{"b":1,"a":2,"y":"é","x":""}}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// FuzzConvert: what comes out is JSON.
func FuzzConvert(f *testing.F) {
	for _, s := range []string{`<a b="1">x<c/>-1.5e3</a>`, `<a><![CDATA[x]]>&#65;</a>`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if out, _, err := convert(body.Input{Content: in}); err == nil && !json.Valid(out) {
			t.Fatalf("%s", out)
		}
	})
}
