package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// secured dials with TLS: a client with a dialer of its own leaves that to it.
func (c *cache) secured(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		cfg, err := c.tls.Config()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		raw, err := c.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
		secure := tls.Client(raw, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS with redis: %w", err)
		}
		return secure, nil
	}
}
