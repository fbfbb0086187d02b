package security

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// SSL says whom we trust and shows our certificate.
type SSL struct {
	// TrustStore holds the authorities that brokers' certificates must come from. None: the system's.
	TrustStore *TrustStore `json:"trustStore"`
	// KeyStore holds our certificate and its key, for brokers with ssl.client.auth.
	KeyStore *KeyStore `json:"keyStore"`
	// The same in another spelling.
	TrustStoreLower *TrustStore `json:"truststore"`
	KeyStoreLower   *KeyStore   `json:"keystore"`
	// HostnameVerifier: false takes a broker's certificate whatever name it bears, if it comes from an authority. Default true.
	HostnameVerifier *bool `json:"hostnameVerifier"`
	// TrustAll is refused where it is true: name the brokers' authority in trustStore.
	TrustAll bool `json:"trustAll"`
}

// TrustStore: one of Location, Path, Content and, for PEM, Certificates.
type TrustStore struct {
	// Type: NONE, PEM, PKCS12 or JKS. Default: PEM with Certificates, JKS with anything else, else NONE.
	Type string `json:"type"`
	// Location and Path are a file of the worker. It is read again when it changes.
	Location string `json:"location"`
	Path     string `json:"path"`
	// Content is the file in base64; PEM as it is, too.
	Content string `json:"content"`
	// Password of the store. Required for JKS.
	Password string `json:"password"`
	// Certificates in PEM.
	Certificates string `json:"certificates"`
}

// KeyStore is like a TrustStore. In PEM, the key and the certificates may stand apart.
type KeyStore struct {
	Type     string `json:"type"`
	Location string `json:"location"`
	Path     string `json:"path"`
	Content  string `json:"content"`
	Password string `json:"password"`
	// KeyPassword of the private key in a JKS file. Default: Password.
	KeyPassword string `json:"keyPassword"`
	// Alias of the private key in a JKS file. Required where there are several.
	Alias string `json:"alias"`
	// Key, KeyPath or KeyContent, and CertificateChain, CertPath or CertContent: PEM in two parts.
	Key              string `json:"key"`
	KeyPath          string `json:"keyPath"`
	KeyContent       string `json:"keyContent"`
	CertificateChain string `json:"certificateChain"`
	CertPath         string `json:"certPath"`
	CertContent      string `json:"certContent"`
}

