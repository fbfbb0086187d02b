package webhook

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/proxy"
)

// dialer opens connections to receivers and token endpoints: through the proxy where there is one, else past the guard.
type dialer struct {
	guard   guard
	timeout time.Duration // of name, TCP, proxy and TLS together
	// via finds the proxy for an address; nil: none.
	via func(to *url.URL) (*url.URL, error)
}

// dial connects to the host of to, and speaks TLS where it is https.
func (d *dialer) dial(ctx context.Context, to *url.URL, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	addr := net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), defaultPort(to.Scheme)))
	raw, err := d.open(ctx, to, addr)
	if err != nil {
		var no *blocked
		if errors.As(err, &no) {
			no.resolved = d.guard.named(to.Hostname()) == nil
		}
		return nil, inTime(ctx, d.timeout, err)
	}
	if to.Scheme != "https" {
		return raw, nil
	}
	c, err := handshake(ctx, raw, secure, to.Hostname())
	if err != nil {
		return nil, inTime(ctx, d.timeout, err)
	}
	return c, nil
}

// inTime says what a context that ended means.
func inTime(ctx context.Context, limit time.Duration, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no connection within %v: %w", limit, err)
	}
	return err
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func handshake(ctx context.Context, raw net.Conn, cfg *tls.Config, host string) (net.Conn, error) {
	cfg = cfg.Clone()
	cfg.ServerName = host
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return c, nil
}

func (d *dialer) open(ctx context.Context, to *url.URL, addr string) (net.Conn, error) {
	var via *url.URL
	if d.via != nil {
		var err error
		if via, err = d.via(to); err != nil {
			return nil, fmt.Errorf("find the proxy: %w", err)
		}
	}
	if via == nil {
		direct := net.Dialer{Control: d.guard.control}
		return direct.DialContext(ctx, "tcp", addr)
	}
	if err := d.guard.named(to.Hostname()); err != nil {
		return nil, err
	}
	c, err := d.through(ctx, via, to, addr)
	var refused *blocked
	if err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("through the proxy %s: %w", via.Host, err)
	}
	return c, err
}

// through connects by way of a proxy. The proxy itself was named by whoever publishes the API, and may be anywhere.
func (d *dialer) through(ctx context.Context, via, to *url.URL, addr string) (net.Conn, error) {
	if via.Scheme == "socks5" || via.Scheme == "socks5h" {
		var auth *proxy.Auth
		if via.User != nil {
			password, _ := via.User.Password()
			auth = &proxy.Auth{User: via.User.Username(), Password: password}
		}
		socks, err := proxy.SOCKS5("tcp", via.Host, auth, &net.Dialer{})
		if err != nil {
			return nil, err
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	}
	host := via.Host
	if via.Port() == "" {
		host = net.JoinHostPort(via.Hostname(), defaultPort(via.Scheme))
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	if via.Scheme == "https" {
		if c, err = handshake(ctx, c, &tls.Config{MinVersion: tls.VersionTLS12}, via.Hostname()); err != nil {
			return nil, err
		}
	}
	// What follows reads and writes without a context; one that ends closes the connection under it.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if via.Scheme == "socks4" {
		err = d.socks4(ctx, c, via, to, addr)
	} else {
		err = connect(c, via, addr)
	}
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// maxProxyAnswer bounds the head of a proxy's answer, in bytes.
const maxProxyAnswer = 16 << 10

// connect asks an HTTP proxy for a tunnel (RFC 9110 section 9.3.6), for http too: the proxy then changes nothing.
func connect(c net.Conn, via *url.URL, addr string) error {
	head := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if via.User != nil {
		password, _ := via.User.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return err
	}
	br := bufio.NewReaderSize(io.LimitReader(c, maxProxyAnswer), 1)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d to CONNECT", resp.StatusCode)
	}
	if br.Buffered() > 0 {
		return errors.New("it says more than was asked")
	}
	return nil
}

// socks4 asks a SOCKS4 proxy for a connection. That protocol knows addresses only, so the name is resolved, and guarded, here.
func (d *dialer) socks4(ctx context.Context, c net.Conn, via, to *url.URL, addr string) error {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", to.Hostname())
	if err != nil {
		return err
	}
	if len(ips) == 0 {
		return errors.New("the receiver has no IPv4 address, which is all that SOCKS4 knows")
	}
	ip := ips[0].Unmap()
	if err := d.guard.check(ip); err != nil {
		return err
	}
	_, portText, _ := net.SplitHostPort(addr)
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}
	const version, connectCommand, granted = 4, 1, 0x5a
	ask := binary.BigEndian.AppendUint16([]byte{version, connectCommand}, uint16(port))
	ask = append(ask, ip.AsSlice()...)
	if via.User != nil {
		ask = append(ask, via.User.Username()...)
	}
	if _, err := c.Write(append(ask, 0)); err != nil {
		return err
	}
	var reply [8]byte
	if _, err := io.ReadFull(c, reply[:]); err != nil {
		return err
	}
	if reply[1] != granted {
		return fmt.Errorf("it refuses with code %d", reply[1])
	}
	return nil
}

// proxies makes what finds the proxy of an entrypoint; nil: none.
func (p *Proxy) proxies() func(*url.URL) (*url.URL, error) {
	switch {
	case !p.Enabled:
		return nil
	case p.UseSystemProxy:
		return func(to *url.URL) (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: to}) }
	}
	via := &url.URL{Scheme: map[string]string{proxyHTTP: "http", proxySOCKS4: "socks4", proxySOCKS5: "socks5"}[p.Type],
		Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port))}
	if p.Username != "" {
		via.User = url.UserPassword(p.Username, p.Password)
	}
	return func(*url.URL) (*url.URL, error) { return via, nil }
}
