//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/wire"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// externalNATS is a nats-server that is not ours, and the flags with which each role joins it.
type externalNATS struct {
	*brokers.NATS
	url             string
	control, worker []string
}

func openNATS(t *testing.T) externalNATS {
	t.Helper()
	n := brokers.StartNATS(t, brokers.NATSConfig{})
	return externalNATS{NATS: n, url: n.URL()}
}

// jwtNATS is in operator mode, as larger installations run it: every user proves a JWT.
func jwtNATS(t *testing.T) externalNATS {
	t.Helper()
	operator, account, user := pair(t, nkeys.CreateOperator), pair(t, nkeys.CreateAccount), pair(t, nkeys.CreateUser)
	oc := jwt.NewOperatorClaims(public(t, operator))
	ac := jwt.NewAccountClaims(public(t, account))
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{}
	uc := jwt.NewUserClaims(public(t, user))
	token := func(c jwt.Claims, by nkeys.KeyPair) string {
		s, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(token(uc, account), seed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n, ca := secureNATS(t, dir, fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n",
		token(oc, operator), public(t, account), token(ac, operator)))
	flags := []string{"--nats-creds", save(t, dir, "creds", creds), "--nats-ca-file", ca}
	return externalNATS{NATS: n, url: "tls://" + n.Addr(), control: flags, worker: flags}
}

// permissionsNATS has two users, with no more permissions than their roles need.
func permissionsNATS(t *testing.T) externalNATS {
	t.Helper()
	selector, err := wire.ParseSelector(nil)
	if err != nil {
		t.Fatal(err)
	}
	user := pair(t, nkeys.CreateUser)
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n, ca := secureNATS(t, dir, fmt.Sprintf("authorization: { users: [\n { nkey: %s, permissions: %s }\n { user: worker, password: secret, permissions: %s }\n] }\n",
		public(t, user), permissions(t, wire.ControlPermissions()), permissions(t, wire.WorkerPermissions("worker-1", selector))))
	return externalNATS{
		NATS: n, url: "tls://" + n.Addr(),
		control: []string{"--nats-nkey", save(t, dir, "seed", seed), "--nats-ca-file", ca},
		worker:  []string{"--nats-user-file", save(t, dir, "user", []byte("worker:secret\n")), "--nats-ca-file", ca},
	}
}

func permissions(t *testing.T, p wire.Permissions) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // nats-server reads no \u003e
	if err := enc.Encode(map[string][]string{"publish": p.Publish, "subscribe": p.Subscribe}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// secureNATS speaks TLS only, with a certificate of an authority of its own, whose file it returns.
func secureNATS(t *testing.T, dir, config string) (*brokers.NATS, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// One certificate is its own authority here.
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "external NATS"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := save(t, dir, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyFile := save(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	conf := save(t, dir, "nats.conf", fmt.Appendf(nil, "%stls: { cert_file: %q, key_file: %q }\n", config, cert, keyFile))
	return brokers.StartNATS(t, brokers.NATSConfig{Args: []string{"--config", conf}}), cert
}

func save(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	p, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func public(t *testing.T, p nkeys.KeyPair) string {
	t.Helper()
	s, err := p.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
