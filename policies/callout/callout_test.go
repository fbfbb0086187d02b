package callout_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/test/certs"
)

// client makes a client of a configuration; it is closed with the test.
func client(t *testing.T, cfg string, dial callout.Dial) *callout.Client {
	t.Helper()
	c := callout.Defaults()
	problems := settings.Decode(json.RawMessage(cfg), &c)
	out, more := c.Client("", dial)
	if err := append(problems, more...).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

func get(t *testing.T, c *callout.Client, url string) (string, error) {
	t.Helper()
	a, err := c.Do(t.Context(), &callout.Request{Method: http.MethodGet, URL: url})
	if err != nil {
		return "", err
	}
	return fmt.Sprint(a.Status, " ", string(a.Body)), nil
}

func TestClient_SendsAndReads(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Saw", fmt.Sprint(r.Method, " ", r.Host, " ", r.Header.Values("X-A"), " ", string(body), " ", r.ContentLength))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short")
	}))
	defer s.Close()
	c := client(t, `{}`, nil)
	a, err := c.Do(t.Context(), &callout.Request{Method: "PUT", URL: s.URL + "/x?y=z", Body: []byte("body"),
		Header: []callout.Field{{Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "host", Value: "other.example"}, {Name: "Content-Length", Value: "99"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Header.Get("X-Saw"); a.Status != http.StatusTeapot || string(a.Body) != "short" || got != "PUT other.example [1 2] body 4" {
		t.Errorf("%d %q, server saw %q", a.Status, a.Body, got)
	}
}

func TestClient_BoundsAnswers(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 11)) }))
	defer s.Close()
	if _, err := get(t, client(t, `{"http":{"maxResponseSize":10}}`, nil), s.URL); !errors.Is(err, callout.ErrTooLarge) {
		t.Errorf("11 bytes where 10 are allowed: %v", err)
	}
	if got, err := get(t, client(t, `{"http":{"maxResponseSize":11}}`, nil), s.URL); err != nil || got != "200 xxxxxxxxxxx" {
		t.Errorf("11 bytes where 11 are allowed: %q, %v", got, err)
	}
}

func TestClient_Waits(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(end)
	_, err := get(t, client(t, `{"http":{"connectTimeout":1,"readTimeout":30}}`, callout.Guard{}.Dial), s.URL+"/secret")
	if err == nil || !strings.Contains(err.Error(), "within") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a server that does not answer: %v", err)
	}
}

func TestClient_Redirects(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/once":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/ever":
			http.Redirect(w, r, "/ever", http.StatusFound)
		default:
			_, _ = io.WriteString(w, "there")
		}
	}))
	defer s.Close()
	if got, err := get(t, client(t, `{}`, nil), s.URL+"/once"); err != nil || !strings.HasPrefix(got, "302") {
		t.Errorf("unasked: %q, %v", got, err)
	}
	follow := client(t, `{"http":{"followRedirects":true}}`, nil)
	if got, err := get(t, follow, s.URL+"/once"); err != nil || got != "200 there" {
		t.Errorf("asked: %q, %v", got, err)
	}
	if _, err := get(t, follow, s.URL+"/ever"); err == nil || !strings.Contains(err.Error(), "more than 5") {
		t.Errorf("without end: %v", err)
	}
}

func TestClient_RefusesWhatIsNoCall(t *testing.T) {
	t.Parallel()
	c := client(t, `{}`, nil)
	for _, r := range []callout.Request{{Method: "GET", URL: "ftp://h/"}, {Method: "GET", URL: "/path"}, {Method: "A B", URL: "http://h"},
		{Method: "GET", URL: "http://127.0.0.1:1/", Header: []callout.Field{{Name: "X", Value: "a\r\nEvil: b"}}},
		{Method: "GET", URL: "http://a b/%zz"}} {
		if _, err := c.Do(t.Context(), &r); err == nil {
			t.Errorf("%+v was sent", r)
		}
	}
	_ = c.Close()
	if _, err := get(t, c, "http://127.0.0.1:1"); !errors.Is(err, callout.ErrClosed) {
		t.Errorf("a closed client: %v", err)
	}
}

