// Package join is what a worker is given to join a cluster: one line of text that holds where the cluster is, the
// credentials of a worker, and the keys that prove what the cluster says. It never holds the cluster's secret: who
// has a token can read the definitions of its tags and report as a worker, and cannot sign, change or administer.
package join

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	// Version is the token format that this version writes and reads.
	Version = 1
	// ServerName is the name in the certificate of every control-plane node; a worker expects it whatever address it dials.
	ServerName = "controlplane.sluice.internal"
	// prefix makes a token recognisable in a log or a file, to people and to secret scanners.
	prefix = "sluice-worker-1."
	// maxToken bounds the text of a token, in bytes.
	maxToken = 16 << 10
)

// Errors of Parse.
var (
	// ErrToken is returned for text that is not a worker token.
	ErrToken = errors.New("not a worker token: " + prefix + "... is expected")
	// ErrIncomplete is returned for a token that lacks what a worker needs.
	ErrIncomplete = errors.New("worker token is incomplete: make a new one with sluice controlplane token")
	// ErrVersion is returned for a token of another version.
	ErrVersion = errors.New("worker token is of another version: make a new one with sluice controlplane token")
)

// Token is a worker's way in.
type Token struct {
	Version   int               `json:"v"`
	Cluster   string            `json:"cluster"`        // the cluster's public id
	NATS      []string          `json:"nats,omitempty"` // URLs; empty: the worker is told by flag
	BundleKey ed25519.PublicKey `json:"bundleKey"`      // verifies what is pushed

	// External says that NATS is not the control plane's own but an existing cluster, which has credentials and
	// certificates of its own. The token then holds neither Seed nor CA: nothing of it is shown to that cluster.
	External bool   `json:"external,omitempty"`
	Seed     string `json:"seed,omitempty"` // nkey user seed of the worker role
	CA       []byte `json:"ca,omitempty"`   // certificate of the cluster's authority, DER
}

// String encodes the token as one line.
func (t Token) String() string {
	t.Version = Version
	b, err := json.Marshal(t)
	if err != nil { // a struct of strings and bytes always encodes
		return ""
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// Parse decodes and checks a token; white space around it does not matter.
func Parse(s string) (Token, error) {
	var t Token
	body, ok := strings.CutPrefix(strings.TrimSpace(s), prefix)
	if !ok || len(s) > maxToken {
		return t, ErrToken
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return t, fmt.Errorf("decode worker token: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&t); err != nil {
		return Token{}, fmt.Errorf("decode worker token: %w", err)
	}
	switch {
	case t.Version != Version:
		return Token{}, ErrVersion
	case t.Cluster == "", len(t.BundleKey) != ed25519.PublicKeySize, !t.External && t.Seed == "":
		return Token{}, ErrIncomplete
	case t.External:
		return t, nil
	}
	if _, err := x509.ParseCertificate(t.CA); err != nil {
		return Token{}, fmt.Errorf("worker token: read certificate: %w", err)
	}
	return t, nil
}

// Roots is the pool to verify the cluster's servers with.
func (t Token) Roots() (*x509.CertPool, error) {
	cert, err := x509.ParseCertificate(t.CA)
	if err != nil {
		return nil, fmt.Errorf("worker token: read certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool, nil
}
