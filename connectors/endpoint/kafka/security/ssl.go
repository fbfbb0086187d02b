package security

import (
	"github.com/sluice-gateway/sluice/connectors/tlsstore"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// SSL says whom we trust and shows our certificate.
type SSL struct {
	// TrustStore holds the authorities that brokers' certificates must come from. None: the system's.
	TrustStore *tlsstore.TrustStore `json:"trustStore"`
	// KeyStore holds our certificate and its key, for brokers with ssl.client.auth.
	KeyStore *tlsstore.KeyStore `json:"keyStore"`
	// The same in another spelling.
	TrustStoreLower *tlsstore.TrustStore `json:"truststore"`
	KeyStoreLower   *tlsstore.KeyStore   `json:"keystore"`
	// HostnameVerifier: false takes a broker's certificate whatever name it bears, if it comes from an authority. Default true.
	HostnameVerifier *bool `json:"hostnameVerifier"`
	// TrustAll is refused where it is true: name the brokers' authority in trustStore.
	TrustAll bool `json:"trustAll"`
}

// ssl checks the block, and makes a transport where the protocol has TLS.
func (c *checker) ssl(at, protocol string, cfg *SSL) *transport {
	t := &transport{verifyName: true}
	if cfg != nil {
		trust, trustAt := cfg.TrustStore, at+"/trustStore"
		if cfg.TrustStoreLower != nil {
			if trust != nil {
				c.fail(at+"/truststore", "stands beside trustStore; give one of them")
			}
			trust, trustAt = cfg.TrustStoreLower, at+"/truststore"
		}
		key, keyAt := cfg.KeyStore, at+"/keyStore"
		if cfg.KeyStoreLower != nil {
			if key != nil {
				c.fail(at+"/keystore", "stands beside keyStore; give one of them")
			}
			key, keyAt = cfg.KeyStoreLower, at+"/keystore"
		}
		var ps apidef.Problems
		t.trust, ps = trust.Read(trustAt, tlsstore.Files)
		c.problems = append(c.problems, ps...)
		t.key, ps = key.Read(keyAt, tlsstore.Files)
		c.problems = append(c.problems, ps...)
		t.verifyName = cfg.HostnameVerifier == nil || *cfg.HostnameVerifier
		if cfg.TrustAll {
			c.fail(at+"/trustAll", "is not served: put the brokers' authority into trustStore")
		}
	}
	switch protocol {
	case protocolSSL, protocolSASLSSL:
		return t
	case protocolPlain, protocolSASLPlaintext:
		if t.trust != nil || t.key != nil {
			c.fail(at, "has no effect with protocol "+protocol+"; choose SSL or SASL_SSL")
		}
	}
	return nil
}
