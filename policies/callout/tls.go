package callout

import (
	"crypto/tls"
	"fmt"

	"github.com/sluice-gateway/sluice/connectors/tlsstore"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// SSL says whom we trust and shows our certificate.
type SSL struct {
	// TrustStore holds the authorities that servers' certificates must come from, as PEM, PKCS12 or JKS. None: the system's.
	TrustStore *tlsstore.TrustStore `json:"trustStore"`
	// KeyStore holds our certificate and its key, for servers that ask for one.
	KeyStore *tlsstore.KeyStore `json:"keyStore"`
	// HostnameVerifier: false takes a certificate whatever name it bears, if it comes from an authority. Default true.
	HostnameVerifier bool `json:"hostnameVerifier"`
	// TrustAll takes any certificate: whoever is between the worker and the server can then read and change everything. Default
	// false.
	TrustAll bool `json:"trustAll"`
}

// TLS makes settings of TLS connections from an SSL block.
type TLS struct {
	trust, key        *tlsstore.Store // nil: the system's authorities, no certificate
	hostname, noCheck bool
}

// Read checks the block, which was found at the pointer at. What lies in the definition is read, files are not before they
// are needed.
func (c *SSL) Read(at string) (*TLS, apidef.Problems) {
	t := &TLS{hostname: c.HostnameVerifier, noCheck: c.TrustAll}
	problems := tlsstore.Expressions(at, c)
	trust, more := c.TrustStore.Read(at+"/trustStore", tlsstore.Files)
	t.trust, problems = trust, append(problems, more...)
	key, more := c.KeyStore.Read(at+"/keyStore", tlsstore.Files)
	t.key, problems = key, append(problems, more...)
	return t, problems
}

// Config reads the stores and makes settings for any server; the server's name is set by who connects.
func (t *TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.trust != nil {
		pool, err := t.trust.Authorities()
		if err != nil {
			return nil, fmt.Errorf("read the trust store: %w", err)
		}
		cfg.RootCAs = pool
	}
	if t.key != nil {
		cert, err := t.key.Certificate()
		if err != nil {
			return nil, fmt.Errorf("read the key store: %w", err)
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	switch {
	case t.noCheck:
		cfg.InsecureSkipVerify = true
	case !t.hostname:
		cfg = tlsstore.WithoutName(cfg)
	}
	return cfg, nil
}

// stamps changes when a file does.
func (t *TLS) stamps() (all string, err error) {
	for _, s := range []*tlsstore.Store{t.trust, t.key} {
		if s == nil {
			continue
		}
		stamp, err := s.Stamp()
		if err != nil {
			return "", fmt.Errorf("look at the stores of certificates: %w", err)
		}
		all += stamp + ";"
	}
	return all, nil
}
