package generatejwt

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

func generate(t *testing.T, cfg map[string]any) (token string) {
	t.Helper()
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	made, problems := Type.Compile(raw, policies.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	c := new(policies.Context)
	c.Init(&exchange.Exchange{API: &exchange.API{ID: "a", Name: "orders"}, Subscription: "s"}, nil)
	if err := made.(policies.RequestPolicy).OnRequest(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	v, _ := c.Exchange.Attribute("jwt.generated")
	return v.(string)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "0123456789012345678901234567890123456789012345678901234567890123"
	for _, c := range []struct {
		name   string
		cfg    map[string]any
		alg    jwa.SignatureAlgorithm
		key    any
		claims []string
	}{
		{"inline", map[string]any{"content": string(text)}, jwa.RS256(), &key.PublicKey, []string{"exp", "iat", "iss", "jti"}},
		{"a file", map[string]any{"keyResolver": "PEM", "content": file, "kid": "k", "expiresIn": 0}, jwa.RS256(), &key.PublicKey, []string{"iat", "iss", "jti"}},
		{"a secret", map[string]any{"signature": "HMAC_HS512", "content": secret, "subject": "{#context.attributes['user-id']}", "audiences": []string{"x", "{#api.name}"},
			"customClaims": []map[string]string{{"name": "n", "value": "{1 + 1}"}, {"name": "none", "value": "{#context.attributes['none']}"}}},
			jwa.HS512(), []byte(secret), []string{"aud", "exp", "iat", "iss", "jti", "n", "sub"}},
		{"a secret in base64", map[string]any{"signature": "HMAC_HS256", "secretBase64Encoded": true, "content": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "id": "i"},
			jwa.HS256(), []byte("01234567890123456789012345678901"), []string{"exp", "iat", "iss", "jti"}},
	} {
		payload, err := jws.Verify([]byte(generate(t, c.cfg)), jws.WithKey(c.alg, c.key))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, c.claims) {
			t.Errorf("%s: %v, want %v", c.name, got, c.claims)
		}
	}
}
