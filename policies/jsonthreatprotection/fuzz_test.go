package jsonthreatprotection

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzDocument: what the walk takes is valid JSON, and with limits off and members at will it takes all that is.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"x"}`, `[]`, `1`, `{"a":1,"a":2}`, `{} {}`, `[[`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	p := &policy{Config{-1, -1, 1000, -1, -1, false, false}}
	p.MaxDepth, p.MaxArraySize = -1, -1
	f.Fuzz(func(t *testing.T, data []byte) {
		w := walk{policy: p, dec: json.NewDecoder(bytes.NewReader(data))}
		if key, err := w.document(); (key == "") != json.Valid(data) {
			t.Errorf("%q: %s %v, valid: %v", data, key, err, json.Valid(data))
		}
	})
}
