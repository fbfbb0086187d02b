package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/proto/join"
)

const (
	// leafLife is how long a node's certificate is valid. The key never leaves the process, which makes itself a new
	// pair when renewAfter has passed: no file to rotate, no restart.
	leafLife = 30 * 24 * time.Hour
	// renewAfter leaves ten days for a node whose clock is behind its peers'.
	renewAfter = 20 * 24 * time.Hour
	// backdate lets a peer whose clock is a little behind accept a new certificate.
	backdate = time.Hour
)

// The authority's certificate is valid from and to fixed dates, so that every node makes the same bytes.
var (
	caFrom  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	caUntil = time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC)
)

// authority makes the self-signed certificate of key; Ed25519 signatures are deterministic, so it is always the same.
func authority(key ed25519.PrivateKey, cluster string) (*x509.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "sluice cluster " + cluster},
		NotBefore:             caFrom,
		NotAfter:              caUntil,
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make cluster certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read cluster certificate: %w", err)
	}
	return cert, nil
}

// certificate returns the node's certificate, made anew when it has grown old.
func (i *Identity) certificate() (*tls.Certificate, error) {
	now := i.cfg.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.leaf != nil && now.Before(i.leaf.Leaf.NotBefore.Add(backdate+renewAfter)) {
		return i.leaf, nil
	}
	leaf, err := i.issue(now)
	if err != nil {
		return nil, err
	}
	i.leaf = leaf
	return leaf, nil
}

func (i *Identity) issue(now time.Time) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: i.cfg.Node},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{join.ServerName},
	}
	for _, h := range i.cfg.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if h != "" {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.ca, public, i.caKey)
	if err != nil {
		return nil, fmt.Errorf("make node certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read node certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, nil
}
