//go:build e2e

package redis

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/certs"
)

// server runs Redis on a port, until its test ends or it is stopped.
type server struct {
	*exec.Cmd
	ended chan struct{}
}

// start starts Redis and waits until it takes connections.
func start(t *testing.T, port string, args ...string) *server {
	t.Helper()
	s := &server{exec.Command("redis-server", append([]string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)...), make(chan struct{})}
	out := &bytes.Buffer{}
	s.Stdout = out
	if err := s.Start(); err != nil {
		t.Fatalf("run redis-server, which make tools installs: %v", err)
	}
	go func() { _ = s.Wait(); close(s.ended) }()
	t.Cleanup(s.stop)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			_ = c.Close()
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("redis-server ended: %s", out)
		case <-t.Context().Done():
			t.Fatal("redis-server does not take connections")
		case <-poll.C:
		}
	}
}

func (s *server) stop() {
	_ = s.Process.Kill()
	<-s.ended
}

// freePort is a port that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// TestReal_Cache: a Redis server keeps values, over TLS and with a password, for as long as it should; without one calls fail, and
// they go through again when it is back.
func TestReal_Cache(t *testing.T) {
	ca := certs.Authority(t, "ca")
	own := ca.Issue(t, "redis", "127.0.0.1")
	port := freePort(t)
	args := []string{"--port", "0", "--tls-port", port, "--tls-cert-file", certs.Write(t, "cert.pem", []byte(own.CertPEM)), "--tls-key-file", certs.Write(t, "key.pem", []byte(own.KeyPEM)),
		"--tls-ca-cert-file", certs.Write(t, "ca.pem", []byte(ca.CertPEM)), "--tls-auth-clients", "no", "--requirepass", "secret"}
	s := start(t, port, args...)
	c := compiled(t, fmt.Sprintf(`{"host":"127.0.0.1","port":%s,"password":"secret","ssl":{"trustStore":{"type":"PEM","certificates":%q}}}`, port, ca.CertPEM))
	large := bytes.Repeat([]byte{0, '\r', '\n', 0xff}, maxValue/4)
	for key, value := range map[string][]byte{"k": []byte("v"), "empty": {}, "large": large} {
		if err := c.Put(t.Context(), key, value, time.Hour); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if got, ok, err := c.Get(t.Context(), key); !ok || err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: %d bytes, %v, %v", key, len(got), ok, err)
		}
	}
	if err := c.Evict(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.Get(t.Context(), "k"); ok || err != nil {
		t.Errorf("evicted: %v, %v", ok, err)
	}
	if err := c.Put(t.Context(), "short", []byte("v"), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for ok := true; ok; { // it ends by itself
		var err error
		if _, ok, err = c.Get(t.Context(), "short"); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	if err := c.Put(t.Context(), "k", nil, 0); err == nil {
		t.Error("no error without a server")
	}
	start(t, port, args...)
	if err := c.Put(t.Context(), "k", []byte("back"), 0); err != nil {
		t.Errorf("when the server is back: %v", err)
	}
	if err := c.(io.Closer).Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
