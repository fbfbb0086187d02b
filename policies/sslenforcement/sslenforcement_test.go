package sslenforcement

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	oid, err := x509.ParseOID("1.2.3.4")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client.example.org", Organization: []string{"Example"}},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"client.example.org"}, Policies: []x509.OID{oid}}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// TestCertificates: what each list does with a certificate that a proxy hands on.
func TestCertificates(t *testing.T) {
	t.Parallel()
	header := certificate(t)
	for _, c := range []struct{ name, lists, header, key string }{
		{"any", ``, header, ""},
		{"none", ``, "", "SSL_ENFORCEMENT_AUTHENTICATION_REQUIRED"},
		{"unreadable", ``, "%zz", "SSL_ENFORCEMENT_AUTHENTICATION_REQUIRED"},
		{"its name", `,"whitelistClientCertificates":["O=Exam*,CN=client.example.???"]`, header, ""},
		{"a part of its name", `,"whitelistClientCertificates":["CN=client.example.org"]`, header, "SSL_ENFORCEMENT_CLIENT_FORBIDDEN"},
		{"another name", `,"whitelistClientCertificates":["O=Example,CN=server"]`, header, "SSL_ENFORCEMENT_CLIENT_FORBIDDEN"},
		{"its issuer", `,"whitelistIssuers":["CN=CA"]`, header, ""},
		{"another issuer", `,"whitelistIssuers":["CN=Other"]`, header, "SSL_ENFORCEMENT_ISSUER_MISMATCH"},
		{"its policy", `,"requiredCertificatePolicies":["1.2.3.4"]`, header, ""},
		{"another policy too", `,"requiredCertificatePolicies":["1.2.3.4","1.2.3.5"]`, header, "SSL_ENFORCEMENT_OID_MISMATCH"},
		{"its alternative name", `,"whitelistSubjectAlternativeNames":["CLIENT.*"]`, header, ""},
		{"another alternative name", `,"whitelistSubjectAlternativeNames":["server.*"]`, header, "SSL_ENFORCEMENT_SAN_MISMATCH"},
	} {
		made, problems := Type.Compile(json.RawMessage(`{"useXForwardedProto":true,"requiresClientAuthentication":true,"certificateLocation":"HEADER"`+c.lists+`}`), policies.Env{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{HTTP: &fasthttp.RequestCtx{}}
		x.HTTP.Request.Header.Set("Forwarded", `for=10.0.0.1;proto="https", proto=http`)
		x.HTTP.Request.Header.Set("ssl-client-cert", c.header)
		pc := policies.Shared(nil, nil)
		pc.Exchange = x
		err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc)
		var f *message.Failure
		key := ""
		if errors.As(err, &f) {
			key = f.Key
		}
		if key != c.key {
			t.Errorf("%s: %v, want %q", c.name, err, c.key)
		}
	}
}
