package apidef_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

var dialects = []apidef.Dialect{apidef.Gateway, apidef.Management, apidef.CRD}

type encoder struct {
	name   string
	encode func(*apidef.API, apidef.Dialect) ([]byte, error)
}

var encoders = []encoder{{"Encode", apidef.Encode}, {"EncodeYAML", apidef.EncodeYAML}}

// TestEncode_RoundTrip: what is written in a dialect is read back the same, and Hash does not see the dialect.
func TestEncode_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects {
		for _, e := range encoders {
			t.Run(string(dialect)+" "+e.name, func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, drawAPI(t), dialect, e) })
			})
		}
	}
}

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Fatalf(format string, args ...any)
}

func checkRoundTrip(t failer, api *apidef.API, dialect apidef.Dialect, e encoder) {
	text, err := e.encode(api, dialect)
	if err != nil {
		t.Fatalf("%s %s: %v", e.name, dialect, err)
	}
	doc, err := apidef.Decode(text)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", e.name, dialect, err, text)
	}
	if diff := cmp.Diff(api, doc.API); diff != "" {
		t.Fatalf("%s %s (-written +read):\n%s\n%s", e.name, dialect, diff, text)
	}
	if api.Hash() != doc.API.Hash() {
		t.Fatalf("%s %s: another hash", e.name, dialect)
	}
}

func TestEncode_Management(t *testing.T) {
	t.Parallel()
	doc, err := apidef.Decode(readFile(t, "testdata/seeds/message.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dialect := range dialects {
		text, err := apidef.EncodeYAML(doc.API, dialect)
		if err != nil {
			t.Fatal(err)
		}
		compareText(t, "testdata/encode/message."+string(dialect)+".yaml", text)
	}
}

func TestEncode_BrokenConfiguration(t *testing.T) {
	t.Parallel()
	api := &apidef.API{Name: "orders", Listeners: []apidef.Listener{{Entrypoints: []apidef.Entrypoint{{Configuration: []byte("{")}}}}}
	if text, err := apidef.Encode(api, apidef.Gateway); err == nil {
		t.Errorf("written as %s", text)
	}
	found := api.Validate(apidef.Validation{})
	if !holds(found, "/listeners/0/entrypoints/0/configuration", apidef.CodeMalformed) {
		t.Errorf("not reported:\n%v", found)
	}
}

func TestEncodeManifest_Name(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, api, given, want string }{
		{"given", "Orders", "orders-v2", "orders-v2"},
		{"made", "Data Ingestion to Kafka!", "", "data-ingestion-to-kafka"},
		{"nothing left", "日本", "", "api"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, err := apidef.EncodeManifest(&apidef.API{Name: tt.api}, tt.given, "shop")
			if err != nil {
				t.Fatal(err)
			}
			doc, _ := apidef.Decode(text)
			if doc.Name != tt.want || doc.Namespace != "shop" {
				t.Errorf("is %s/%s, want shop/%s", doc.Namespace, doc.Name, tt.want)
			}
		})
	}
}

func TestClone_SharesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		api := drawAPI(t)
		before, err := apidef.Encode(api, apidef.Gateway)
		if err != nil {
			t.Fatal(err)
		}
		copied := api.Clone()
		if diff := cmp.Diff(api, copied); diff != "" {
			t.Fatal(diff)
		}
		spoil(copied)
		after, err := apidef.Encode(api, apidef.Gateway)
		if err != nil || string(before) != string(after) {
			t.Fatalf("changed with its clone: %v", err)
		}
	})
}

// spoil overwrites what a shallow copy would share.
func spoil(a *apidef.API) {
	for i := range a.Listeners {
		for j := range a.Listeners[i].Entrypoints {
			clear(a.Listeners[i].Entrypoints[j].Configuration)
		}
		clear(a.Listeners[i].Paths)
	}
	clear(a.Plans)
	clear(a.Unknown)
	clear(a.ResponseTemplates)
	if a.Analytics != nil {
		*a.Analytics = apidef.Analytics{}
	}
}

func TestHash_WhatIsServed(t *testing.T) {
	t.Parallel()
	base := func() *apidef.API {
		return &apidef.API{
			Name: "orders", Type: apidef.TypeMessage,
			EndpointGroups: []apidef.EndpointGroup{{Name: "g", SharedConfiguration: []byte(`{"a":1,"b":2}`)}},
			Plans:          []apidef.Plan{{Name: "Free", Status: apidef.PlanStaging}},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*apidef.API)
		differ bool
	}{
		{"name", func(a *apidef.API) { a.Name = "sales" }, false},
		{"labels", func(a *apidef.API) { a.Labels = []string{"x"} }, false},
		{"plan name", func(a *apidef.API) { a.Plans[0].Name = "x" }, false},
		{"order in an opaque object", func(a *apidef.API) { a.EndpointGroups[0].SharedConfiguration = []byte(`{ "b":2, "a":1 }`) }, false},
		{"opaque value", func(a *apidef.API) { a.EndpointGroups[0].SharedConfiguration = []byte(`{"a":1,"b":3}`) }, true},
		{"plan status", func(a *apidef.API) { a.Plans[0].Status = apidef.PlanPublished }, true},
		{"tags", func(a *apidef.API) { a.Tags = []string{"eu"} }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := base()
			tt.change(changed)
			if differ := changed.Hash() != base().Hash(); differ != tt.differ {
				t.Errorf("differs: %v, want %v", differ, tt.differ)
			}
		})
	}
}

func holds(found apidef.Problems, pointer, code string) bool {
	for _, p := range found {
		if p.Pointer == pointer && p.Code == code {
			return true
		}
	}
	return false
}
