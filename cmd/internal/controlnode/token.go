package controlnode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/proto/join"
)

// TokenConfig says which worker token is wanted.
type TokenConfig struct {
	DataDir    string   // of a control-plane node; need not be there where SecretFile is
	SecretFile string   // empty: cluster-secret in DataDir
	External   []string // URLs of an external NATS cluster, or
	Own        []string // URLs of the control plane's own; neither: as the node runs, by the token in DataDir
}

// Token returns the cluster's worker token. It creates nothing.
func Token(cfg TokenConfig) (join.Token, error) {
	path := orIn(cfg.SecretFile, cfg.DataDir, secretFile)
	secret, err := identity.LoadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return join.Token{}, fmt.Errorf("%w; the first control-plane node makes it: start one, or give its --data-dir or --cluster-secret-file", err)
	}
	if err != nil {
		return join.Token{}, err
	}
	id, err := identity.New(secret, identity.Config{})
	if err != nil {
		return join.Token{}, fmt.Errorf("identity: %w", err)
	}
	if len(cfg.External) > 0 {
		return id.ExternalToken(cfg.External)
	}
	if len(cfg.Own) > 0 {
		return id.WorkerToken(cfg.Own)
	}
	if t, ok := written(filepath.Join(cfg.DataDir, tokenFile)); ok && t.Cluster == id.ClusterID() && t.External {
		return id.ExternalToken(t.NATS)
	}
	return id.WorkerToken(nil)
}

// written is the token that a node left, if there is one.
func written(path string) (join.Token, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return join.Token{}, false
	}
	t, err := join.Parse(string(text))
	return t, err == nil
}
