package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/proto/join"
)

func node(t *testing.T, secret Secret, now func() time.Time) *Identity {
	t.Helper()
	i, err := New(secret, Config{Node: "n0", Hosts: []string{"127.0.0.1", "cp.example.com"}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIdentity_SameSecretSameKeys(t *testing.T) {
	t.Parallel()
	a, b, other := node(t, Secret{1}, nil), node(t, Secret{1}, nil), node(t, Secret{2}, nil)
	if !bytes.Equal(a.CA().Raw, b.CA().Raw) || a.ClusterID() != b.ClusterID() {
		t.Fatal("nodes of one cluster make different authorities")
	}
	if bytes.Equal(a.CA().Raw, other.CA().Raw) || a.ClusterID() == other.ClusterID() {
		t.Fatal("two clusters have one authority")
	}
	seen := map[string]bool{}
	for _, role := range []Role{RoleControl, RoleWorker} {
		pair, err := a.NATSUser(role)
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil || seen[public] {
			t.Fatalf("role %s: %s %v", role, public, err)
		}
		seen[public] = true
	}
}

// handshake joins two ends and returns their errors.
func handshake(server, client *tls.Config) (error, error) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(near, server).Handshake()
		near.Close()
	}()
	c := tls.Client(far, client)
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // with TLS 1.3 the server's refusal comes after the client's handshake
		if errors.Is(err, net.ErrClosed) || err != nil && err.Error() == "EOF" {
			err = nil
		}
	}
	far.Close()
	return <-done, err
}

func TestIdentity_PeersProveThemselves(t *testing.T) {
	t.Parallel()
	a, b, other := node(t, Secret{1}, nil), node(t, Secret{1}, nil), node(t, Secret{2}, nil)
	if serverErr, _ := handshake(a.PeerTLS(), b.PeerTLS()); serverErr != nil {
		t.Fatalf("peers: %v", serverErr)
	}
	if serverErr, clientErr := handshake(a.PeerTLS(), other.PeerTLS()); serverErr == nil && clientErr == nil {
		t.Fatal("another cluster's node is let in")
	}
	if serverErr, _ := handshake(a.PeerTLS(), b.ClientTLS()); serverErr == nil {
		t.Fatal("a client without a certificate is let in")
	}
	if serverErr, _ := handshake(a.ServerTLS(), b.ClientTLS()); serverErr != nil {
		t.Fatalf("worker: %v", serverErr)
	}
}

func TestIdentity_CertificateIsRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	i := node(t, Secret{1}, func() time.Time { return now })
	first, err := i.certificate()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(renewAfter - time.Minute)
	if same, _ := i.certificate(); same != first {
		t.Fatal("a young certificate is renewed")
	}
	now = now.Add(2 * time.Minute)
	if next, _ := i.certificate(); next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Fatal("an old certificate is kept")
	}
}

func TestWorkerToken_RoundTrip(t *testing.T) {
	t.Parallel()
	i := node(t, Secret{1}, nil)
	token, err := i.WorkerToken([]string{"tls://127.0.0.1:4222"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := join.Parse("\n" + token.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	key, err := i.BundleKey()
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(got.BundleKey, []byte("bundle"), ed25519.Sign(key, []byte("bundle"))) || got.Cluster != i.ClusterID() {
		t.Fatalf("token %+v", got)
	}
	roots, err := got.Roots()
	if err != nil {
		t.Fatal(err)
	}
	if serverErr, _ := handshake(i.ServerTLS(), &tls.Config{RootCAs: roots, ServerName: join.ServerName, MinVersion: tls.VersionTLS13}); serverErr != nil {
		t.Fatal(serverErr)
	}
	if bytes.Contains([]byte(token.String()), i.secret[:]) {
		t.Fatal("the token holds the secret")
	}
}

func TestExternalToken_HoldsNoKeyOfOurNATS(t *testing.T) {
	t.Parallel()
	i := node(t, Secret{1}, nil)
	token, err := i.ExternalToken([]string{"tls://nats.example:4222"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := join.Parse(token.String())
	if err != nil || !got.External || got.Seed != "" || got.CA != nil || got.Cluster != i.ClusterID() {
		t.Fatalf("token %+v, %v", got, err)
	}
}

func TestSecrets_AreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "cluster-secret")
	if _, err := LoadSecret(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a secret that is not there: %v", err)
	}
	first, err := LoadOrCreateSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadSecret(path)
	if err != nil || again != first {
		t.Fatalf("read back %v", err)
	}
	token, err := LoadOrCreateToken(filepath.Join(dir, "admin-token"))
	if err != nil || len(token) < 43 {
		t.Fatalf("token %q %v", token, err)
	}
	for _, name := range []string{path, filepath.Join(dir, "admin-token")} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if err := os.WriteFile(path, []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateSecret(path); !errors.Is(err, ErrSecret) {
		t.Fatalf("a file that is no secret: %v", err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateToken(path); !errors.Is(err, ErrToken) {
		t.Fatalf("a short token: %v", err)
	}
}
