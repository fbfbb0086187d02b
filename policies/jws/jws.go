// Package jws is the policy "jws" (policies.md 7.4): requests whose body is not a JSON Web Signature (RFC 7515) by a known key are refused.
//
// It stands in the request phase. The body must be a compact JWS whose header x5c begins with a certificate of the key that the API's property
// policy.jws.kid.<kid> holds, in PEM, or policy.jws.kid.default where it names no kid; typ must be absent, JSON or JOSE+JSON, and cty absent or
// json. The body is left as it was received. With checkCertificateValidity the certificate must be valid now. Revocation lists are not
// served: checkCertificateRevocation is refused at deploy. In the reference the keys are properties of the gateway.
//
// Failure: 401 Unauthorized without a key.
package jws

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of jws.
type Config struct {
	// CheckCertificateValidity refuses certificates that are not valid now. Default false.
	CheckCertificateValidity bool `json:"checkCertificateValidity"`
	// CheckCertificateRevocation must be false: revocation lists are not served.
	CheckCertificateRevocation bool `json:"checkCertificateRevocation"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "jws", Name: "JSON Web Signature", Phases: policies.Request, Config: &Config{}, Compile: compile}

// maxHeader bounds the header of a signature, in bytes: a chain of certificates.
const maxHeader = 64 << 10

type policy struct{ validity bool }

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	if c.CheckCertificateRevocation {
		problems = append(problems, settings.Invalid("/checkCertificateRevocation", "must be false: revocation lists are not served by this version"))
	}
	return &policy{c.CheckCertificateValidity}, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if err := p.verify(c, c.Exchange.HTTP.Request.Body(), time.Now()); err != nil {
		return &message.Failure{Status: fasthttp.StatusUnauthorized, Message: "Unauthorized", Err: err}
	}
	return nil
}

// header is what is read of a signature's.
type header struct {
	Alg string   `json:"alg"`
	Kid string   `json:"kid"`
	Typ string   `json:"typ"`
	Cty string   `json:"cty"`
	X5C []string `json:"x5c"`
}

func (p *policy) verify(c *policies.Context, body []byte, now time.Time) error {
	first, _, ok := strings.Cut(string(body), ".")
	if !ok || len(first) > maxHeader {
		return errors.New("the body is no compact JWS")
	}
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return fmt.Errorf("the header is not base64url: %w", err)
	}
	var h header
	if err := json.Unmarshal(decoded, &h); err != nil {
		return fmt.Errorf("the header is not JSON: %w", err)
	}
	if t := strings.ToUpper(h.Typ); t != "" && t != "JSON" && t != "JOSE+JSON" || h.Cty != "" && !strings.EqualFold(h.Cty, "json") {
		return fmt.Errorf("typ %.50q or cty %.50q is not JSON", h.Typ, h.Cty)
	}
	key, err := keyFor(c, h.Kid)
	if err != nil {
		return err
	}
	if err := p.certified(h.X5C, key, now); err != nil {
		return err
	}
	alg, ok := jwa.LookupSignatureAlgorithm(h.Alg)
	if !ok || !strings.HasPrefix(h.Alg, "RS") && !strings.HasPrefix(h.Alg, "PS") {
		return fmt.Errorf("algorithm %.20q is none of RSA", h.Alg)
	}
	if _, err := jws.Verify(body, jws.WithKey(alg, key)); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// keyFor returns the configured key.
func keyFor(c *policies.Context, kid string) (*rsa.PublicKey, error) {
	if kid == "" {
		kid = "default"
	}
	s := c.Surround()
	if s == nil {
		return nil, errors.New("the API has no properties")
	}
	block, _ := pem.Decode([]byte(s.Properties["policy.jws.kid."+kid]))
	if block == nil {
		return nil, fmt.Errorf("property policy.jws.kid.%.100s holds no key in PEM", kid)
	}
	var found any
	var err error
	if block.Type == "CERTIFICATE" {
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			found = cert.PublicKey
		}
	} else {
		found, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("property policy.jws.kid.%.100s: %w", kid, err)
	}
	key, ok := found.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("property policy.jws.kid.%.100s holds no RSA key", kid)
	}
	return key, nil
}

// certified tells whether the first certificate is of the key.
func (p *policy) certified(chain []string, key *rsa.PublicKey, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the header has no x5c")
	}
	der, err := base64.StdEncoding.DecodeString(chain[0])
	if err != nil {
		return fmt.Errorf("x5c: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("x5c: %w", err)
	}
	if !key.Equal(cert.PublicKey) {
		return errors.New("the certificate is of another key")
	}
	if p.validity && (now.Before(cert.NotBefore) || now.After(cert.NotAfter)) {
		return errors.New("the certificate is not valid now")
	}
	return nil
}

var _ policies.RequestPolicy = (*policy)(nil)
