package client_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// law is a validation that knows the connectors of the seeds, and that no socket promises at-least-once.
var law = apidef.Validation{
	Entrypoint: func(typ string) (apidef.EntrypointInfo, bool) {
		info, ok := map[string]apidef.EntrypointInfo{
			"http-post":    {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: []string{"none", "auto"}, Modes: []string{"publish"}},
			"sse":          {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: []string{"none", "auto", "at-most-once", "at-least-once"}, Modes: []string{"subscribe"}},
			"websocket":    {Listener: apidef.ListenerHTTP, API: apidef.TypeMessage, QoS: []string{"none", "auto"}, Modes: []string{"publish", "subscribe"}},
			"webhook":      {Listener: apidef.ListenerSubscription, API: apidef.TypeMessage, QoS: []string{"none", "auto"}, Modes: []string{"subscribe"}},
			"http-proxy":   {Listener: apidef.ListenerHTTP, API: apidef.TypeProxy},
			"native-kafka": {Listener: apidef.ListenerKafka, API: apidef.TypeNative},
		}[typ]
		return info, ok
	},
	EntrypointTypes: []string{"http-post", "http-proxy", "native-kafka", "sse", "websocket"},
	Endpoint: func(typ string) (apidef.EndpointInfo, bool) {
		info, ok := map[string]apidef.EndpointInfo{
			"kafka":        {API: apidef.TypeMessage, QoS: []string{"none", "auto", "at-most-once", "at-least-once"}, Modes: []string{"publish", "subscribe"}},
			"mqtt5":        {API: apidef.TypeMessage, QoS: []string{"none", "auto", "at-most-once", "at-least-once"}, Modes: []string{"publish", "subscribe"}},
			"http-proxy":   {API: apidef.TypeProxy},
			"native-kafka": {API: apidef.TypeNative},
		}[typ]
		return info, ok
	},
	EndpointTypes: []string{"http-proxy", "kafka", "mqtt5", "native-kafka"},
	SupportedQoS: func(entrypoint, _ string) []string {
		if entrypoint == "sse" {
			return []string{"none", "auto", "at-most-once", "at-least-once"}
		}
		return []string{"none", "auto"}
	},
	CheckEndpoint: func(_ string, cfg, shared json.RawMessage) apidef.Problems {
		if strings.Contains(string(cfg)+string(shared), "bootstrapServers") || !strings.Contains(string(cfg), "topics") {
			return nil
		}
		return apidef.Problems{{Pointer: apidef.InConfiguration + "/bootstrapServers", Code: "data.invalid", Severity: apidef.Error,
			Message: `is required, e.g. "broker-1:9092,broker-2:9092"`}}
	},
}

const wrong = `{
  "name": "ingest", "apiVersion": "1.0", "definitionVersion": "4.0.0", "type": "message",
  "listeners": [{"type": "http", "paths": [{"path": "/in"}], "entrypoints": [{"type": "http-post", "qos": "at-least-once"}]}],
  "endpointGroups": [{"name": "default", "type": "mqtt5", "endpoints": [{"name": "default", "type": "mqtt5", "configuration": {"topics": ["in"]}}]}],
  "plans": [{"name": "Keyless", "security": {"type": "KEY_LESS"}, "status": "published"}]
}`

func TestValidate(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "wrong.json", wrong)
	write(t, ".", "orders.yaml", orders)
	write(t, ".", "warned.yaml", orders+"colour: blue\n")
	write(t, ".", "broken.json", `{"name": "x",}`)
	write(t, ".", "empty.yaml", "\n")
	write(t, ".", "two.yaml", orders+"---\n"+strings.ReplaceAll(orders, "orders-stream", "other")+"---\n- no\n")
	write(t, ".", "again.yaml", orders)
	for _, c := range []struct {
		name, args, stdin string
	}{
		{"seeds", "-f " + seeds, ""},
		{"seeds-json", "-f " + seeds + " -o json", ""},
		{"ok", "-f orders.yaml", ""},
		{"stdin", "-f -", wrong},
		{"two-problems", "-f wrong.json", ""},
		{"two-problems-json", "-f wrong.json -o json", ""},
		{"two-problems-yaml", "-f wrong.json -o yaml", ""},
		{"warning", "warned.yaml", ""},
		{"broken", "-f broken.json -f empty.yaml", ""},
		{"documents", "-f two.yaml", ""},
		{"twice", "-f orders.yaml -f again.yaml", ""},
		{"pattern", "-f w*", ""},
		{"missing", "-f nothing.yaml", ""},
		{"missing-pattern", "-f nothing*.yaml", ""},
		{"nothing", "", ""},
	} {
		got := runEnv(t, law, "", c.stdin, append([]string{"validate"}, strings.Fields(c.args)...)...)
		golden(t, c.name, got, seeds, "SEEDS")
	}
}

