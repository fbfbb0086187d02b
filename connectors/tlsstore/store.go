// Package tlsstore reads trust stores and key stores, in PEM, PKCS12 and JKS, out of the configuration of connectors, and finds
// every problem in it at once. It opens no connection and starts no goroutine. No password and no private key is ever part of
// an error or a problem.
package tlsstore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// Kinds of stores. JKS is what Java calls both of its formats: a file of either is taken under either name.
const (
	kindPEM    = "PEM"
	kindPKCS12 = "PKCS12"
	kindJKS    = "JKS"
)

// maxStore bounds a store, in bytes. The system's own authorities are a fifth of it.
const maxStore = 1 << 20

// source is where bytes of a store come from: a file, or the definition itself.
type source struct {
	path    string
	content []byte
}

// Store is a trust store or a key store, not yet read.
type Store struct {
	kind        string
	sources     []source // several for PEM: the key and the certificates
	password    string
	keyPassword string // of the key in a JKS file; empty: password
	alias       string // of the key in a JKS file; empty: the only one
}

func (s *Store) read() ([]byte, error) {
	var all []byte
	for _, src := range s.sources {
		data := src.content
		if src.path != "" {
			var err error
			if data, err = readFile(src.path); err != nil {
				return nil, err
			}
		}
		all = append(append(all, data...), '\n')
	}
	if len(s.sources) == 1 {
		all = all[:len(all)-1] // the line break would be data behind a binary file's end
	}
	return all, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStore+1))
	if err == nil && len(data) > maxStore {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxStore)
	}
	return data, err
}

// static tells a store that lies in the definition.
func (s *Store) static() bool {
	return !slices.ContainsFunc(s.sources, func(src source) bool { return src.path != "" })
}

// Stamp changes when a file does.
func (s *Store) Stamp() (string, error) {
	var out string
	for _, src := range s.sources {
		if src.path == "" {
			continue
		}
		info, err := os.Stat(src.path)
		if err != nil {
			return "", err
		}
		out += fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
	}
	return out, nil
}

// Authorities reads a trust store.
func (s *Store) Authorities() (*x509.CertPool, error) {
	certs, err := s.Certificates()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// Certificates reads a trust store as a list, which is never empty.
func (s *Store) Certificates() ([]*x509.Certificate, error) {
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	switch {
	case s.kind == kindPEM:
		certs, err = pemCertificates(data)
	case isJKS(data):
		certs, err = s.trustedJKS(data)
	case isJCEKS(data):
		err = errJCEKS
	default:
		if certs, err = pkcs12.DecodeTrustStore(data, s.password); err != nil {
			err = fmt.Errorf("read PKCS12: %w", err)
		}
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("there is no trusted certificate in it")
	}
	return certs, err
}

// errJCEKS: neither Kafka's own default nor anything that keytool makes unasked.
var errJCEKS = errors.New("JCEKS is not served in this version; convert it with keytool -importkeystore -deststoretype PKCS12")

func pemCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
}

// Certificate reads a key store.
func (s *Store) Certificate() (*tls.Certificate, error) {
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	switch {
	case s.kind == kindPEM:
		return pemKey(data)
	case isJKS(data):
		return s.keyJKS(data)
	case isJCEKS(data):
		return nil, errJCEKS
	}
	key, cert, chain, err := pkcs12.DecodeChain(data, s.password)
	if err != nil {
		return nil, fmt.Errorf("read PKCS12: %w", err)
	}
	out := &tls.Certificate{PrivateKey: key, Leaf: cert, Certificate: [][]byte{cert.Raw}}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

func pemKey(data []byte) (*tls.Certificate, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" {
			return nil, errEncryptedPEM
		}
	}
	cert, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, err
	}
	return &cert, nil
}

var errEncryptedPEM = errors.New("encrypted private keys in PEM are not served in this version; use PKCS12")

// openJKS reads a JKS file after its lengths were checked.
func (s *Store) openJKS(data []byte) (keystore.KeyStore, error) {
	ks := keystore.New(keystore.WithCaseExactAliases(), keystore.WithOrderedAliases())
	if err := measureJKS(data); err != nil {
		return ks, err
	}
	if err := ks.Load(bytes.NewReader(data), []byte(s.password)); err != nil {
		return ks, fmt.Errorf("read JKS: %w", err)
	}
	return ks, nil
}

func (s *Store) trustedJKS(data []byte) ([]*x509.Certificate, error) {
	ks, err := s.openJKS(data)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		entry, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, fmt.Errorf("read JKS: %w", err)
		}
		cert, err := x509.ParseCertificate(entry.Certificate.Content)
		if err != nil {
			return nil, fmt.Errorf("read a trusted certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func (s *Store) keyJKS(data []byte) (*tls.Certificate, error) {
	ks, err := s.openJKS(data)
	if err != nil {
		return nil, err
	}
	keys := slices.DeleteFunc(ks.Aliases(), func(a string) bool {
		return !ks.IsPrivateKeyEntry(a) || s.alias != "" && a != s.alias
	})
	if len(keys) != 1 {
		return nil, fmt.Errorf("there are %d private keys to choose from; name one in alias", len(keys))
	}
	password := s.keyPassword
	if password == "" {
		password = s.password
	}
	entry, err := ks.GetPrivateKeyEntry(keys[0], []byte(password))
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	out := &tls.Certificate{}
	for _, c := range entry.CertificateChain {
		out.Certificate = append(out.Certificate, c.Content)
	}
	if len(out.Certificate) == 0 {
		return nil, errors.New("the private key has no certificate")
	}
	if out.Leaf, err = x509.ParseCertificate(out.Certificate[0]); err != nil {
		return nil, fmt.Errorf("read the key's certificate: %w", err)
	}
	if out.PrivateKey, err = x509.ParsePKCS8PrivateKey(entry.PrivateKey); err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	return out, nil
}
