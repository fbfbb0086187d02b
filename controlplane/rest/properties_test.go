package rest

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/management"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

func propertiesOf(value string, encrypted, encryptable bool) map[string]any {
	return map[string]any{"properties": []any{map[string]any{"key": "password", "value": value, "encrypted": encrypted, "encryptable": encryptable}}}
}

// TestProperties_AreEncryptedWhenTheyAreSaved: the plain value is in no answer and not in the record, a definition that is sent back is
// taken, and what no worker could open is refused.
func TestProperties_AreEncryptedWhenTheyAreSaved(t *testing.T) {
	t.Parallel()
	key, err := sealed.NewKey(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *Config, _ *Deps) { c.Properties = key })
	a := s.do("POST", s.root+"/", definition(propertiesOf("s3cret", false, true))).want(t, 201, "")
	id, _ := a.body["id"].(string)
	read := s.do("GET", s.root+"/"+id, "").want(t, 200, "")
	record := string(s.r.State().API(id).Definition)
	for what, text := range map[string]string{"answer": a.Body.String(), "read": read.Body.String(), "record": record} {
		if strings.Contains(text, "s3cret") || !strings.Contains(text, key.Seal("password", "s3cret")) {
			t.Errorf("%s: %s", what, text)
		}
	}
	s.do("PUT", s.root+"/"+id, read.Body.String()).want(t, 200, "")
	s.do("PUT", s.root+"/"+id, definition(propertiesOf("s3cret", false, true))).want(t, 200, "")
	if again := string(s.r.State().API(id).Definition); again != record {
		t.Errorf("saved again as %s, was %s", again, record)
	}
	s.do("PUT", s.root+"/"+id, definition(propertiesOf("s3cret", true, false))).want(t, 400, management.CodePropertySealed)
	s.do("PUT", s.root+"/"+id, definition(propertiesOf("plain", false, false))).want(t, 200, "")
}

func TestProperties_AreRefusedWithoutAKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("POST", s.root+"/", definition(propertiesOf("s3cret", false, true))).want(t, 400, management.CodePropertySealed)
	if !strings.Contains(a.Body.String(), "/properties/0/encryptable") || strings.Contains(a.Body.String(), "s3cret") {
		t.Errorf("%s", a.Body)
	}
}
