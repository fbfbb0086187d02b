package tlsstore

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
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

// Read checks cfg, which was found at the pointer at; nil is TLS with the system's authorities. The transport is of use only without
// errors. nameCheck says, for people, which settings decide what name the broker's certificate must bear.
func (cfg *SSL) Read(at, nameCheck string) (*Transport, apidef.Problems) {
	t := &Transport{verifyName: true, nameCheck: nameCheck}
	if cfg == nil {
		return t, nil
	}
	c := &checker{from: Files, problems: Expressions(at, cfg)}
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
	if trust != nil {
		t.trust = c.trustStore(trustAt, trust)
	}
	if key != nil {
		t.key = c.keyStore(keyAt, key)
	}
	t.verifyName = cfg.HostnameVerifier == nil || *cfg.HostnameVerifier
	if cfg.TrustAll {
		c.fail(at+"/trustAll", "is not served: put the brokers' authority into trustStore")
	}
	return t, c.problems
}

// HasStores tells whether t was given authorities or a certificate.
func (t *Transport) HasStores() bool { return t.trust != nil || t.key != nil }

// Expressions finds, in a block of security settings at the pointer at, what would be sent to a broker as it stands.
func Expressions(at string, cfg any) apidef.Problems {
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil // a raw message that is no JSON has been told by Decode
	}
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return nil
	}
	return walk(nil, at, tree)
}

func walk(ps apidef.Problems, at string, v any) apidef.Problems {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "{#") {
			ps = append(ps, connectors.Invalid(at,
				"expressions and secret references are not served in security settings in this version; write the value"))
		}
	case []any:
		for i, item := range v {
			ps = walk(ps, at+"/"+strconv.Itoa(i), item)
		}
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			ps = walk(ps, at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), v[name])
		}
	}
	return ps
}
