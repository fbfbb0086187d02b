package client_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestTour runs every command on one server, from empty to empty.
func TestTour(t *testing.T) { onBoth(t, tour) }

func tour(t *testing.T, on server) {
	url := on.url
	t.Chdir(t.TempDir())
	if err := os.WriteFile("orders.yaml", []byte(orders), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(orders, "path: /orders", "path: /orders/v2", 1)
	if err := os.WriteFile("changed.yaml", []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	both := orders + "---\n" + strings.NewReplacer("orders-stream", "Invoice stream", "/orders", "/invoices", "status: published", "status: staging").Replace(orders)
	if err := os.WriteFile("both.yaml", []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		args string
	}{
		{"01-get-apis-none", "get apis"},
		{"02-status-none", "status"},
		{"03-apply-dry-run", "apply -f orders.yaml --dry-run"},
		{"04-apply-created", "apply -f orders.yaml"},
		{"05-apply-unchanged", "apply -f orders.yaml"},
		{"06-apply-dry-run-changed", "apply -f changed.yaml --dry-run"},
		{"07-apply-updated", "apply -f changed.yaml"},
		{"08-apply-json", "apply -f orders.yaml -o json"},
		{"09-apply-not-deployable", "apply -f both.yaml"},
		{"10-get-apis", "get apis"},
		{"11-get-apis-wide", "get apis -o wide"},
		{"12-get-apis-name", "get apis -o name"},
		{"13-get-apis-json", "get apis -o json"},
		{"14-get-api", "get api orders-stream"},
		{"15-get-api-yaml", "get api orders-stream -o yaml"},
		{"16-get-api-gateway", "get api orders-stream --dialect gateway"},
		{"17-get-api-management", "get api orders-stream --dialect management -o yaml"},
		{"18-get-api-crd", "get api orders-stream --dialect crd"},
		{"19-get-apis-crd", "get apis --dialect crd"},
		{"19-describe-asyncapi", "describe asyncapi orders-stream"},
		{"19-describe-openapi", "describe openapi orders-stream --draft --gateway https://gateway.example.com -o yaml"},
		{"20-plan-create", "plan create invoice-stream --security api-key --name Gold"},
		{"21-plan-publish", "plan publish invoice-stream Gold"},
		{"22-plan-create-publish-json", "plan create invoice-stream --security jwt --publish -o json"},
		{"23-get-plans", "get plans"},
		{"24-get-plans-one-json", "get plans orders-stream -o json"},
		{"25-plan-deprecate", "plan deprecate invoice-stream Gold"},
		{"26-plan-close", "plan close invoice-stream Gold -o yaml"},
		{"27-deploy", "deploy invoice-stream --wait 1s"},
		{"28-start", "start invoice-stream"},
		{"29-start-again", "start invoice-stream"},
		{"30-stop", "stop invoice-stream"},
		{"31-stop-again-json", "stop invoice-stream -o json"},
		{"32-deploy-json", "deploy orders-stream -o json"},
		{"33-get-deployments", "get deployments"},
		{"34-get-deployments-one-json", "get deployments orders-stream -o json"},
		{"35-get-workers", "get workers"},
		{"36-get-workers-wide", "get workers -o wide"},
		{"37-get-worker-json", "get worker worker-2 -o json"},
		{"38-get-cluster", "get cluster"},
		{"39-get-cluster-yaml", "get cluster -o yaml"},
		{"40-status", "status"},
		{"41-status-json", "status -o json"},
		{"42-delete-unasked", "delete api orders-stream"},
		{"43-delete-open-plans", "delete api orders-stream --yes"},
		{"44-delete", "delete api orders-stream --yes --close-plans"},
		{"45-delete-file-missing", "delete api -f orders.yaml --yes --close-plans"},
		{"46-delete-json", "delete api invoice-stream --yes --close-plans -o json"},
	} {
		golden(t, on.name+"/"+step.name, run(t, url, "", strings.Fields(step.args)...), url, "http://SERVER")
	}
}

// TestRefused is every way not to get an answer.
func TestRefused(t *testing.T) {
	f, url := newFake(t)
	run(t, url, orders, "apply", "-f", "-")
	answering := func(status int, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, status, message, "")
			return true
		}
	}
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request) bool
		args  string
	}{
		{"unauthorised", answering(401, "Unauthorized"), "get apis"},
		{"unauthorised-json", answering(401, "Unauthorized"), "get apis -o json"},
		{"forbidden", answering(403, "this token may not delete APIs"), "get apis"},
		{"server", answering(503, "no leader; try again"), "status"},
		{"gateway-timeout", answering(504, "2 of 3 workers serve revision 12 after 10s; worker-3 does not"), "deploy orders-stream"},
		{"not-a-sluice", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(404)
			_, _ = w.Write([]byte("<html>nginx</html>"))
			return true
		}, "get apis"},
		{"not-json", func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>welcome</html>"))
			return true
		}, "get apis"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
			return true
		}, "get apis"},
		{"unknown-api", nil, "get api order-stream"},
		{"unknown-api-json", nil, "get api nothing-like-it -o json"},
		{"unknown-plan", nil, "plan publish orders-stream Keylss"},
		{"unknown-worker", nil, "get worker w"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.mu.Lock()
			f.fault = c.fault
			f.mu.Unlock()
			got := run(t, url, "", strings.Fields(c.args)...)
			golden(t, c.name, got, url, "http://SERVER", lastToken(got.err), "TOKENFILE")
		})
	}
}

// lastToken is the token file that a message names, in a directory of the test's.
func lastToken(text string) string {
	if i := strings.LastIndex(text, os.TempDir()); i >= 0 {
		end := strings.Index(text[i:], "admin-token")
		if end >= 0 {
			return text[i : i+end+len("admin-token")]
		}
	}
	return "\x00"
}
