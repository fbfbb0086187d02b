package webhook

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/test/certs"
)

const storePassword = "hunter2"

// secured is a receiver with TLS that says who called.
func secured(t *testing.T, cert *certs.Pair, clients *certs.Pair) *receiver {
	r := unstarted(nil)
	r.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			q.Header.Set("Caller", "nobody")
			if len(q.TLS.PeerCertificates) > 0 {
				q.Header.Set("Caller", q.TLS.PeerCertificates[0].Subject.CommonName)
			}
			next.ServeHTTP(w, q)
		})
	}(r.Config.Handler)
	r.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
	if clients != nil {
		r.TLS.ClientAuth, r.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	}
	r.Config.ErrorLog = quietLog
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func quoted(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, foreign := certs.Authority(t, "ca"), certs.Authority(t, "foreign")
	server := ca.Issue(t, "receiver", "127.0.0.1")
	misnamed := ca.Issue(t, "receiver", "other.example.com")
	me := ca.Issue(t, "me")
	trust := func(p *certs.Pair) string {
		return `"trustStore":{"type":"PEM","content":` + quoted(t, p.CertPEM) + `}`
	}
	pfx, err := pkcs12.Modern.Encode(me.Key, me.Cert, nil, storePassword)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server  *certs.Pair
		clients *certs.Pair
		ssl     string
		caller  string // empty: refused
		err     string
	}{
		"trusted":               {server, nil, trust(ca), "nobody", ""},
		"JKS":                   {server, nil, `"trustStore":{"type":"JKS","password":"` + storePassword + `","content":"` + b64(jksOf(t, ca)) + `"}`, "nobody", ""},
		"system's authorities":  {server, nil, ``, "", "certificate signed by unknown authority"},
		"foreign authority":     {server, nil, trust(foreign), "", "certificate signed by unknown authority"},
		"trust all":             {misnamed, nil, `"trustAll":true`, "nobody", ""},
		"other name":            {misnamed, nil, trust(ca), "", "doesn't contain any IP SANs"},
		"other name taken":      {misnamed, nil, `"hostnameVerifier":false,` + trust(ca), "nobody", ""},
		"name aside, foreign":   {misnamed, nil, `"hostnameVerifier":false,` + trust(foreign), "", "certificate signed by unknown authority"},
		"certificate in PEM":    {server, ca, trust(ca) + `,"keyStore":{"type":"PEM","certContent":` + quoted(t, me.CertPEM) + `,"keyContent":` + quoted(t, me.KeyPEM) + `}`, "me", ""},
		"certificate in PKCS12": {server, ca, trust(ca) + `,"keyStore":{"type":"PKCS12","password":"` + storePassword + `","content":"` + b64(pfx) + `"}`, "me", ""},
		"no certificate":        {server, ca, trust(ca), "", "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := secured(t, c.server, c.clients)
			err := newBed(t, qos.AtLeastOnce, to(r.URL, `"ssl":{`+c.ssl+`}`)).all(data("k", "k")...)
			if c.caller == "" {
				f := failure(t, err)
				if f.Key != "WEBHOOK_UNREACHABLE" || !strings.Contains(err.Error(), c.err) || len(r.got()) != 0 {
					t.Errorf("%v, %d calls", err, len(r.got()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range r.got() {
				if who := call.header.Get("Caller"); who != c.caller {
					t.Errorf("called by %q", who)
				}
			}
		})
	}
}

// TestTLS_TokenEndpoint is trusted by the subscription's authorities beside the system's.
func TestTLS_TokenEndpoint(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	tokens := secured(t, ca.Issue(t, "tokens", "127.0.0.1"), nil)
	tokens.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { grant(1, nil, w) })
	r := secured(t, ca.Issue(t, "receiver", "127.0.0.1"), nil)
	ssl := `"ssl":{"trustStore":{"type":"PEM","content":` + quoted(t, ca.CertPEM) + `}}`
	if err := newBed(t, qos.AtLeastOnce, to(r.URL, oauth(tokens.URL), ssl)).all(data("k")...); err != nil {
		t.Fatal(err)
	}
	if got := r.got()[0].header.Get("Authorization"); got != "Bearer token-1" {
		t.Errorf("sent %q", got)
	}
}

func jksOf(t *testing.T, p *certs.Pair) []byte {
	t.Helper()
	ks := keystore.New()
	if err := ks.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(),
		Certificate: keystore.Certificate{Type: "X509", Content: p.Cert.Raw}}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := ks.Store(&out, []byte(storePassword)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
