package tlsstore

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Sources says where a store may come from.
type Sources bool

// Sources.
const (
	Files       Sources = true  // files of the worker too: for what its operators and publishers of APIs write
	ContentOnly Sources = false // the definition alone: for what subscribers write, who must not name files of the worker
)

// TrustStore: one of Location, Path, Content and, for PEM, Certificates.
type TrustStore struct {
	// Type: NONE, PEM, PKCS12 or JKS. Default: PEM with Certificates, JKS with anything else, else NONE.
	Type string `json:"type"`
	// Location is a file of the worker, where those are read. It is read again when it changes.
	Location string `json:"location"`
	// Path is another name of Location.
	Path string `json:"path"`
	// Content is the file in base64; PEM as it is, too.
	Content string `json:"content"`
	// Password of the store. Required for JKS.
	Password string `json:"password"`
	// Certificates in PEM.
	Certificates string `json:"certificates"`
}

// KeyStore is like a TrustStore. In PEM, the key and the certificates may stand apart.
type KeyStore struct {
	// Type: NONE, PEM, PKCS12 or JKS. Default: PEM with a key, JKS with anything else, else NONE.
	Type string `json:"type"`
	// Location is a file of the worker, where those are read. It is read again when it changes.
	Location string `json:"location"`
	// Path is another name of Location.
	Path string `json:"path"`
	// Content is the file in base64; PEM as it is, too.
	Content string `json:"content"`
	// Password of the store. Required for JKS.
	Password string `json:"password"`
	// KeyPassword of the private key in a JKS file. Default: Password.
	KeyPassword string `json:"keyPassword"`
	// Alias of the private key in a JKS file. Required where there are several.
	Alias string `json:"alias"`
	// Key is the private key in PEM, where it stands apart from the certificates.
	Key string `json:"key"`
	// KeyPath is a file with it.
	KeyPath string `json:"keyPath"`
	// KeyContent is another name of Key.
	KeyContent string `json:"keyContent"`
	// CertificateChain are the certificates in PEM, the key's first, where they stand apart from it.
	CertificateChain string `json:"certificateChain"`
	// CertPath is a file with them.
	CertPath string `json:"certPath"`
	// CertContent is another name of CertificateChain.
	CertContent string `json:"certContent"`
}

// given is a setting that names a source.
type given struct {
	name, value string
	file        bool // value is a path, else content
}

// Read checks the block, which was found at the pointer at. No store: nil. What lies in the definition is read; a file is not
// before it is needed.
func (cfg *TrustStore) Read(at string, from Sources) (*Store, apidef.Problems) {
	if cfg == nil {
		return nil, nil
	}
	c := &checker{from: from}
	s := c.trustStore(at, cfg)
	return s, c.problems
}

// Read is as that of a TrustStore.
func (cfg *KeyStore) Read(at string, from Sources) (*Store, apidef.Problems) {
	if cfg == nil {
		return nil, nil
	}
	c := &checker{from: from}
	s := c.keyStore(at, cfg)
	return s, c.problems
}

// checker collects what is wrong.
type checker struct {
	from     Sources
	problems apidef.Problems
}

func (c *checker) fail(pointer, text string) {
	c.problems = append(c.problems, connectors.Invalid(pointer, text))
}

func (c *checker) trustStore(at string, cfg *TrustStore) *Store {
	whole := []given{{"location", cfg.Location, true}, {"path", cfg.Path, true}, {"content", cfg.Content, false}}
	parts := [][]given{{{"certificates", cfg.Certificates, false}}}
	s := &Store{password: cfg.Password}
	if !c.fill(s, at, cfg.Type, whole, parts) {
		return nil
	}
	c.passwords(at, s, given{name: "password", value: cfg.Password})
	if s.static() && len(s.sources) > 0 {
		if _, err := s.Authorities(); err != nil {
			c.fail(at, "cannot be read: "+err.Error())
		}
	}
	return s
}

func (c *checker) keyStore(at string, cfg *KeyStore) *Store {
	whole := []given{{"location", cfg.Location, true}, {"path", cfg.Path, true}, {"content", cfg.Content, false}}
	parts := [][]given{
		{{"key", cfg.Key, false}, {"keyPath", cfg.KeyPath, true}, {"keyContent", cfg.KeyContent, false}},
		{{"certificateChain", cfg.CertificateChain, false}, {"certPath", cfg.CertPath, true}, {"certContent", cfg.CertContent, false}},
	}
	s := &Store{password: cfg.Password, keyPassword: cfg.KeyPassword, alias: cfg.Alias}
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
		if _, err := s.Certificate(); err != nil {
			c.fail(at, "cannot be read: "+err.Error())
		}
	}
	return s
}

// passwords checks what a kind needs and what it has no use for.
func (c *checker) passwords(at string, s *Store, passwords ...given) {
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
func (c *checker) fill(s *Store, at, kind string, whole []given, parts [][]given) bool {
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

func (c *checker) source(s *Store, at string, g given) {
	if g.file {
		if c.from == ContentOnly {
			c.fail(at+"/"+g.name, "names a file of the gateway, which is not read for subscribers; give the content")
			return
		}
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
