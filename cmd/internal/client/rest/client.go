// Package rest is the typed client of the management API that the command line uses: one method per call, every body in
// bodies.go, every failure one of the types in errors.go. It starts no goroutine and keeps no state besides its
// connections; each call lives as long as its context and never longer than its timeout.
package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxResponse bounds an answer, in bytes: a list of 1,000 definitions of 32 KiB each.
	maxResponse = 32 << 20
	// maxErrorBody bounds what is read of an answer that is no success, in bytes.
	maxErrorBody = 1 << 20
	// defaultTimeout bounds one call from dialling to the last byte of its answer.
	defaultTimeout = 30 * time.Second
	// waitMargin is what a call may take beyond the time that it asked the server to wait for workers.
	waitMargin = 10 * time.Second
	// readAttempts is how often a call that changes nothing is tried where the connection fails.
	readAttempts = 3
	// retryPause is the pause before the second attempt; it doubles.
	retryPause = 100 * time.Millisecond
)

// Config is where the management API is and how to prove who asks.
type Config struct {
	Server      string // base URL, e.g. http://127.0.0.1:8083
	Token       string // Bearer token; empty: none is sent
	TokenSource string // where Token came from, for the text of errors
	Org         string // organization id
	Env         string // environment id
	CA          []byte // PEM certificates to trust instead of the system's; nil: the system's
	// InsecureHTTP lets the token go over plain HTTP to an address that is not loopback.
	InsecureHTTP bool
	UserAgent    string
	Timeout      time.Duration // of one call; 0: 30 s
}

// Client calls one environment of one management API.
type Client struct {
	cfg  Config
	root string // URL of the management API, ends with /management
	http *http.Client
}

// New checks cfg. It does not dial.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, &ConfigError{Message: fmt.Sprintf("%q is not the URL of a server; write it like http://127.0.0.1:8083", cfg.Server)}
	}
	if u.Scheme == "http" && cfg.Token != "" && !cfg.InsecureHTTP && !loopback(u.Hostname()) {
		return nil, &ConfigError{
			Message: fmt.Sprintf("the token would cross the network readable by anyone: %s is plain http", cfg.Server),
			Hint:    "use https, or add --insecure-http where the network itself is trusted",
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(cfg.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(cfg.CA) {
			return nil, &ConfigError{Message: "the CA file holds no PEM certificate"}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	root := strings.TrimSuffix(strings.TrimRight(cfg.Server, "/"), "/management") + "/management"
	return &Client{cfg: cfg, root: root, http: &http.Client{
		Transport: transport,
		// A redirect would carry the token to an address that nobody checked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Server is the base URL that the client calls.
func (c *Client) Server() string { return c.cfg.Server }

// environment is the path of the client's environment with elements appended, each escaped.
func (c *Client) environment(elements ...string) string {
	return path(append([]string{"organizations", c.cfg.Org, "environments", c.cfg.Env}, elements...)...)
}

func path(elements ...string) string {
	var b strings.Builder
	for _, e := range elements {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return b.String()
}

// call is one request.
type call struct {
	method  string
	path    string // below /management, escaped
	query   url.Values
	ifMatch string
	body    []byte
	wait    time.Duration // what the server may take before it answers, beyond the client's timeout
}

// reply is the answer to a call that succeeded.
type reply struct {
	etag string
	body []byte
}

// decode reads the body into v; a body that is not what the client knows is the server's fault.
func (r *reply) decode(v any) error {
	if len(bytes.TrimSpace(r.body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		return &ProtocolError{Err: fmt.Errorf("decode the answer: %w", err)}
	}
	return nil
}

// do sends a call. Only one that changes nothing is tried again, and only where no answer came: a write whose answer
// was lost may have been applied.
func (c *Client) do(ctx context.Context, cl call) (*reply, error) {
	attempts, pause := 1, retryPause
	if cl.method == http.MethodGet {
		attempts = readAttempts
	}
	for i := 1; ; i++ {
		r, err := c.once(ctx, cl)
		var down *UnreachableError
		if err == nil || i == attempts || !errors.As(err, &down) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, c.interrupted(ctx, cl, err)
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func (c *Client) once(ctx context.Context, cl call) (*reply, error) {
	limit := c.cfg.Timeout
	if cl.wait > 0 {
		limit = max(limit, cl.wait+waitMargin)
	}
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := c.request(callCtx, cl)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.interrupted(callCtx, cl, err)
	}
	defer resp.Body.Close()
	success := resp.StatusCode/100 == 2
	size := int64(maxResponse)
	if !success {
		size = maxErrorBody
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, size+1))
	switch {
	case err != nil:
		return nil, c.interrupted(callCtx, cl, err)
	case int64(len(body)) > size:
		return nil, &ProtocolError{Err: fmt.Errorf("%s %s: the answer is larger than %d MiB", cl.method, req.URL.Path, size>>20)}
	case !success:
		return nil, c.refusal(cl, resp, body)
	}
	return &reply{etag: resp.Header.Get("ETag"), body: body}, nil
}

func (c *Client) request(ctx context.Context, cl call) (*http.Request, error) {
	target := c.root + cl.path
	if len(cl.query) > 0 {
		target += "?" + cl.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, cl.method, target, bytes.NewReader(cl.body))
	if err != nil {
		return nil, &ConfigError{Message: err.Error()}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if cl.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if cl.ifMatch != "" {
		req.Header.Set("If-Match", cl.ifMatch)
	}
	return req, nil
}

// interrupted names the reason why no whole answer came: the user's interrupt, a timeout, or the network.
func (c *Client) interrupted(ctx context.Context, cl call, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", verb(cl), context.Canceled)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &TimeoutError{Server: c.cfg.Server, Doing: verb(cl), Changed: cl.method != http.MethodGet}
	}
	return &UnreachableError{Server: c.cfg.Server, Err: err, Changed: cl.method != http.MethodGet && sent(err)}
}

// sent tells whether the request may have reached the server: not where dialling failed.
func sent(err error) bool {
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

func verb(cl call) string { return cl.method + " /management" + cl.path }

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
