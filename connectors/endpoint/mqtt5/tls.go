package mqtt5

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// SSL says how to encrypt (addenda 3.7-a). The block alone turns it on.
type SSL struct {
	// HostnameVerifier checks that the broker's certificate names its host. Default true.
	HostnameVerifier *bool `json:"hostnameVerifier"`
	// TrustStore holds whom to trust. Default: the system's authorities.
	TrustStore *Store `json:"trustStore"`
	// KeyStore holds our own certificate and key. Default: none.
	KeyStore *KeyStore `json:"keyStore"`
}

// Store is a set of certificates.
type Store struct {
	// Type: PEM, or empty or NONE for nothing. PKCS12 and JKS are not served in this version.
	Type     string `json:"type"`
	Path     string `json:"path"`
	Content  string `json:"content"` // PEM, or PEM in base64
	Password string `json:"password"`
}

// KeyStore is a certificate with its key.
type KeyStore struct {
	// Type: PEM, or empty or NONE for nothing. PKCS12 and JKS are not served in this version.
	Type        string `json:"type"`
	Path        string `json:"path"`
	Content     string `json:"content"`
	Password    string `json:"password"`
	CertPath    string `json:"certPath"`
	CertContent string `json:"certContent"`
	KeyPath     string `json:"keyPath"`
	KeyContent  string `json:"keyContent"`
	KeyPassword string `json:"keyPassword"`
}

// ssl builds the TLS configuration. Files are read here, since a connection that cannot be made is better known when the
// definition is deployed.
func (c *checker) ssl(at string, s *SSL) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TrustStore != nil && c.isPEM(at+"/trustStore/type", s.TrustStore.Type) {
		cfg.RootCAs = c.roots(at+"/trustStore", s.TrustStore)
	}
	if s.KeyStore != nil && c.isPEM(at+"/keyStore/type", s.KeyStore.Type) {
		cfg.Certificates = c.certificates(at+"/keyStore", s.KeyStore)
	}
	if s.HostnameVerifier != nil && !*s.HostnameVerifier {
		anyName(cfg)
	}
	return cfg
}

// isPEM tells whether a store holds anything, and refuses the types that are not served.
func (c *checker) isPEM(at, kind string) bool {
	switch strings.ToUpper(kind) {
	case "PEM":
		return true
	case "", "NONE":
	case "JKS", "PKCS12":
		c.fail(at, strings.ToUpper(kind)+" stores are not served in this version; convert it to PEM")
	default:
		c.fail(at, fmt.Sprintf("%q is not PEM", kind))
	}
	return false
}

func (c *checker) roots(at string, s *Store) *x509.CertPool {
	pem, err := load(s.Path, s.Content)
	if err != nil {
		c.fail(at, err.Error())
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		c.fail(at, "holds no certificate in PEM")
	}
	return pool
}

func (c *checker) certificates(at string, s *KeyStore) []tls.Certificate {
	if s.KeyPassword != "" {
		c.fail(at+"/keyPassword", "encrypted keys are not served in this version")
		return nil
	}
	cert, err := load(s.CertPath, s.CertContent)
	key, err2 := load(s.KeyPath, s.KeyContent)
	if err := errors.Join(err, err2); err != nil {
		c.fail(at, "needs certPath or certContent, and keyPath or keyContent: "+err.Error())
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.fail(at, err.Error())
		return nil
	}
	return []tls.Certificate{pair}
}

func load(path, content string) ([]byte, error) {
	switch {
	case content != "":
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(content)); err == nil {
			return raw, nil
		}
		return []byte(content), nil
	case path != "":
		return os.ReadFile(path)
	}
	return nil, errors.New("there is neither a path nor content")
}

// anyName checks the broker's certificate in all but its name.
func anyName(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true // VerifyConnection does the rest
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: x509.NewCertPool()}
		for _, cert := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(opts)
		return err
	}
}
