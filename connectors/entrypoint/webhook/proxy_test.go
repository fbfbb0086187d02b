package webhook

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/test/certs"
)

// way is a proxy: it notes what it is asked for, and tunnels to a receiver whatever that is.
type way struct {
	host, port string
	mu         sync.Mutex
	asked      []string
}

// newWay serves a protocol: greet reads what is wanted and answers; to is where tunnels lead.
func newWay(t *testing.T, to string, greet func(c net.Conn, br *bufio.Reader) (asked string, ok bool)) *way {
	t.Helper()
	p := &way{}
	url, _ := raw(t, func(c net.Conn, br *bufio.Reader) {
		asked, ok := greet(c, br)
		p.mu.Lock()
		p.asked = append(p.asked, asked)
		p.mu.Unlock()
		if !ok {
			return
		}
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer up.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(up, br)
			_ = up.(*net.TCPConn).CloseWrite()
		})
		_, _ = io.Copy(c, up)
		_ = c.Close()
		wg.Wait()
	})
	p.host, p.port, _ = net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	return p
}

func (p *way) config(kind, more string) string {
	return fmt.Sprintf(`{"proxy":{"enabled":true,"type":"%s","host":"%s","port":%s%s}}`, kind, p.host, p.port, more)
}

func (p *way) got() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.asked, " ")
}

func greetHTTP(c net.Conn, br *bufio.Reader) (string, bool) {
	q, err := http.ReadRequest(br)
	if err != nil {
		return err.Error(), false
	}
	who := q.Header.Get("Proxy-Authorization")
	if who == "" {
		_, _ = io.WriteString(c, "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
		return "nobody", false
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	return q.Method + " " + q.Host + " " + who, true
}

func greetSOCKS5(c net.Conn, br *bufio.Reader) (string, bool) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(br, head); err != nil {
		return err.Error(), false
	}
	if _, err := br.Discard(int(head[1])); err != nil {
		return err.Error(), false
	}
	_, _ = c.Write([]byte{5, 0})
	ask := make([]byte, 5)
	if _, err := io.ReadFull(br, ask); err != nil {
		return err.Error(), false
	}
	host := make([]byte, ask[4]) // of a name (type 3)
	port := make([]byte, 2)
	_, _ = io.ReadFull(br, host)
	_, _ = io.ReadFull(br, port)
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return fmt.Sprintf("%d %s:%d", ask[3], host, binary.BigEndian.Uint16(port)), true
}

func greetSOCKS4(c net.Conn, br *bufio.Reader) (string, bool) {
	ask := make([]byte, 8)
	if _, err := io.ReadFull(br, ask); err != nil {
		return err.Error(), false
	}
	user, err := br.ReadString(0)
	if err != nil {
		return err.Error(), false
	}
	_, _ = c.Write([]byte{0, 0x5a, 0, 0, 0, 0, 0, 0})
	return fmt.Sprintf("%d %d %v:%d %q", ask[0], ask[1], net.IP(ask[4:]), binary.BigEndian.Uint16(ask[2:]), user), true
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	addr := strings.TrimPrefix(r.URL, "http://")
	_, port, _ := net.SplitHostPort(addr)
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		p := newWay(t, addr, greetHTTP)
		b := newBed(t, qos.AtLeastOnce, to("http://receiver.example.com:81/in")) // which only the proxy knows
		b.config = p.config("HTTP", `,"username":"u","password":"p"`)
		if err := b.all(data("k", "k")...); err != nil {
			t.Fatal(err)
		}
		if got := p.got(); got != "CONNECT receiver.example.com:81 Basic dTpw" {
			t.Errorf("asked for %s", got)
		}
	})
	t.Run("HTTP that refuses", func(t *testing.T) {
		t.Parallel()
		p := newWay(t, addr, greetHTTP)
		b := newBed(t, qos.AtLeastOnce, to("http://receiver.example.com/"))
		b.config = p.config("HTTP", "")
		if f := failure(t, b.all(data("k")...)); !strings.Contains(f.Error(), "answers 407") || !f.Retry {
			t.Errorf("%+v", f)
		}
	})
	t.Run("SOCKS5", func(t *testing.T) {
		t.Parallel()
		p := newWay(t, addr, greetSOCKS5)
		b := newBed(t, qos.AtLeastOnce, to("http://receiver.example.com/"))
		b.config = p.config("SOCKS5", "")
		if err := b.all(data("k")...); err != nil {
			t.Fatal(err)
		}
		if got := p.got(); got != "3 receiver.example.com:80" {
			t.Errorf("asked for %s", got)
		}
	})
	t.Run("SOCKS4", func(t *testing.T) {
		t.Parallel()
		p := newWay(t, addr, greetSOCKS4)
		b := newBed(t, qos.AtLeastOnce, to("http://localhost:"+port))
		b.config = p.config("SOCKS4", `,"username":"me"`)
		if err := b.all(data("k")...); err != nil {
			t.Fatal(err)
		}
		if got := p.got(); got != "4 1 127.0.0.1:"+port+` "me\x00"` {
			t.Errorf("asked for %s", got)
		}
	})
}

func TestProxy_TLSGoesThrough(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	r := secured(t, ca.Issue(t, "receiver", "receiver.example.com"), nil)
	p := newWay(t, strings.TrimPrefix(r.URL, "https://"), greetHTTP)
	b := newBed(t, qos.AtLeastOnce, to("https://receiver.example.com/", `"ssl":{"trustStore":{"type":"PEM","content":`+quoted(t, ca.CertPEM)+`}}`))
	b.config = p.config("HTTP", `,"username":"u"`)
	if err := b.all(data("k")...); err != nil {
		t.Fatal(err)
	}
	if got := p.got(); !strings.HasPrefix(got, "CONNECT receiver.example.com:443 ") {
		t.Errorf("asked for %s", got)
	}
}

// TestProxy_GuardHolds: the proxy may be anywhere, what it is asked for may not.
func TestProxy_GuardHolds(t *testing.T) {
	t.Parallel()
	for kind, greet := range map[string]func(net.Conn, *bufio.Reader) (string, bool){"HTTP": greetHTTP, "SOCKS5": greetSOCKS5, "SOCKS4": greetSOCKS4} {
		for _, host := range []string{"169.254.169.254", "localhost", "[::1]", "10.0.0.1"} {
			p := newWay(t, "127.0.0.1:1", greet)
			b := newBed(t, qos.AtLeastOnce, to("http://"+host))
			b.env.WebhookAllow = nil
			b.config = p.config(kind, "")
			if f := failure(t, b.all(data("k")...)); f.Key != "WEBHOOK_ADDRESS_REFUSED" || p.got() != "" {
				t.Errorf("%s to %s: %v, asked for %q", kind, host, f, p.got())
			}
		}
	}
}
