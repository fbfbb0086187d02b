package security

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/sluice-gateway/sluice/test/certs"
)

const password = "hunter2"

// broker answers TLS connections with the name of the client's certificate, and demands one where clients is given.
func broker(t *testing.T, cert *certs.Pair, clients *certs.Pair) (addr string) {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
	if clients != nil {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serveName(c.(*tls.Conn))
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func serveName(c *tls.Conn) {
	defer c.Close()
	if c.Handshake() != nil {
		return
	}
	name := "nobody"
	if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 {
		name = certs[0].Subject.CommonName
	}
	_, _ = c.Write([]byte(name))
}

// dialed returns what the broker says.
func dialed(t *testing.T, plan *Plan, addr string, log *slog.Logger) (string, error) {
	t.Helper()
	c, err := plan.tls.Dial(t.Context(), "tcp", addr, log)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		return "", err
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func sslPlan(t *testing.T, blocks ...string) *Plan {
	t.Helper()
	plan, ps := read(t, `{"protocol":"SSL","ssl":{`+strings.Join(blocks, ",")+`}}`)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	return plan
}

func text(v string) string {
	out, _ := json.Marshal(v)
	return string(out)
}

// files are stores of one pair in every format, made by the libraries.
func pkcs12Key(t *testing.T, p *certs.Pair) []byte {
	t.Helper()
	data, err := pkcs12.Modern.Encode(p.Key, p.Cert, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func pkcs12Trust(t *testing.T, p *certs.Pair) []byte {
	t.Helper()
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{p.Cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func jks(t *testing.T, trust bool, aliases ...*certs.Pair) []byte {
	t.Helper()
	ks := keystore.New()
	for i, p := range aliases {
		cert := keystore.Certificate{Type: "X509", Content: p.Cert.Raw}
		der, err := x509.MarshalPKCS8PrivateKey(p.Key)
		if trust {
			err = ks.SetTrustedCertificateEntry(fmt.Sprint("a", i), keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: cert})
		} else if err == nil {
			err = ks.SetPrivateKeyEntry(fmt.Sprint("a", i), keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der,
				CertificateChain: []keystore.Certificate{cert}}, []byte(password))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := ks.Store(&b, []byte(password)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSSL_EveryStore(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	us := ca.Issue(t, "us")
	addr := broker(t, ca.Issue(t, "broker", "127.0.0.1"), ca)
	b64 := base64.StdEncoding.EncodeToString
	stored := func(kind, name, where, value string, more string) string {
		return fmt.Sprintf(`%q:{"type":%q,%q:%s,"password":%q%s}`, name, kind, where, text(value), password, more)
	}
	inline := `"trustStore":{"certificates":` + text(ca.CertPEM) + `}`
	for _, tc := range []struct{ name, trust, key string }{
		{"PEM inline", inline, `"keyStore":{"type":"PEM","key":` + text(us.KeyPEM) + `,"certificateChain":` + text(us.CertPEM) + `}`},
		{"PEM content", `"trustStore":{"type":"pem","content":` + text(b64([]byte(ca.CertPEM))) + `}`,
			`"keystore":{"type":"PEM","content":` + text(us.CertPEM+us.KeyPEM) + `}`},
		{"PEM files", `"truststore":{"type":"PEM","path":` + text(certs.Write(t, "ca", []byte(ca.CertPEM))) + `}`,
			`"keyStore":{"type":"PEM","keyPath":` + text(certs.Write(t, "key", []byte(us.KeyPEM))) + `,"certPath":` + text(certs.Write(t, "cert", []byte(us.CertPEM))) + `}`},
		{"PKCS12 files", stored("PKCS12", "trustStore", "location", certs.Write(t, "t", pkcs12Trust(t, ca)), ""),
			stored("PKCS12", "keyStore", "path", certs.Write(t, "k", pkcs12Key(t, us)), "")},
		{"PKCS12 content", stored("PKCS12", "trustStore", "content", b64(pkcs12Trust(t, ca)), ""),
			stored("PKCS12", "keyStore", "content", b64(pkcs12Key(t, us)), `,"keyPassword":"hunter2"`)},
		{"JKS content", stored("JKS", "trustStore", "content", b64(jks(t, true, certs.Authority(t, "other"), ca)), ""),
			stored("JKS", "keyStore", "content", b64(jks(t, false, us)), "")},
		{"JKS with an alias", inline, stored("", "keyStore", "content", b64(jks(t, false, ca, us)), `,"alias":"a1","keyPassword":"hunter2"`)},
		{"PKCS12 called JKS", inline, stored("JKS", "keyStore", "content", b64(pkcs12Key(t, us)), "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got, err := dialed(t, sslPlan(t, tc.trust, tc.key), addr, nil); err != nil || got != "us" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestSSL_ContentIsReadWhenChecked(t *testing.T) {
	t.Parallel()
	p := certs.Authority(t, "ca")
	b64 := base64.StdEncoding.EncodeToString
	for name, block := range map[string]string{
		"password of PKCS12": `"keyStore":{"type":"PKCS12","password":"wrong","content":"` + b64(pkcs12Key(t, p)) + `"}`,
		"password of JKS":    `"keyStore":{"type":"JKS","password":"wrong","content":"` + b64(jks(t, false, p)) + `"}`,
		"two keys":           `"keyStore":{"type":"JKS","password":"hunter2","content":"` + b64(jks(t, false, p, p)) + `"}`,
		"no key":             `"keyStore":{"type":"PEM","content":` + text(p.CertPEM) + `}`,
		"encrypted key":      `"keyStore":{"type":"PEM","content":` + text(strings.ReplaceAll(p.KeyPEM, "PRIVATE", "ENCRYPTED PRIVATE")) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ps := read(t, `{"protocol":"SSL","ssl":{`+block+`}}`)
			if len(ps) != 1 || ps[0].Pointer != "/s/ssl/keyStore" || strings.Contains(ps[0].Message, password) {
				t.Errorf("got %v", ps)
			}
		})
	}
}

func TestSSL_Refused(t *testing.T) {
	t.Parallel()
	ca, foreign := certs.Authority(t, "ca"), certs.Authority(t, "foreign")
	addr := broker(t, ca.Issue(t, "broker", "127.0.0.1"), ca)
	named := broker(t, ca.Issue(t, "broker", "kafka.example"), nil)
	trust := func(p *certs.Pair) string { return `"trustStore":{"certificates":` + text(p.CertPEM) + `}` }
	key := func(p *certs.Pair) string {
		return `"keyStore":{"key":` + text(p.KeyPEM) + `,"certificateChain":` + text(p.CertPEM) + `}`
	}
	for _, tc := range []struct{ name, addr, ssl, check string }{
		{"broker not trusted", addr, trust(foreign), "trustStore"},
		{"no certificate", addr, trust(ca), "keyStore"},
		{"foreign certificate", addr, trust(ca) + "," + key(foreign.Issue(t, "us")), "keyStore"},
		{"name", named, trust(ca), "hostnameVerifier"},
		{"name off, not trusted", named, trust(foreign) + `,"hostnameVerifier":false`, "trustStore"},
		{"no file", addr, `"trustStore":{"type":"PEM","path":"/does/not/exist"}`, "trustStore"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := dialed(t, sslPlan(t, tc.ssl), tc.addr, nil)
			if advice, ok := Advice(err); !ok || !strings.Contains(advice, tc.check) {
				t.Errorf("got %v", err)
			}
			var network net.Error
			if errors.As(err, &network) {
				t.Errorf("%v would be tried again", err)
			}
		})
	}
	t.Run("name off", func(t *testing.T) {
		t.Parallel()
		if got, err := dialed(t, sslPlan(t, trust(ca), `"hostnameVerifier":false`), named, nil); err != nil || got != "nobody" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestSSL_NobodyThereIsAnOutage(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = dialed(t, sslPlan(t), ln.Addr().String(), nil)
	if _, refused := Advice(err); err == nil || refused {
		t.Errorf("got %v", err)
	}
}

func TestSSL_ChangedFilesCountForNewConnections(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	addr := broker(t, ca.Issue(t, "broker", "127.0.0.1"), ca)
	path := filepath.Join(t.TempDir(), "key.pem")
	changed := time.Now().Add(-time.Hour)
	write := func(content string) {
		t.Helper()
		changed = changed.Add(time.Second) // a file system may count in ticks longer than this test
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chtimes(path, changed, changed)); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(name string) string { p := ca.Issue(t, name); return p.KeyPEM + p.CertPEM }
	var log bytes.Buffer
	plan := sslPlan(t, `"trustStore":{"certificates":`+text(ca.CertPEM)+`}`, `"keyStore":{"type":"PEM","location":`+text(path)+`}`)
	want := func(name string) {
		t.Helper()
		if got, err := dialed(t, plan, addr, slog.New(slog.NewTextHandler(&log, nil))); err != nil || got != name {
			t.Errorf("got %q, %v, want %s", got, err, name)
		}
	}
	write(pair("first"))
	want("first")
	write(pair("second"))
	want("second")
	write("half a fi")
	want("second")
	want("second")
	if n := strings.Count(log.String(), "keep the old certificates"); n != 1 {
		t.Errorf("told %d times: %s", n, &log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("second")
	write(pair("third"))
	want("third")
}