// TestApply_RefusedBeforeTheFirstWrite is the error of the first minute, to the word.
func TestApply_RefusedBeforeTheFirstWrite(t *testing.T) {
	f, url := newFake(t)
	t.Chdir(t.TempDir())
	write(t, ".", "api.json", wrong)
	write(t, ".", "orders.yaml", orders)
	golden(t, "text", runEnv(t, law, url, "", "apply", "-f", "orders.yaml", "-f", "api.json"))
	golden(t, "json", runEnv(t, law, url, "", "apply", "-f", "orders.yaml", "-f", "api.json", "-o", "json"))
	if len(f.requests) > 0 {
		t.Errorf("the server was asked: %v", f.requests)
	}
}

func TestApply_Seeds(t *testing.T) { onBoth(t, applySeeds) }

func applySeeds(t *testing.T, on server) {
	url := on.url
	golden(t, on.name+"/first", runEnv(t, law, url, "", "apply", "-f", seeds), seeds, "SEEDS")
	golden(t, on.name+"/second", runEnv(t, law, url, "", "apply", "-f", seeds), seeds, "SEEDS")
	golden(t, on.name+"/apis", runEnv(t, law, url, "", "get", "apis", "-o", "wide"))
}

// manifest is orders as a Kubernetes manifest under a name of its own.
func manifest(name, apiName, path string) string {
	return `apiVersion: gravitee.io/v1alpha1
kind: ApiV4Definition
metadata: {name: ` + name + `, namespace: shop}
spec:
  name: ` + apiName + `
  version: "1.0"
  type: MESSAGE
  listeners:
    - {type: HTTP, paths: [{path: ` + path + `}], entrypoints: [{type: sse}]}
  endpointGroups:
    - {name: default, type: kafka, endpoints: [{name: default, type: kafka, configuration: {bootstrapServers: "kafka:9092"}}]}
  plans:
    Free: {name: Free plan, security: {type: KEY_LESS}}
`
}

// TestApply_ManifestKeepsItsIdentity renames an API; its manifest's name tells which one it is.
func TestApply_ManifestKeepsItsIdentity(t *testing.T) { onBoth(t, applyManifestKeepsItsIdentity) }

func applyManifestKeepsItsIdentity(t *testing.T, on server) {
	url := on.url
	run(t, url, manifest("orders", "Orders", "/orders"), "apply", "-f", "-")
	golden(t, on.name+"/renamed", run(t, url, manifest("orders", "Orders of the shop", "/orders"), "apply", "-f", "-", "--dry-run"))
	golden(t, on.name+"/applied", run(t, url, manifest("orders", "Orders of the shop", "/orders"), "apply", "-f", "-"))
	golden(t, on.name+"/other", run(t, url, manifest("other", "Orders of the shop", "/other"), "apply", "-f", "-"))
	golden(t, on.name+"/apis", run(t, url, "", "get", "apis"))
}

func TestApply_LosesRaces(t *testing.T) {
	f, url := newFake(t)
	run(t, url, orders, "apply", "-f", "-")
	changed := strings.Replace(orders, "/orders", "/orders/v2", 1)
	lost := 0
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || lost == 0 {
			return false
		}
		lost--
		f.apis[0].version++ // someone else was faster
		return false
	}
	lost = 1
	golden(t, "once", run(t, url, changed, "apply", "-f", "-"))
	lost = 2
	golden(t, "twice", run(t, url, orders, "apply", "-f", "-"))
}

