package flow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

// TestProperties_AreOpened: expressions see the plain value, resources too; without the right key the API is refused, but not
// where it is only checked.
func TestProperties_AreOpened(t *testing.T) {
	t.Parallel()
	key := func(letter string) *sealed.Key {
		k, err := sealed.NewKey(strings.Repeat(letter, 32))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name  string
		key   *sealed.Key
		built string
	}{{"the key", key("k"), "build it is s3cret 0"}, {"another key", key("o"), ""}, {"no key", nil, ""}} {
		var d diary
		cfg, deployment := usingResources(&d, `[{"name":"one","type":"store","configuration":{"name":"it is {#properties['password']}"}}]`, `[]`)
		cfg.Properties = c.key
		deployment.API.Properties = []apidef.Property{{Key: "password", Value: key("k").Seal("password", "s3cret"), Encrypted: true}}
		if found := flow.Check(cfg, deployment).Errors(); len(found) > 0 {
			t.Errorf("%s, checked: %v", c.name, found)
		}
		d.lines = nil
		api, err := flow.New(cfg, deployment)
		var ps apidef.Problems
		switch {
		case c.built != "" && (err != nil || d.lines[0] != c.built):
			t.Errorf("%s: %q, %v", c.name, d.lines, err)
		case c.built == "" && (!errors.As(err, &ps) || api != nil || ps[0].Pointer != "/properties/0/value" || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
