//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// TestBadInput_NothingIsStored sends what must be refused: each is answered 4xx with all its problems, and the list of
// APIs stays empty.
func TestBadInput_NothingIsStored(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--no-samples")
	ok := string(apiOf(t, "ok", "/ok", "127.0.0.1:9", "x", entrypoint("http-post", "AUTO", nil)))
	edit := func(from, to string) string {
		if !strings.Contains(ok, from) {
			t.Fatalf("no %s in %s", from, ok)
		}
		return strings.Replace(ok, from, to, 1)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		says   []string
	}{
		"malformed":         {ok[:40], 400, []string{"line"}},
		"oversized":         {`{"name":"` + strings.Repeat("x", 5<<20) + `"}`, 413, nil},
		"wrong types":       {`{"name":1,"apiVersion":{},"definitionVersion":"V4","type":"MESSAGE","listeners":{},"endpointGroups":[7]}`, 400, []string{"/apiVersion", "/listeners", "/endpointGroups/0"}},
		"unknown connector": {edit(`"type":"http-post"`, `"type":"http-pots"`), 400, []string{"http-pots", "http-post", "/listeners/0/entrypoints/0/type"}},
		"duplicate path":    {edit(`[{"path":"/ok"}]`, `[{"path":"/ok"},{"path":"/ok/"}]`), 400, []string{"/listeners/0/paths/1", "duplicated"}},
		"unsupported qos":   {edit(`"AUTO"`, `"AT_LEAST_ONCE"`), 400, []string{"at-least-once is not possible between http-post and kafka; choose one of: none, auto"}},
		"two at once":       {strings.Replace(edit(`"AUTO"`, `"SOMETIMES"`), `"type":"http-post"`, `"type":"http-pots"`, 1), 400, []string{"http-pots", "SOMETIMES"}},
		"missing bootstrap": {edit(`"bootstrapServers":"127.0.0.1:9"`, `"bootstrapServer":"127.0.0.1:9"`), 400, []string{"bootstrapServers"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := dev.Do(t.Context(), http.MethodPost, "/v4/apis", []byte(c.body))
			if err != nil || a.Status != c.status {
				t.Fatalf("%d %s %v; want %d", a.Status, a.Body, err, c.status)
			}
			for _, s := range c.says {
				if !strings.Contains(string(a.Body), s) {
					t.Errorf("the answer does not say %q: %s", s, a.Body)
				}
			}
			var body struct {
				Message string `json:"message"`
			}
			if err := json.Unmarshal(a.Body, &body); err != nil || body.Message == "" {
				t.Errorf("not an error body: %s", a.Body)
			}
		})
	}
	a, err := dev.Do(t.Context(), http.MethodGet, "/v4/apis", nil)
	if err != nil || strings.Contains(string(a.Body), `"id"`) {
		t.Errorf("something was stored: %s %v", a.Body, err)
	}
}

// TestBadInput_ConflictingPath refuses the path of another API, and what cannot be authenticated.
func TestBadInput_ConflictingPath(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--no-samples")
	deploy(t, dev, mockAPI(t, "first", "/taken"))
	a, err := dev.Do(t.Context(), http.MethodPost, "/v4/apis", mockAPI(t, "second", "/taken"))
	if err != nil || a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), "api.listener.paths.path.exists") {
		t.Errorf("%d %s %v", a.Status, a.Body, err)
	}
	stranger := process.Management{URL: dev.URL, Token: "wrong"}
	if a, err := stranger.Do(t.Context(), http.MethodGet, "/v4/apis", nil); err != nil || a.Status != http.StatusUnauthorized {
		t.Errorf("wrong token: %d %s %v", a.Status, a.Body, err)
	}
}

// TestBadInput_OldRevisionKeepsServing updates a served API to one that decodes but cannot be built: it is stored, the
// deploy fails with the reason, and the old revision serves on.
func TestBadInput_OldRevisionKeepsServing(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--no-samples")
	id := deploy(t, dev, mockAPI(t, "steady", "/steady"))
	bad := apiOf(t, "steady", "/steady", "wrong", "x", entrypoint("http-post", "AUTO", nil))
	a, err := dev.Do(t.Context(), http.MethodPut, "/v4/apis/"+id, bad)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("a definition that decodes is stored: %d %s %v", a.Status, a.Body, err)
	}
	a, err = dev.Do(t.Context(), http.MethodPost, "/v4/apis/"+id+"/deploy?wait=10s", nil)
	if err != nil || a.Status/100 == 2 || !strings.Contains(string(a.Body), "wrong") {
		t.Errorf("deploy: %d %s %v; want the reason", a.Status, a.Body, err)
	}
	if status, body, err := post(t.Context(), dev.Gateway+"/steady", "x"); err != nil || status != http.StatusAccepted {
		t.Errorf("the old revision: %d %s %v", status, body, err)
	}
}

// TestBadInput_Gateway asks the gateway for what it does not have.
func TestBadInput_Gateway(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--no-samples")
	deploy(t, dev, apiOf(t, "down", "/down", "127.0.0.1:9", "x", entrypoint("http-post", "AUTO", nil), entrypoint("sse", "AUTO", nil)))
	status, body, err := get(t.Context(), dev.Gateway+"/nowhere")
	if err != nil || status != http.StatusNotFound || body != "No context-path matches the request URI." {
		t.Errorf("unknown path: %d %q %v", status, body, err)
	}
	status, _, err = post(t.Context(), dev.Gateway+"/down", strings.Repeat("x", 5<<20))
	if err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("body over the limit: %d", status)
	}
	at := time.Now()
	status, body, err = post(t.Context(), dev.Gateway+"/down", "x", "Accept", "application/json")
	if err != nil || status/100 != 5 || !strings.Contains(body, "http_status_code") {
		t.Errorf("broker down: %d %s %v", status, body, err)
	}
	if took := time.Since(at); took > requestTimeout+slack {
		t.Errorf("the answer took %s", took)
	}
	if _, err := dialSSE(t.Context(), dev.Gateway+"/down"); err == nil || !strings.Contains(err.Error(), "status 50") {
		t.Errorf("stream with the broker down: %v", err)
	}
}
