// Package generatejwt is the policy "policy-generate-jwt" (policies.md 7.1): it makes a signed JSON Web Token (RFC 7519) for later steps.
//
// It stands in the request phase. The token goes into the attribute jwt.generated, and nowhere else: transform-headers can hand it on. It
// always has iat and jti; exp unless expiresIn is 0; iss, sub and aud where they have a value, aud as a text where it is one; and the custom claims,
// whose expressions keep their type. The key is an RSA key in PEM, inline or in a file of the worker, or for HMAC a secret. A file is read
// when the first token is made. Key stores (JKS, PKCS12) and chains of certificates are not served, and refused at deploy.
//
// Failure: 500 without a key, Unable to generate JWT token, where an expression has no value or the key cannot be read.
package generatejwt

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-generate-jwt.
type Config struct {
	// Signature is RSA_RS256 (default), HMAC_HS256, HMAC_HS384 or HMAC_HS512.
	Signature string `json:"signature"`
	// KeyResolver is INLINE (default), where Content is the key, or PEM, where it is the path of a file. Of HMAC Content is the secret.
	KeyResolver string `json:"keyResolver"`
	// Content is the key, in PEM, its path, or the secret. Required.
	Content string `json:"content"`
	// SecretBase64Encoded has an HMAC secret be decoded first. Default false.
	SecretBase64Encoded bool `json:"secretBase64Encoded"`
	// Kid is the header kid; empty: none.
	Kid string `json:"kid"`
	// ID is the claim jti; it may hold expressions. Default: a random UUID.
	ID string `json:"id"`
	// Audiences are the claim aud; they may hold expressions.
	Audiences []string `json:"audiences"`
	// Issuer is the claim iss; it may hold expressions. Default urn://gravitee-api-gw.
	Issuer string `json:"issuer"`
	// Subject is the claim sub; it may hold expressions.
	Subject string `json:"subject"`
	// ExpiresIn is how long the token is valid, in ExpiresInUnit; 0: for ever. Default 30.
	ExpiresIn int64 `json:"expiresIn"`
	// ExpiresInUnit is SECONDS (default), MINUTES, HOURS or DAYS.
	ExpiresInUnit string `json:"expiresInUnit"`
	// CustomClaims are further claims.
	CustomClaims []Claim `json:"customClaims"`
	// X509CertificateChain is NONE (default): chains are not served.
	X509CertificateChain string `json:"x509CertificateChain"`
	// Alias, Storepass and Keypass are of key stores, which are not served; they have no effect.
	Alias     string `json:"alias"`
	Storepass string `json:"storepass"`
	Keypass   string `json:"keypass"`
}

