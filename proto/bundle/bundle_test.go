package bundle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/bundle"
)

// golden pins the encoding: a worker of this version must read what a control plane of the next one sends.
const golden = `{"v":1,"organization":"o","environment":"e","deployedAt":1795305600000,"api":{"id":"a","name":"n","type":"message","apiVersion":"1","definitionVersion":"4.0.0"}}`

var example = bundle.Bundle{Organization: "o", Environment: "e", DeployedAt: time.UnixMilli(1795305600000).UTC(),
	API: &apidef.API{ID: "a", Name: "n", Type: apidef.TypeMessage, APIVersion: "1", DefinitionVersion: "4.0.0"}}

func TestBundle_RoundTrip(t *testing.T) {
	t.Parallel()
	got, err := bundle.Encode(example)
	if err != nil || string(got) != golden {
		t.Fatalf("encoded %s, %v", got, err)
	}
	back, err := bundle.Decode(got)
	if diff := cmp.Diff(example, back); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, data string
		want       error
	}{
		{"later version", `{"v":2,"api":{}}`, bundle.ErrVersion},
		{"no definition", `{"v":1}`, bundle.ErrEmpty},
		{"not JSON", `{`, nil},
	} {
		if _, err := bundle.Decode([]byte(c.data)); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(golden))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Decode(data)
		if err == nil && b.API == nil {
			t.Error("no error and no definition")
		}
	})
}