func TestApply_States(t *testing.T) { onBoth(t, applyStates) }

func applyStates(t *testing.T, on server) {
	url := on.url
	golden(t, on.name+"/no-start", run(t, url, orders, "apply", "-f", "-", "--no-start"))
	golden(t, on.name+"/started", run(t, url, orders, "apply", "-f", "-"))
	golden(t, on.name+"/stopped", run(t, url, orders+"state: STOPPED\n", "apply", "-f", "-"))
	golden(t, on.name+"/still-stopped", run(t, url, orders+"state: STOPPED\n", "apply", "-f", "-"))
}

func TestApply_RefusedByTheServer(t *testing.T) { onBoth(t, applyRefusedByTheServer) }

func applyRefusedByTheServer(t *testing.T, on server) {
	url := on.url
	t.Chdir(t.TempDir())
	run(t, url, orders, "apply", "-f", "-")
	write(t, ".", "same-path.yaml", manifest("other", "Other", "/orders"))
	write(t, ".", "fine.yaml", manifest("fine", "Fine", "/fine"))
	golden(t, on.name+"/path", run(t, url, "", "apply", "-f", "same-path.yaml"))
	golden(t, on.name+"/one-of-two", run(t, url, "", "apply", "-f", "same-path.yaml", "-f", "fine.yaml"))
	golden(t, on.name+"/one-of-two-json", run(t, url, "", "apply", "-f", "same-path.yaml", "-f", "fine.yaml", "-o", "json"))
}

func TestApply_AWorkerFails(t *testing.T) { onBoth(t, applyAWorkerFails) }

func applyAWorkerFails(t *testing.T, on server) {
	url := on.url
	on.ill()
	golden(t, on.name+"/apply", run(t, url, orders, "apply", "-f", "-"))
	golden(t, on.name+"/status", run(t, url, "", "status"), url, "http://SERVER")
	golden(t, on.name+"/deployments", run(t, url, "", "get", "deployments"))
	golden(t, on.name+"/workers", run(t, url, "", "get", "workers"))
	golden(t, on.name+"/api", run(t, url, "", "get", "api", "orders-stream"))
}

// TestApply_WhatGetWrote applies what get writes, in every dialect: nothing changes.
func TestApply_WhatGetWrote(t *testing.T) { onBoth(t, applyWhatGetWrote) }

func applyWhatGetWrote(t *testing.T, on server) {
	url := on.url
	for _, file := range []string{"message.yaml", "proxy.yaml", "native.yaml"} {
		run(t, url, "", "apply", "-f", filepath.Join(seeds, file))
	}
	run(t, url, orders, "apply", "-f", "-")
	for _, args := range []string{"-o json", "-o yaml", "--dialect gateway", "--dialect management", "--dialect management -o yaml", "--dialect crd", "--dialect crd -o json"} {
		for _, api := range []string{"orders-stream", "message-api", "api-v4", "api-v4-native-with-context"} {
			got := run(t, url, "", append([]string{"get", "api", api}, strings.Fields(args)...)...)
			back := run(t, url, got.out, "apply", "-f", "-", "--dry-run")
			if back.code != 0 || !strings.Contains(back.out, " unchanged") {
				t.Errorf("get api %s %s, applied again: exit %d\n%s%s", api, args, back.code, back.out, back.err)
			}
		}
	}
}

func TestApply_AmbiguousName(t *testing.T) { onBoth(t, applyAmbiguousName) }

func applyAmbiguousName(t *testing.T, on server) {
	url := on.url
	run(t, url, manifest("a", "Orders", "/a"), "apply", "-f", "-")
	run(t, url, manifest("b", "Orders", "/b"), "apply", "-f", "-")
	golden(t, on.name+"/apply", run(t, url, strings.Replace(orders, "orders-stream", "Orders", 1), "apply", "-f", "-"))
	golden(t, on.name+"/get", run(t, url, "", "get", "api", "orders"))
}
