//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"testing"
)

// TestProperties_EncryptedFromSaveToFlow: the value goes in plain once, no answer has it, and the flows of the worker do.
func TestProperties_EncryptedFromSaveToFlow(t *testing.T) {
	t.Parallel()
	dev := sharedDev(t)
	def := decode(t, mockOf(t, "/encrypted", entrypoint("http-get", "AUTO", object{"messagesLimitCount": 1})))
	def["properties"] = []object{{"key": "password", "value": "s3cret", "encryptable": true}}
	def["flows"] = []object{{"response": []object{{"policy": "transform-headers", "configuration": object{
		"addHeaders": []object{{"name": "X-Length", "value": "{#properties['password'].length()}"}, {"name": "X-First", "value": "{#properties['password'].charAt(0)}"}}}}}}}
	id := deploy(t, dev, encode(t, def))
	a, err := dev.Do(t.Context(), "GET", "/v4/apis/"+id, nil)
	if err != nil || a.Status != http.StatusOK || bytes.Contains(a.Body, []byte("s3cret")) || !bytes.Contains(a.Body, []byte(`"v1:`)) {
		t.Errorf("read: %d %s %v", a.Status, a.Body, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dev.Gateway+"/encrypted", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("X-Length") + resp.Header.Get("X-First"); resp.StatusCode != http.StatusOK || got != "6s" {
		t.Errorf("answer %d, %q", resp.StatusCode, got)
	}
}
