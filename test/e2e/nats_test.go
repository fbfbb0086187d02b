//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/proto/join"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// killWith ends the cluster with the test and shows what it logged where that failed.
func killWith(t *testing.T, c *process.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Log(c.Tails())
		}
	})
}

func addWorker(t *testing.T, c *process.Cluster, flags ...string) *process.Worker {
	t.Helper()
	w, err := c.AddWorker(flags...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// await asks ok until it is true; what it returns last is shown where it never is.
func await(t *testing.T, what string, ok func(ctx context.Context) (string, bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), process.Within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last, done := ok(ctx)
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; last: %s", what, process.Within, last)
		}
	}
}

// TestNATS_ExternalCluster has a control plane and a worker meet on a nats-server that is not ours: a deploy reaches the
// worker; the server is killed under traffic, and nothing fails; it is back, and the next definition arrives with no
// restart of ours.
func TestNATS_ExternalCluster(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) externalNATS
	}{
		{"loopback in the clear", openNATS},
		{"TLS with JWT credentials", jwtNATS},
		{"TLS with an nkey and a password, each with its role's permissions", permissionsNATS},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.start(t)
			c, err := process.StartClusterOn(t.Context(), t.TempDir(), 1, append(n.control, "--nats-url", n.url)...)
			if err != nil {
				t.Fatal(err)
			}
			killWith(t, c)
			w := addWorker(t, c, n.worker...)
			if err := w.AwaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			outlive(t, c, w, n.NATS)
		})
	}
}

func outlive(t *testing.T, c *process.Cluster, w *process.Worker, n *brokers.NATS) {
	t.Helper()
	node := c.Nodes[0]
	if _, err := node.Deploy(t.Context(), mockAPI(t, "before", "/before")); err != nil {
		t.Fatal(err)
	}
	tr := startTraffic(t, w.Gateway+"/before", w.Gateway+"/before")
	n.Kill()
	await(t, "the worker knows that NATS is away", func(ctx context.Context) (string, bool) {
		status, body, err := get(ctx, w.Admin+"/_node/health?probes=control-plane")
		return body, err == nil && status == http.StatusInternalServerError && strings.Contains(body, "NATS")
	})
	for ok := tr.ok.Load(); tr.ok.Load() < ok+1000 && tr.failed.Load() == 0; {
		time.Sleep(20 * time.Millisecond) // that it serves alone is what is tried here
	}
	if status, body, err := get(t.Context(), w.Admin+"/_node/ready"); err != nil || status != http.StatusOK {
		t.Errorf("a worker without NATS is not ready: %d %s %v", status, body, err)
	}
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := node.AwaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Deploy(t.Context(), mockAPI(t, "after", "/after")); err != nil {
		t.Fatal(err)
	}
	await(t, "the new definition is served", func(ctx context.Context) (string, bool) {
		status, body, err := post(ctx, w.Gateway+"/after", "x")
		return body, err == nil && status == http.StatusAccepted
	})
	tr.check(t)
	await(t, "all is well again", func(ctx context.Context) (string, bool) {
		status, body, err := get(ctx, w.Admin+"/_node/health?probes=control-plane")
		return body, err == nil && status == http.StatusOK
	})
}

// TestNATS_ExternalClusterRefuses: what the external cluster does not grant is said by both roles, and tried again.
func TestNATS_ExternalClusterRefuses(t *testing.T) {
	n := jwtNATS(t)
	c, err := process.StartClusterOn(t.Context(), t.TempDir(), 1, append(n.control, "--nats-url", n.url)...)
	if err != nil {
		t.Fatal(err)
	}
	killWith(t, c)
	_, err = c.Nodes[0].Deploy(t.Context(), mockAPI(t, "orders", "/orders"))
	if err != nil {
		t.Fatal(err)
	}
	for _, without := range []struct{ flag, hint string }{{"--nats-ca-file", "--nats-ca-file"}, {"--nats-creds", "--nats-creds"}} {
		var flags []string
		for i := 0; i < len(n.worker); i += 2 {
			if n.worker[i] != without.flag {
				flags = append(flags, n.worker[i], n.worker[i+1])
			}
		}
		w := addWorker(t, c, flags...)
		neverServes(t, w, without.hint)
	}
}

// neverServes waits until the worker says why it has no definitions, in its readiness and its log, and that it serves none.
func neverServes(t *testing.T, w *process.Worker, why string) {
	t.Helper()
	await(t, w.Name+" says why it is not ready", func(ctx context.Context) (string, bool) {
		status, body, err := get(ctx, w.Admin+"/_node/ready")
		return body, err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, why)
	})
	if log := w.Tail(); !strings.Contains(log, why) {
		t.Errorf("%s does not say %q in its log:\n%s", w.Name, why, log)
	}
	if status, body, err := post(t.Context(), w.Gateway+"/orders", "x"); err != nil || status != http.StatusNotFound {
		t.Errorf("%s serves: %d %s %v", w.Name, status, body, err)
	}
}

