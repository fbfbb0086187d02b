package jws

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/cert"
	"github.com/lestrrat-go/jwx/v3/jwa"
	lib "github.com/lestrrat-go/jwx/v3/jws"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

func sign(t *testing.T, key *rsa.PrivateKey, header map[string]any) string {
	t.Helper()
	h := lib.NewHeaders()
	for name, value := range header {
		if err := h.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	out, err := lib.Sign([]byte(`{"a":1}`), lib.WithKey(jwa.RS256(), key, lib.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	newKey := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	key, other := newKey(), newKey()
	certificate := func(key *rsa.PrivateKey, until time.Time) map[string]any {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: until}, &x509.Certificate{}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		var chain cert.Chain
		if err := chain.AddString(base64.StdEncoding.EncodeToString(der)); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"x5c": &chain}
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := policies.NewSurround([]apidef.Property{{Key: "policy.jws.kid.default", Value: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}, nil, nil, policies.Node{})
	now := time.Now()
	valid, past := certificate(key, now.Add(time.Hour)), certificate(key, now.Add(-time.Hour))
	with := func(h map[string]any, name string, value any) map[string]any {
		out := map[string]any{name: value}
		for n, v := range h {
			out[n] = v
		}
		return out
	}
	for _, c := range []struct {
		name, cfg, body string
		well            bool
	}{
		{"well", `{}`, sign(t, key, valid), true},
		{"the certificate is past", `{}`, sign(t, key, past), true},
		{"the certificate is past, and looked at", `{"checkCertificateValidity":true}`, sign(t, key, past), false},
		{"another key", `{}`, sign(t, other, valid), false},
		{"another certificate", `{}`, sign(t, key, certificate(other, now.Add(time.Hour))), false},
		{"no certificate", `{}`, sign(t, key, nil), false},
		{"a key that nobody knows", `{}`, sign(t, key, with(valid, "kid", "k")), false},
		{"a type", `{}`, sign(t, key, with(valid, "typ", "JOSE+JSON")), true},
		{"another type", `{}`, sign(t, key, with(valid, "typ", "JWT")), false},
		{"no signature", `{}`, `{"a":1}`, false},
		{"nothing", `{}`, ``, false},
		{"no base64", `{}`, `!.!.!`, false},
	} {
		made, problems := Type.Compile(json.RawMessage(c.cfg), policies.Env{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{API: &exchange.API{}, HTTP: &fasthttp.RequestCtx{}}
		x.HTTP.Request.SetBodyString(c.body)
		pc := new(policies.Context)
		pc.Init(x, s)
		if err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc); (err == nil) != c.well {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
