package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Transport secures connections to brokers of other kinds than Kafka, which are configured by the same `ssl` block.
type Transport struct{ tls *transport }

// ReadSSL checks cfg, the member `ssl` of the object at the pointer at. The transport is of use only without errors.
func ReadSSL(cfg *SSL, at string) (*Transport, apidef.Problems) {
	c := &checker{}
	c.expressions(at, &Config{SSL: cfg})
	return &Transport{tls: c.ssl(at+"/ssl", protocolSSL, cfg)}, c.problems
}

// Secure makes raw a TLS connection to host. Where that fails, the caller closes raw.
func (t *Transport) Secure(ctx context.Context, raw net.Conn, host string, log *slog.Logger) (net.Conn, error) {
	cfg, err := t.tls.config(log)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, t.tls.toHost(cfg, host))
	if err := secured.HandshakeContext(ctx); err != nil {
		if name := (x509.HostnameError{}); errors.As(err, &name) {
			return nil, &Refused{Check: "the broker's certificate bears another name: check the configured host, or set " +
				"security.ssl.hostnameVerifier to false", Err: name}
		}
		return nil, refusedTLS(err)
	}
	return &conn{Conn: secured}, nil
}
