package webhook

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/sluice-gateway/sluice/connectors/tlsstore"
)

// JWTProfile is OAuth2 where the client shows an assertion that it signed (RFC 7523 section 2.2).
type JWTProfile struct {
	// Endpoint gives tokens. Required.
	Endpoint string `json:"endpoint"`
	// ClientID is sent too, where it is set. ClientSecret is not needed.
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret"`
	Scopes       []string `json:"scopes"`
	// Issuer and Subject of the assertion. Issuer is required; Subject is the issuer by default.
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	// Audience of the assertion. Default: Endpoint.
	Audience string `json:"audience"`
	// SignatureAlgorithm: RSA_RS256 (default), RSA_RS384, RSA_RS512, RSA_PS256, RSA_PS384, RSA_PS512, EC_ES256, EC_ES384, EC_ES512,
	// HMAC_HS256, HMAC_HS384 or HMAC_HS512.
	SignatureAlgorithm string `json:"signatureAlgorithm"`
	// KeySource is what KeyContent holds: INLINE (default) and PEM, the private key in PEM, or the secret for HMAC; JKS and PKCS12,
	// a key store in base64.
	KeySource  string `json:"keySource"`
	KeyContent string `json:"keyContent"`
	// Alias, StorePassword and KeyPassword are for key stores.
	Alias         string `json:"alias"`
	StorePassword string `json:"storePassword"`
	KeyPassword   string `json:"keyPassword"`
	// KeyID is the assertion's "kid". Default: none.
	KeyID string `json:"keyId"`
}

const (
	assertionLife = time.Minute
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// algorithms by the names of JWS (RFC 7518 section 3.1).
var algorithms = map[string]jwa.SignatureAlgorithm{
	"HS256": jwa.HS256(), "HS384": jwa.HS384(), "HS512": jwa.HS512(),
	"RS256": jwa.RS256(), "RS384": jwa.RS384(), "RS512": jwa.RS512(),
	"PS256": jwa.PS256(), "PS384": jwa.PS384(), "PS512": jwa.PS512(),
	"ES256": jwa.ES256(), "ES384": jwa.ES384(), "ES512": jwa.ES512(),
}

// assertions signs.
type assertions struct {
	config    JWTProfile
	algorithm jwa.SignatureAlgorithm
	key       any
}

func (k *checker) jwtProfile(at string, c *JWTProfile) authorizer {
	endpoint := k.callback(at+"/endpoint", c.Endpoint)
	if c.Issuer == "" {
		k.fail(at+"/issuer", "is required")
	}
	a := &assertions{config: *c}
	name := strings.ToUpper(cmp.Or(c.SignatureAlgorithm, "RSA_RS256"))
	name = name[strings.LastIndexByte(name, '_')+1:]
	var ok bool
	if a.algorithm, ok = algorithms[name]; !ok {
		k.fail(at+"/signatureAlgorithm", fmt.Sprintf("%q is not one of RSA_RS256, RSA_RS384, RSA_RS512, RSA_PS256, RSA_PS384, RSA_PS512, "+
			"EC_ES256, EC_ES384, EC_ES512, HMAC_HS256, HMAC_HS384, HMAC_HS512", c.SignatureAlgorithm))
		return nil
	}
	if a.key = k.assertionKey(at, c, strings.HasPrefix(name, "HS")); a.key == nil {
		return nil
	}
	if _, err := a.sign(time.Unix(0, 0)); err != nil {
		k.fail(at+"/keyContent", "holds a key that does not fit "+name)
	}
	return newTokens(endpoint, a.form)
}

// assertionKey reads the key; nil: it was refused.
func (k *checker) assertionKey(at string, c *JWTProfile, secret bool) any {
	source := strings.ToUpper(cmp.Or(c.KeySource, "INLINE"))
	switch {
	case c.KeyContent == "":
		k.fail(at+"/keyContent", "is required")
	case !slices.Contains([]string{"INLINE", "PEM", "JKS", "PKCS12"}, source):
		k.fail(at+"/keySource", fmt.Sprintf("%q is not one of INLINE, PEM, JKS, PKCS12", c.KeySource))
	case secret && source != "INLINE":
		k.fail(at+"/keySource", "must be INLINE for HMAC, with the secret in keyContent")
	case secret:
		return []byte(c.KeyContent)
	case source == "INLINE" || source == "PEM":
		set, err := jwk.ParseKey([]byte(c.KeyContent), jwk.WithPEM(true))
		if err == nil {
			return set
		}
		k.fail(at+"/keyContent", "holds no private key in PEM") // without err, which may hold parts of it
	default:
		return k.storedKey(at, c, source)
	}
	return nil
}

func (k *checker) storedKey(at string, c *JWTProfile, kind string) any {
	store := tlsstore.KeyStore{Type: kind, Content: c.KeyContent, Password: c.StorePassword, Alias: c.Alias, KeyPassword: c.KeyPassword}
	s, ps := store.Read(at, tlsstore.ContentOnly)
	for _, p := range ps {
		p.Pointer = strings.Replace(strings.Replace(p.Pointer, at+"/content", at+"/keyContent", 1), at+"/password", at+"/storePassword", 1)
		k.problems = append(k.problems, p)
	}
	if s == nil || ps.Err() != nil {
		return nil
	}
	var cert *tls.Certificate
	cert, err := s.Certificate()
	if err != nil {
		k.fail(at+"/keyContent", "cannot be read: "+err.Error())
		return nil
	}
	return cert.PrivateKey
}

func (a *assertions) sign(now time.Time) ([]byte, error) {
	c := &a.config
	token, err := jwt.NewBuilder().Issuer(c.Issuer).Subject(cmp.Or(c.Subject, c.Issuer)).Audience([]string{cmp.Or(c.Audience, c.Endpoint)}).
		IssuedAt(now).Expiration(now.Add(assertionLife)).JwtID(uuid.NewString()).Build()
	if err != nil {
		return nil, err
	}
	headers := jws.NewHeaders()
	if c.KeyID != "" {
		if err := headers.Set(jws.KeyIDKey, c.KeyID); err != nil {
			return nil, err
		}
	}
	return jwt.Sign(token, jwt.WithKey(a.algorithm, a.key, jws.WithProtectedHeaders(headers)))
}

// form makes what is posted for a token.
func (a *assertions) form(now time.Time) (url.Values, error) {
	assertion, err := a.sign(now)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {string(assertion)}}
	if a.config.ClientID != "" {
		form.Set("client_id", a.config.ClientID)
	}
	if a.config.ClientSecret != "" {
		form.Set("client_secret", a.config.ClientSecret)
	}
	addScopes(form, a.config.Scopes)
	return form, nil
}
