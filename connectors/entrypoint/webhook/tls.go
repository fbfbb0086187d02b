package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/connectors/tlsstore"
)

// tls makes the settings for the receiver and for the token endpoint. The latter is trusted by the system's authorities too,
// and is not shown our certificate.
func (t *target) tls() (receiver, tokens *tls.Config, err error) {
	c := &t.config.SSL
	receiver = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	tokens = receiver.Clone()
	tokens.ClientSessionCache = nil // tickets belong to one of them
	if t.key != nil {
		cert, err := t.key.Certificate()
		if err != nil {
			return nil, nil, fmt.Errorf("keyStore: %w", err)
		}
		receiver.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	if t.trust != nil {
		certs, err := t.trust.Certificates()
		if err != nil {
			return nil, nil, fmt.Errorf("trustStore: %w", err)
		}
		receiver.RootCAs = x509.NewCertPool()
		if tokens.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, nil, fmt.Errorf("read the system's authorities: %w", err)
		}
		for _, cert := range certs {
			receiver.RootCAs.AddCert(cert)
			tokens.RootCAs.AddCert(cert)
		}
	}
	switch {
	case c.TrustAll:
		receiver.InsecureSkipVerify, tokens.InsecureSkipVerify = true, true
	case !c.HostnameVerifier:
		receiver, tokens = tlsstore.WithoutName(receiver), tlsstore.WithoutName(tokens)
	}
	return receiver, tokens, nil
}

func newClient(d *dialer, to *url.URL, secure *tls.Config, idle, timeout time.Duration) *client {
	return &client{idleTimeout: idle, timeout: timeout, all: map[*conn]struct{}{},
		open: func(ctx context.Context) (net.Conn, error) { return d.dial(ctx, to, secure) }}
}

// asker makes what calls token endpoints. Tokens are rare: a connection kept for the next would be cut by the time.
func asker(d *dialer, secure *tls.Config, timeout time.Duration) tokenCaller {
	dial := func(scheme string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, addr string) (net.Conn, error) {
			return d.dial(ctx, &url.URL{Scheme: scheme, Host: addr}, secure)
		}
	}
	c := &http.Client{
		Timeout:   d.timeout + timeout,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial("http"), DialTLSContext: dial("https"), MaxResponseHeaderBytes: maxAnswerHead},
		// The secret goes where the subscription says, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, to *url.URL, form []byte) (int, []byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(string(form)))
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		resp, err := c.Do(req)
		if err != nil {
			var u *url.Error // has the address, which may hold secrets
			if errors.As(err, &u) {
				err = u.Err
			}
			return 0, nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
		return resp.StatusCode, body, err
	}
}
