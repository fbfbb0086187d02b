//go:build e2e

package e2e

import (
	"net/http"
	"testing"
)

// TestGroups_ChangeReachesServedAPI: an API serves the steps of a shared policy group, and those it holds after its next deployment,
// without being deployed itself.
func TestGroups_ChangeReachesServedAPI(t *testing.T) {
	t.Parallel()
	dev := sharedDev(t)
	group := func(value string) []byte {
		return encode(t, object{"id": "stamp", "name": "Stamp", "apiType": "MESSAGE", "phase": "RESPONSE", "steps": []object{
			{"policy": "transform-headers", "configuration": object{"addHeaders": []object{{"name": "X-Stamp", "value": value}}}},
			{"policy": "transform-headers", "configuration": object{"addHeaders": []object{{"name": "X-Second", "value": "yes"}}}}}})
	}
	call := func(method, path string, body []byte, want int) {
		t.Helper()
		a, err := dev.Do(t.Context(), method, path, body)
		if err != nil || a.Status != want {
			t.Fatalf("%s %s: %d %s %v", method, path, a.Status, a.Body, err)
		}
	}
	call("POST", "/shared-policy-groups", group("first"), http.StatusCreated)
	call("POST", "/shared-policy-groups/stamp/deployments", nil, http.StatusAccepted)
	def := decode(t, mockOf(t, "/grouped", entrypoint("http-get", "AUTO", object{"messagesLimitCount": 1})))
	def["flows"] = []object{{"response": []object{
		{"sharedPolicyGroupRef": object{"name": "Stamp"}, "condition": "{#request.params['q'][0] == 'yes' && #response.headers['X-Stamp'] == null}"}}}}
	deploy(t, dev, encode(t, def))
	get := func(query string) (stamp, second string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dev.Gateway+"/grouped?q="+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("answer %d", resp.StatusCode)
		}
		return resp.Header.Get("X-Stamp"), resp.Header.Get("X-Second")
	}
	if stamp, second := get("yes"); stamp != "first" || second != "yes" { // the condition is asked once, before the first step
		t.Errorf("answer with %q, %q", stamp, second)
	}
	if stamp, second := get("no"); stamp != "" || second != "" {
		t.Errorf("the group ran against its condition: %q, %q", stamp, second)
	}
	call("PUT", "/shared-policy-groups/stamp", group("changed"), http.StatusOK)
	if stamp, _ := get("yes"); stamp != "first" {
		t.Errorf("saved and not deployed, yet the answer has %q", stamp)
	}
	call("POST", "/shared-policy-groups/stamp/deployments?wait=20s", nil, http.StatusAccepted)
	if stamp, second := get("yes"); stamp != "changed" || second != "yes" {
		t.Errorf("after the deployment: %q, %q", stamp, second)
	}
	call("DELETE", "/shared-policy-groups/stamp", nil, http.StatusBadRequest)
}
