package controlnode

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/controlplane/identity"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Token(TokenConfig{DataDir: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no secret: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Fatalf("made %v %v", left, err)
	}
	secret, err := identity.LoadOrCreateSecret(filepath.Join(dir, "cluster-secret"))
	must(t, err)
	id, err := identity.New(secret, identity.Config{})
	must(t, err)
	urls := []string{"tls://10.0.0.1:4222"}

	plain, err := Token(TokenConfig{DataDir: dir})
	must(t, err)
	if plain.External || plain.Seed == "" || plain.NATS != nil || plain.Cluster != id.ClusterID() {
		t.Errorf("neither: %+v", plain)
	}
	own, err := Token(TokenConfig{DataDir: "nowhere", SecretFile: filepath.Join(dir, "cluster-secret"), Own: urls})
	must(t, err)
	if own.External || len(own.NATS) != 1 || own.Seed != plain.Seed {
		t.Errorf("own: %+v", own)
	}
	external, err := Token(TokenConfig{DataDir: dir, External: urls})
	must(t, err)
	if !external.External || external.NATS[0] != urls[0] || external.Seed != "" {
		t.Errorf("external: %+v", external)
	}
	must(t, writeToken(filepath.Join(dir, tokenFile), external.String())) // as a node leaves it
	as, err := Token(TokenConfig{DataDir: dir})
	must(t, err)
	if as.String() != external.String() {
		t.Errorf("as the node runs: %+v", as)
	}
}
