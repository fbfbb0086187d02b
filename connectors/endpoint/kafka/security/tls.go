package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors/tlsstore"
)

// dialTimeout bounds the way to a usable connection: name, TCP, TLS. As for connections without TLS (package kafka).
const dialTimeout = 3 * time.Second

// alertWait is how long a connection that broke before the broker said anything is read, for the reason.
const alertWait = 200 * time.Millisecond

// transport makes TLS connections. Its files are read at the first, and again at the first after they changed.
type transport struct {
	trust, key *tlsstore.Store // nil: the system's authorities, no certificate
	verifyName bool

	mu      sync.Mutex // guards the following
	stamp   string     // of the files that current was made of
	failed  string     // stamp that could not be read, and was told
	current *tls.Config
}

// dial is a kgo.Dialer.
func (t *transport) dial(ctx context.Context, network, addr string, log *slog.Logger) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	cfg, err := t.config(log)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg = t.toHost(cfg, host)
	secured := tls.Client(raw, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, refusedTLS(err)
	}
	return &conn{Conn: secured}, nil
}

// toHost is cfg for one broker.
func (t *transport) toHost(cfg *tls.Config, host string) *tls.Config {
	cfg = cfg.Clone()
	cfg.ServerName = host
	if t.verifyName {
		return cfg
	}
	return tlsstore.WithoutName(cfg)
}

// config returns the settings of the files as they are now. Files that cannot be read after they could be, such as a key
// that was written before its certificate, leave the old settings in place until they can.
func (t *transport) config(log *slog.Logger) (*tls.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp, err := t.stamps()
	if err == nil && t.current != nil && stamp == t.stamp {
		return t.current, nil
	}
	var fresh *tls.Config
	if err == nil {
		fresh, err = t.load()
	}
	switch {
	case err == nil:
		t.current, t.stamp, t.failed = fresh, stamp, ""
	case t.current == nil:
		return nil, err
	case t.failed != stamp+".": // the dot: files that are missing have no stamp
		t.failed = stamp + "."
		log.Warn("keep the old certificates: the new cannot be read", "err", err)
	}
	return t.current, nil
}

func (t *transport) stamps() (string, error) {
	var all string
	for _, s := range []struct {
		*tlsstore.Store
		check string
	}{{t.trust, checkTrust}, {t.key, checkKey}} {
		if s.Store == nil {
			continue
		}
		stamp, err := s.Stamp()
		if err != nil {
			return "", &Refused{Check: s.check, Err: err}
		}
		all += stamp + ";"
	}
	return all, nil
}

// Texts for stores that cannot be read.
const (
	checkTrust = "the trust store cannot be read: check security.ssl.trustStore, its type, place and password"
	checkKey   = "the key store cannot be read: check security.ssl.keyStore, its type, place and passwords"
)

func (t *transport) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.trust != nil {
		pool, err := t.trust.Authorities()
		if err != nil {
			return nil, &Refused{Check: checkTrust, Err: err}
		}
		cfg.RootCAs = pool
	}
	if t.key != nil {
		cert, err := t.key.Certificate()
		if err != nil {
			return nil, &Refused{Check: checkKey, Err: err}
		}
		// Whatever authorities the broker names: its refusal says more than "no certificate" would.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg, nil
}

// refusedTLS says what a failed handshake means.
func refusedTLS(err error) error {
	var record tls.RecordHeaderError
	var invalid *tls.CertificateVerificationError
	var name x509.HostnameError
	switch {
	case errors.As(err, &record):
		return &Refused{Check: "the broker does not speak TLS there: check security.protocol and the port"}
	case errors.As(err, &name):
		return &Refused{Check: "the broker's certificate bears another name: check bootstrapServers and the brokers' " +
			"advertised.listeners, or set security.ssl.hostnameVerifier to false", Err: name}
	case errors.As(err, &invalid):
		return &Refused{Check: "the broker's certificate is not trusted: check security.ssl.trustStore and how long the certificate is valid",
			Err: invalid.Err}
	}
	if refused := refusedByAlert(err); refused != nil {
		return refused
	}
	if passes(err) {
		return err
	}
	return &Refused{Check: "no TLS with the broker: check its protocol versions, ciphers and certificate", Err: err}
}

// refusedByAlert is nil for all but a TLS alert from the broker.
func refusedByAlert(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" { // crypto/tls, for alerts alone
		return nil
	}
	return &Refused{Check: "the broker refuses the TLS connection: check that security.ssl.keyStore holds a certificate " +
		"that the broker trusts", Err: op.Err}
}

// conn tells a certificate that the broker refuses: with TLS 1.3 the broker says so only after the handshake, in answer to
// the first bytes.
type conn struct {
	*tls.Conn
	heard atomic.Bool // the broker has answered, so it took us
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if err != nil && !c.heard.Load() {
		if refused := refusedByAlert(err); refused != nil {
			return n, refused
		}
	}
	return n, err
}

// Write implements net.Conn. A broker that refuses us hangs up, so that a write may fail before the reason was read.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil || c.heard.Load() {
		return n, err
	}
	if c.SetReadDeadline(time.Now().Add(alertWait)) == nil {
		if _, why := c.Conn.Read(make([]byte, 1)); why != nil {
			if refused := refusedByAlert(why); refused != nil {
				return n, refused
			}
		}
	}
	return n, err
}