// Claim is a further claim.
type Claim struct {
	// Name is the claim's name. Required.
	Name string `json:"name"`
	// Value may hold expressions; exactly one keeps its type. Required.
	Value string `json:"value"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "policy-generate-jwt", Aliases: []string{"generate-jwt"}, Name: "Generate JWT", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config {
	return &Config{Signature: "RSA_RS256", KeyResolver: "INLINE", Issuer: "urn://gravitee-api-gw", ExpiresIn: 30, ExpiresInUnit: "SECONDS", X509CertificateChain: "NONE"}
}

var algorithms = map[string]jwa.SignatureAlgorithm{"RSA_RS256": jwa.RS256(), "HMAC_HS256": jwa.HS256(), "HMAC_HS384": jwa.HS384(), "HMAC_HS512": jwa.HS512()}

var units = map[string]time.Duration{"SECONDS": time.Second, "MINUTES": time.Minute, "HOURS": time.Hour, "DAYS": 24 * time.Hour}

// maxLife bounds ExpiresIn, in its unit: what is valid longer does not expire.
const maxLife = 100_000

type policy struct {
	algorithm jwa.SignatureAlgorithm
	kid       string
	key       func() (any, error)
	id        *policies.Expression // nil: random
	issuer    *policies.Expression
	subject   *policies.Expression // nil: none
	audiences []*policies.Expression
	claims    []claim
	life      time.Duration
}

type claim struct {
	name  string
	value *policies.Expression
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	p := &policy{kid: c.Kid}
	refuse := func(bad bool, pointer, text string) {
		if bad {
			problems = append(problems, settings.Invalid(pointer, text))
		}
	}
	algorithm, ok := algorithms[c.Signature]
	refuse(!ok, "/signature", "must be one of: RSA_RS256, HMAC_HS256, HMAC_HS384, HMAC_HS512")
	unit, known := units[c.ExpiresInUnit]
	refuse(!known, "/expiresInUnit", "must be one of: SECONDS, MINUTES, HOURS, DAYS")
	refuse(c.ExpiresIn < 0 || c.ExpiresIn > maxLife, "/expiresIn", "must be 0 to 100000")
	refuse(c.X509CertificateChain != "NONE", "/x509CertificateChain", "must be NONE: chains are not served by this version")
	p.algorithm, p.life = algorithm, time.Duration(c.ExpiresIn)*unit
	if ok {
		var at string
		var err error
		p.key, at, err = keyOf(c)
		refuse(err != nil, at, fmt.Sprint(err))
	}
	optional := func(pointer, text string) *policies.Expression {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		return policies.ParseAt(&problems, pointer, text)
	}
	p.id, p.issuer, p.subject = optional("/id", c.ID), optional("/issuer", c.Issuer), optional("/subject", c.Subject)
	for i, a := range c.Audiences {
		if e := optional(fmt.Sprintf("/audiences/%d", i), a); e != nil {
			p.audiences = append(p.audiences, e)
		}
	}
	for i, cl := range c.CustomClaims {
		at := fmt.Sprintf("/customClaims/%d", i)
		refuse(strings.TrimSpace(cl.Name) == "", at+"/name", "is required")
		if e := policies.ParseAt(&problems, at+"/value", cl.Value); e != nil {
			p.claims = append(p.claims, claim{cl.Name, e})
		}
	}
	return p, problems
}

// keyOf returns what gives the key. at is where the error is.
func keyOf(c *Config) (key func() (any, error), at string, err error) {
	if strings.TrimSpace(c.Content) == "" {
		return nil, "/content", errors.New("is required: the key, its path or the secret")
	}
	if strings.HasPrefix(c.Signature, "HMAC") {
		secret := []byte(c.Content)
		if c.SecretBase64Encoded {
			if secret, err = base64.StdEncoding.DecodeString(c.Content); err != nil || len(secret) == 0 {
				return nil, "/content", errors.New("is not base64")
			}
		}
		return func() (any, error) { return secret, nil }, "", nil
	}
	switch c.KeyResolver {
	case "INLINE":
		parsed, err := parse([]byte(c.Content))
		return func() (any, error) { return parsed, nil }, "/content", err
	case "PEM":
		return sync.OnceValues(func() (any, error) { return read(c.Content) }), "", nil
	}
	return nil, "/keyResolver", errors.New("must be INLINE or PEM; key stores are not served by this version")
}

func read(path string) (any, error) {
	data, err := os.ReadFile(path) //nolint:gosec // what the definition names
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	return parse(data)
}

func parse(pem []byte) (any, error) {
	k, err := jwk.ParseKey(pem, jwk.WithPEM(true))
	if err != nil {
		return nil, errors.New("is no RSA private key in PEM")
	}
	var out rsa.PrivateKey
	if err := jwk.Export(k, &out); err != nil {
		return nil, errors.New("is no RSA private key in PEM")
	}
	return &out, nil
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	token, err := p.token(c, time.Now())
	if err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: "Unable to generate JWT token: " + err.Error(), Err: err}
	}
	c.Exchange.SetAttribute("jwt.generated", token)
	return nil
}

func (p *policy) token(c *policies.Context, now time.Time) (string, error) {
	claims, err := p.payload(c, now)
	if err != nil {
		return "", err
	}
	key, err := p.key()
	if err != nil {
		return "", errors.New("the key cannot be read")
	}
	header := jws.NewHeaders()
	if err := header.Set(jws.TypeKey, "JWT"); err != nil {
		return "", err
	}
	if p.kid != "" {
		if err := header.Set(jws.KeyIDKey, p.kid); err != nil {
			return "", err
		}
	}
	out, err := jws.Sign(claims, jws.WithKey(p.algorithm, key, jws.WithProtectedHeaders(header)))
	return string(out), err
}

// payload is the claims.
func (p *policy) payload(c *policies.Context, now time.Time) ([]byte, error) {
	claims := map[string]any{"iat": now.Unix()}
	if p.life > 0 {
		claims["exp"] = now.Add(p.life).Unix()
	}
	for _, f := range []struct {
		name  string
		value *policies.Expression
	}{{"jti", p.id}, {"iss", p.issuer}, {"sub", p.subject}} {
		if f.value == nil {
			continue
		}
		text, ok, err := f.value.TextOrNull(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if ok {
			claims[f.name] = text
		}
	}
	if _, ok := claims["jti"]; !ok {
		claims["jti"] = uuid.NewString()
	}
	var audiences []string
	for _, a := range p.audiences {
		text, ok, err := a.TextOrNull(c)
		if err != nil {
			return nil, fmt.Errorf("aud: %w", err)
		}
		if ok && !slices.Contains(audiences, text) {
			audiences = append(audiences, text)
		}
	}
	switch len(audiences) {
	case 0:
	case 1:
		claims["aud"] = audiences[0]
	default:
		claims["aud"] = audiences
	}
	for _, cl := range p.claims {
		v, err := cl.value.Value(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cl.name, err)
		}
		if v != nil {
			claims[cl.name] = v
		}
	}
	return json.Marshal(claims)
}

var _ policies.RequestPolicy = (*policy)(nil)
