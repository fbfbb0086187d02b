// Package identity derives all of a cluster's keys from one secret: the certificate authority of its nodes, the NATS
// credentials of each role, the key that signs what workers are sent. Nodes that hold the same secret file trust one
// another and need no other exchange; nobody else can become a node. It starts no goroutine.
//
// Every key is HKDF-SHA256 of the secret under a label of its own, so none tells anything about another.
package identity

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/join"
)

// Role is a party on NATS.
type Role string

// Roles on NATS. What each may read and write is the business of whoever configures the server.
const (
	RoleControl Role = "control" // control-plane nodes
	RoleWorker  Role = "worker"  // workers and edges
)

// Config is one node's part of an identity.
type Config struct {
	Node  string           // the node's id, in its certificate
	Hosts []string         // further names and IP addresses to certify, e.g. the advertised ones
	Now   func() time.Time // the clock certificates are dated by; nil: time.Now
}

// Identity is one node's view of its cluster's keys.
type Identity struct {
	cfg    Config
	secret Secret
	caKey  ed25519.PrivateKey
	ca     *x509.Certificate
	roots  *x509.CertPool

	mu   sync.Mutex
	leaf *tls.Certificate // guarded by mu; renewed by certificate
}

// New derives a node's identity.
func New(secret Secret, cfg Config) (*Identity, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	i := &Identity{cfg: cfg, secret: secret}
	seed, err := i.derive("ca", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	i.caKey = ed25519.NewKeyFromSeed(seed)
	if i.ca, err = authority(i.caKey, i.ClusterID()); err != nil {
		return nil, err
	}
	i.roots = x509.NewCertPool()
	i.roots.AddCert(i.ca)
	if _, err := i.certificate(); err != nil {
		return nil, err
	}
	return i, nil
}

// derive returns n bytes that belong to label.
func (i *Identity) derive(label string, n int) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, i.secret[:], []byte("sluice"), "sluice/v1/"+label, n)
	if err != nil {
		return nil, fmt.Errorf("derive %s key: %w", label, err)
	}
	return b, nil
}

// ClusterID is the cluster's public name: the same on every node, different for every secret.
func (i *Identity) ClusterID() string {
	b, err := i.derive("cluster-id", 8)
	if err != nil { // 8 bytes are always there
		return ""
	}
	return hex.EncodeToString(b)
}

// CA is the certificate of the cluster's authority: byte for byte the same on every node.
func (i *Identity) CA() *x509.Certificate { return i.ca }

// BundleKey signs what workers are sent.
func (i *Identity) BundleKey() (ed25519.PrivateKey, error) {
	seed, err := i.derive("bundle", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// NATSUser is the nkey pair of a role on NATS.
func (i *Identity) NATSUser(role Role) (nkeys.KeyPair, error) {
	raw, err := i.derive("nats/"+string(role), ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	seed, err := nkeys.EncodeSeed(nkeys.PrefixByteUser, raw)
	if err != nil {
		return nil, fmt.Errorf("encode %s seed: %w", role, err)
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("make %s key: %w", role, err)
	}
	return pair, nil
}

// WorkerToken is what a worker of a control plane with NATS of its own is given; urls may be empty.
func (i *Identity) WorkerToken(urls []string) (join.Token, error) {
	t, err := i.ExternalToken(urls)
	if err != nil {
		return join.Token{}, err
	}
	pair, err := i.NATSUser(RoleWorker)
	if err != nil {
		return join.Token{}, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return join.Token{}, fmt.Errorf("read worker seed: %w", err)
	}
	t.External, t.Seed, t.CA = false, string(seed), i.ca.Raw
	return t, nil
}

// ExternalToken is what a worker is given where NATS is an existing cluster: no key of the control plane's own NATS.
func (i *Identity) ExternalToken(urls []string) (join.Token, error) {
	bundle, err := i.BundleKey()
	if err != nil {
		return join.Token{}, err
	}
	public, ok := bundle.Public().(ed25519.PublicKey)
	if !ok {
		return join.Token{}, join.ErrIncomplete
	}
	return join.Token{Version: join.Version, Cluster: i.ClusterID(), NATS: urls, BundleKey: public, External: true}, nil
}

// PeerTLS is the configuration of both ends of a connection between nodes: each proves that it holds the secret.
func (i *Identity) PeerTLS() *tls.Config {
	c := i.ServerTLS()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = i.roots
	c.RootCAs = i.roots
	c.ServerName = join.ServerName
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.certificate() }
	return c
}

// ServerTLS is the configuration of a server that workers connect to: it proves itself, and its clients by other means.
func (i *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.certificate() },
	}
}

// ClientTLS verifies the cluster's servers.
func (i *Identity) ClientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: i.roots, ServerName: join.ServerName}
}