func TestClient_TLS(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	server, own := ca.Issue(t, "server", "other.example"), ca.Issue(t, "client", "client")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, len(r.TLS.PeerCertificates))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	trust := fmt.Sprintf(`"trustStore":{"type":"PEM","certificates":%q}`, ca.CertPEM)
	key := fmt.Sprintf(`"keyStore":{"type":"PEM","certificateChain":%q,"key":%q}`, own.CertPEM, own.KeyPEM)
	for _, c := range []struct{ name, ssl, want string }{
		{"a foreign authority", `{}`, "failed to verify"},
		{"another name", `{` + trust + `}`, "not"},
		{"another name, allowed", `{` + trust + `,"hostnameVerifier":false}`, "200 0"},
		{"a foreign authority, name not verified", `{"hostnameVerifier":false}`, "certificate signed by unknown authority"},
		{"everything trusted", `{"trustAll":true}`, "200 0"},
		{"our certificate", `{` + trust + `,` + key + `,"hostnameVerifier":false}`, "200 1"},
	} {
		got, err := get(t, client(t, `{"ssl":`+c.ssl+`}`, nil), s.URL)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestClient_ReadsItsFilesAgain(t *testing.T) {
	t.Parallel()
	ca, other := certs.Authority(t, "ca"), certs.Authority(t, "other")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "server", "127.0.0.1").TLS()}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	file := certs.Write(t, "ca.pem", []byte(other.CertPEM))
	c := client(t, fmt.Sprintf(`{"ssl":{"trustStore":{"type":"PEM","path":%q}}}`, file), nil)
	if _, err := get(t, c, s.URL); err == nil {
		t.Fatal("a server of another authority is trusted")
	}
	if err := os.WriteFile(file, []byte(ca.CertPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	callout.LookAgain(c)
	if got, err := get(t, c, s.URL); err != nil || got != "200 " {
		t.Errorf("with the new authority: %q, %v", got, err)
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80", "[fe80::1%lo]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80",
		"[2002:a9fe:a9fe::]:80", "[::a9fe:a9fe]:80", "169.254.1.1:80", "224.0.0.1:80", "168.63.129.16:80"} {
		var refused *callout.Refused
		if _, err := (callout.Guard{}).Dial(t.Context(), "tcp", address); !errors.As(err, &refused) {
			t.Errorf("%s: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var refused *callout.Refused
	allowed := callout.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}}
	if _, err := allowed.Dial(ctx, "tcp", "169.254.169.254:80"); errors.As(err, &refused) {
		t.Errorf("allowed: %v", err)
	}
	if _, err := (callout.Guard{}).Dial(t.Context(), "unix", "/run/x.sock"); !errors.As(err, &refused) {
		t.Errorf("a socket of the machine: %v", err)
	}
}

// proxied starts a proxy that hands every connection to the server, and remembers what it was asked for.
func proxied(t *testing.T, server string, greet func(c net.Conn, br *bufio.Reader) string) (port int, asked chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = make(chan string, 8)
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			asked <- greet(c, br)
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			ended := make(chan struct{}, 2)
			go func() { _, _ = io.Copy(up, br); ended <- struct{}{} }()
			go func() { _, _ = io.Copy(c, up); ended <- struct{}{} }()
			t.Cleanup(func() { _, _ = c.Close(), up.Close(); <-ended; <-ended })
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port, asked
}

func connectGreeting(c net.Conn, br *bufio.Reader) string {
	r, err := http.ReadRequest(br)
	if err != nil {
		return err.Error()
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	return r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization")
}

func socksGreeting(c net.Conn, br *bufio.Reader) string {
	head := make([]byte, 2)
	_, _ = io.ReadFull(br, head)
	_, _ = io.ReadFull(br, make([]byte, head[1]))
	_, _ = c.Write([]byte{5, 0})
	ask := make([]byte, 5)
	_, _ = io.ReadFull(br, ask)
	name := make([]byte, int(ask[4])+2)
	_, _ = io.ReadFull(br, name)
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return string(name[:len(name)-2])
}

func TestClient_Proxies(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "through") })
	secure := httptest.NewUnstartedServer(handler)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "server", "name.example").TLS()}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)

	t.Run("HTTP", func(t *testing.T) {
		port, asked := proxied(t, secure.Listener.Addr().String(), connectGreeting)
		c := client(t, fmt.Sprintf(`{"proxy":{"enabled":true,"host":"127.0.0.1","port":%d,"username":"me","password":"p"},"ssl":{"trustStore":{"type":"PEM","certificates":%q}}}`, port, ca.CertPEM), nil)
		if got, err := get(t, c, "https://name.example/"); err != nil || got != "200 through" {
			t.Fatalf("%q, %v", got, err)
		}
		if got := <-asked; got != "CONNECT name.example:443 Basic bWU6cA==" {
			t.Errorf("the proxy was asked: %s", got)
		}
		var refused *callout.Refused
		if _, err := get(t, c, "https://169.254.169.254/"); !errors.As(err, &refused) {
			t.Errorf("a metadata service through a proxy: %v", err)
		}
	})
	t.Run("SOCKS5", func(t *testing.T) {
		port, asked := proxied(t, plain.Listener.Addr().String(), socksGreeting)
		c := client(t, fmt.Sprintf(`{"proxy":{"enabled":true,"type":"socks5","host":"127.0.0.1","port":%d}}`, port), nil)
		if got, err := get(t, c, "http://name.example/"); err != nil || got != "200 through" {
			t.Fatalf("%q, %v", got, err)
		}
		if got := <-asked; got != "name.example" {
			t.Errorf("the proxy was asked: %s", got)
		}
	})
}

func TestConfig_Problems(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]string{
		`{"http":{"connectTimeout":0}}`:                                   "/c/http/connectTimeout",
		`{"http":{"maxResponseSize":99999999}}`:                           "/c/http/maxResponseSize",
		`{"proxy":{"enabled":true,"port":1}}`:                             "/c/proxy/host",
		`{"proxy":{"enabled":true,"host":"h"}}`:                           "/c/proxy/port",
		`{"proxy":{"enabled":true,"host":"h","port":1,"type":"SOCKS4"}}`:  "/c/proxy/type",
		`{"ssl":{"trustStore":{"type":"PEM","certificates":"none"}}}`:     "/c/ssl/trustStore",
		`{"ssl":{"keyStore":{"type":"PEM","key":"{#secrets.get('a')}"}}}`: "/c/ssl/keyStore/key",
	} {
		c := callout.Defaults()
		if err := settings.Decode(json.RawMessage(cfg), &c).Err(); err != nil {
			t.Fatal(err)
		}
		if _, problems := c.Client("/c", nil); problems.Err() == nil || !strings.HasPrefix(problems[0].Pointer, want) {
			t.Errorf("%s: %v", cfg, problems)
		}
	}
}
