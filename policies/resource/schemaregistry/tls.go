package schemaregistry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// config makes the settings of TLS.
func (s *SSL) config(problems *apidef.Problems) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.TrustAll}
	if text, ok := s.TrustStore.pem("/ssl/trustStore", problems); ok {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(text)) {
			*problems = append(*problems, settings.Invalid("/ssl/trustStore/content", "has no certificate in PEM"))
		}
	}
	if text, ok := s.KeyStore.pem("/ssl/keyStore", problems); ok {
		pair, err := tls.X509KeyPair([]byte(text), []byte(text))
		if err != nil {
			*problems = append(*problems, settings.Invalid("/ssl/keyStore/content", "must be a certificate and its key in PEM: "+err.Error()))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if !s.HostnameVerifier && !s.TrustAll {
		c.InsecureSkipVerify = true // VerifyConnection checks all but the name
		roots := c.RootCAs
		c.VerifyConnection = func(state tls.ConnectionState) error { return chain(state, roots) }
	}
	return c
}

// chain checks the certificates that a server showed, other than their names.
func chain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the registry shows no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// pem is the content of a store; ok false: there is none, or it is of a type that is not known here.
func (s *Store) pem(at string, problems *apidef.Problems) (text string, ok bool) {
	switch strings.ToUpper(s.Type) {
	case "", "NONE":
		return s.Content, s.Content != ""
	case "PEM":
		return s.Content, true
	}
	*problems = append(*problems, settings.Invalid(at+"/type", "must be NONE or PEM"))
	return "", false
}