// given is a setting that names a source.
type given struct {
	name, value string
	file        bool // value is a path, else content
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
		t.trust, t.key = c.trustStore(trustAt, trust), c.keyStore(keyAt, key)
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

func (c *checker) trustStore(at string, cfg *TrustStore) *store {
	if cfg == nil {
		return nil
	}
	whole := []given{{"location", cfg.Location, true}, {"path", cfg.Path, true}, {"content", cfg.Content, false}}
	parts := [][]given{{{"certificates", cfg.Certificates, false}}}
	s := &store{password: cfg.Password}
	if !c.fill(s, at, cfg.Type, whole, parts) {
		return nil
	}
	c.passwords(at, s, given{name: "password", value: cfg.Password})
	if s.static() && len(s.sources) > 0 {
		if _, err := s.authorities(); err != nil {
			c.fail(at, "cannot be read: "+err.Error())
		}
	}
	return s
}

func (c *checker) keyStore(at string, cfg *KeyStore) *store {
	if cfg == nil {
		return nil
	}
	whole := []given{{"location", cfg.Location, true}, {"path", cfg.Path, true}, {"content", cfg.Content, false}}
	parts := [][]given{
		{{"key", cfg.Key, false}, {"keyPath", cfg.KeyPath, true}, {"keyContent", cfg.KeyContent, false}},
		{{"certificateChain", cfg.CertificateChain, false}, {"certPath", cfg.CertPath, true}, {"certContent", cfg.CertContent, false}},
	}
	s := &store{password: cfg.Password, keyPassword: cfg.KeyPassword, alias: cfg.Alias}
	if !c.fill(s, at, cfg.Type, whole, parts) {
		return nil
	}
	c.passwords(at, s, given{name: "password", value: cfg.Password}, given{name: "keyPassword", value: cfg.KeyPassword})
	if s.kind == kindPKCS12 && cfg.KeyPassword != "" && cfg.KeyPassword != cfg.Password {
		c.fail(at+"/keyPassword", "differs from password, which is not served for PKCS12 in this version")
	}
	if s.kind != kindJKS && cfg.Alias != "" {
		c.fail(at+"/alias", "is served for JKS only in this version; leave one key in the store")
	}
	if s.static() && len(s.sources) > 0 {
		if _, err := s.certificate(); err != nil {
			c.fail(at, "cannot be read: "+err.Error())
		}
	}
	return s
}

// passwords checks what a kind needs and what it has no use for.
func (c *checker) passwords(at string, s *store, passwords ...given) {
	if s.kind == kindJKS && passwords[0].value == "" {
		c.fail(at+"/password", "is required for JKS")
		s.sources = nil // reading it would only say the same
	}
	if s.kind != kindPEM {
		return
	}
	for _, p := range passwords {
		if p.value != "" {
			c.fail(at+"/"+p.name, "is not served for PEM: "+errEncryptedPEM.Error())
		}
	}
}

// fill finds a store's kind and its sources: one whole file or content, or for PEM each of the parts. It is false where
// there is no store.
func (c *checker) fill(s *store, at, kind string, whole []given, parts [][]given) bool {
	all := []given{}
	for _, group := range append([][]given{whole}, parts...) {
		for _, g := range group {
			if g.value != "" {
				all = append(all, g)
			}
		}
	}
	inParts := len(all) > 0 && !chosen(whole)
	s.kind = strings.ToUpper(kind)
	if s.kind == "P12" || s.kind == "PFX" {
		s.kind = kindPKCS12
	}
	switch s.kind {
	case "", "NONE":
		if s.kind == "NONE" || len(all) == 0 {
			for _, g := range all {
				c.fail(at+"/"+g.name, "has no effect with type NONE; choose PEM, PKCS12 or JKS")
			}
			return false
		}
		s.kind = kindJKS // Kafka's own default
		if inParts {
			s.kind = kindPEM
		}
	case kindPEM, kindPKCS12, kindJKS:
	default:
		c.fail(at+"/type", fmt.Sprintf("%q is not one of NONE, PEM, PKCS12, JKS", kind))
		return false
	}
	if inParts && s.kind != kindPEM {
		for _, g := range all {
			c.fail(at+"/"+g.name, "is for PEM; for "+s.kind+" give location, path or content")
		}
		return false
	}
	if !inParts {
		parts = [][]given{whole}
	}
	for _, group := range parts {
		if g, ok := c.oneOf(at, group); ok {
			c.source(s, at, g)
		}
	}
	for _, g := range all {
		if !inParts && !chosen([]given{g}, whole...) {
			c.fail(at+"/"+g.name, "stands beside a whole store; give one of them")
		}
	}
	return true
}

// chosen tells whether any of gs has a value; with among: whether the first is one of those.
func chosen(gs []given, among ...given) bool {
	for _, g := range gs {
		if g.value == "" {
			continue
		}
		if len(among) == 0 {
			return true
		}
		for _, a := range among {
			if a.name == g.name {
				return true
			}
		}
	}
	return false
}

// oneOf finds the one setting of a group that has a value.
func (c *checker) oneOf(at string, group []given) (given, bool) {
	var found given
	for _, g := range group {
		switch {
		case g.value == "":
		case found.value == "":
			found = g
		default:
			c.fail(at+"/"+g.name, "stands beside "+found.name+"; give one of them")
		}
	}
	if found.value == "" {
		var names []string
		for _, g := range group {
			names = append(names, g.name)
		}
		c.fail(at+"/"+group[0].name, "is required: give one of "+strings.Join(names, ", "))
	}
	return found, found.value != ""
}

func (c *checker) source(s *store, at string, g given) {
	if g.file {
		s.sources = append(s.sources, source{path: g.value})
		return
	}
	content := []byte(g.value)
	if s.kind != kindPEM || !bytes.Contains(content, []byte("-----BEGIN ")) {
		var err error
		if content, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(g.value), "")); err != nil {
			c.fail(at+"/"+g.name, "is not base64")
			return
		}
	}
	if len(content) > maxStore {
		c.fail(at+"/"+g.name, fmt.Sprintf("is larger than %d bytes", maxStore))
		return
	}
	s.sources = append(s.sources, source{content: content})
}