// TestNATS_TokenOfAnotherCluster: a worker with another cluster's token is let in by nobody, says so, and goes on trying:
// once its own cluster listens there, it serves.
func TestNATS_TokenOfAnotherCluster(t *testing.T) {
	c, err := process.StartCluster(t.Context(), t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	killWith(t, c)
	if _, err := c.Nodes[0].Deploy(t.Context(), mockAPI(t, "orders", "/orders")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // the other cluster's
	if _, err := identity.LoadOrCreateSecret(filepath.Join(dir, "cluster-secret")); err != nil {
		t.Fatal(err)
	}
	token := printToken(t, "--cluster-secret-file", filepath.Join(dir, "cluster-secret"), "--nats-addr", c.NATS[0])
	stray := addWorker(t, c, "--worker-token-file", tokenFile(t, token), "--nats-url", "")
	neverServes(t, stray, "not a node of the cluster that the worker token is from")

	for _, n := range c.Nodes {
		n.Kill()
	}
	other, err := process.StartCluster(t.Context(), dir, 1, "--nats-addr", c.NATS[0])
	if err != nil {
		t.Fatal(err)
	}
	killWith(t, other)
	if err := stray.AwaitReady(t.Context()); err != nil {
		t.Errorf("the worker has not gone on trying: %v", err)
	}
}

// TestNATS_AlteredToken: with a key of ours that was not given out a worker is not let in; with a bundle key that is not
// ours it is, but believes nothing and reports that.
func TestNATS_AlteredToken(t *testing.T) {
	c, err := process.StartCluster(t.Context(), t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	killWith(t, c)
	node := c.Nodes[0]
	if _, err := node.Deploy(t.Context(), mockAPI(t, "orders", "/orders")); err != nil {
		t.Fatal(err)
	}
	good, err := join.Parse(printToken(t, "--data-dir", node.DataDir, "--cluster-secret-file", filepath.Join(filepath.Dir(node.DataDir), "cluster-secret")))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.New(identity.Secret{1}, identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := foreign.WorkerToken(nil)
	if err != nil {
		t.Fatal(err)
	}
	seed := good
	seed.Seed = other.Seed
	neverServes(t, addWorker(t, c, "--worker-token-file", tokenFile(t, seed.String())), "does not accept this worker's token")

	key := good
	key.BundleKey = other.BundleKey
	deceived := addWorker(t, c, "--worker-token-file", tokenFile(t, key.String()))
	const why = "signed with a key that is not trusted here"
	neverServes(t, deceived, why)
	await(t, "GET /management/workers shows the fault", func(ctx context.Context) (string, bool) {
		a, err := node.Do(ctx, http.MethodGet, "/management/workers", nil)
		if err != nil || a.Status != http.StatusOK {
			return string(a.Body), false
		}
		var list struct {
			Data []struct {
				ID, Fault   string
				Live, Ready bool
			}
		}
		if err := json.Unmarshal(a.Body, &list); err != nil {
			t.Fatal(err)
		}
		for _, w := range list.Data {
			if w.ID == deceived.Name {
				return string(a.Body), w.Live && !w.Ready && strings.Contains(w.Fault, why)
			}
		}
		return string(a.Body), false
	})
	if w := addWorker(t, c); w.AwaitReady(t.Context()) != nil { // the same token, unaltered
		t.Error("a worker with the good token is not ready")
	}
}

// TestNATS_FlagsThatContradict: each ends the process at once with what to do, and nothing is made.
func TestNATS_FlagsThatContradict(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "cluster-secret")
	if _, err := identity.LoadOrCreateSecret(secret); err != nil {
		t.Fatal(err)
	}
	own := tokenFile(t, printToken(t, "--cluster-secret-file", secret))
	for _, c := range []struct{ name, args, want string }{
		{"two kinds of NATS", "controlplane --nats-url tls://nats.example:4222 --nats-addr 127.0.0.1:4222", "drop one of the two"},
		{"in the clear", "controlplane --nats-url nats://nats.example:4222", "write tls://"},
		{"credentials for the embedded NATS", "controlplane --nats-creds x", "give its --nats-url too"},
		{"credentials for the control plane's own", "worker --nats-url tls://nats.example:4222 --nats-creds x --worker-token-file " + own, "sluice controlplane token --nats-url"},
		{"nobody says where", "worker --worker-token-file " + own, "does not say where NATS is"},
		{"no secret", "controlplane token --data-dir nothing", "--cluster-secret-file"},
		{"a token for both", "controlplane token --nats-url tls://nats.example:4222 --nats-addr 10.0.0.1:4222", "nats-addr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Fields(c.args)
			data := filepath.Join(t.TempDir(), "data")
			if args[0] == "worker" || args[1] != "token" {
				args = append(args, "--data-dir", data)
			}
			stdout, stderr, err := process.Run(t.Context(), args...)
			if err == nil || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("%v, %s%s; want %q", err, stdout, stderr, c.want)
			}
			if _, err := os.Stat(data); err == nil {
				t.Error("a data directory was made")
			}
		})
	}
}

func printToken(t *testing.T, flags ...string) string {
	t.Helper()
	stdout, stderr, err := process.Run(t.Context(), append([]string{"controlplane", "token"}, flags...)...)
	if err != nil {
		t.Fatalf("sluice controlplane token: %v\n%s", err, stderr)
	}
	return stdout
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker-token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
