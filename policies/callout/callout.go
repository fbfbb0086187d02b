// Package callout is the HTTP client that policies and resources make outward calls with: connections are kept and shared,
// everything that a server says is bounded, certificates and the names in them are verified unless the definition says
// otherwise, and addresses that only the worker's own machine should reach are refused when they are dialled (Guard).
//
// A Client starts no goroutine of its own; those of its connections end with Close.
package callout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Dial opens a connection, under the rules of the worker (policies.Env.Dial).
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// maxHead bounds the head of an answer, in bytes.
const maxHead = 64 << 10

// ErrTooLarge: the answer has more bytes than is configured.
var ErrTooLarge = errors.New("the answer is larger than http.maxResponseSize allows")

// Request is one call.
type Request struct {
	Method string
	URL    string
	Header []Field
	Body   []byte // nil: none. It must not change until Do has returned.
}

// Field is a header field. Host takes the place of that of the URL; the length of the body is told by the client itself.
type Field struct{ Name, Value string }

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client makes calls. Its methods may be called from any goroutine.
type Client struct {
	config Config
	tls    *TLS
	dial   Dial
	via    func(*http.Request) (*url.URL, error)

	mu sync.Mutex
	// guards the following
	current *http.Transport
	stamp   string // of the files of the trust and key stores that current was made of
	looked  time.Time
	closed  bool
}

// stampEvery is how often a client looks whether the files of its stores changed.
const stampEvery = time.Second

// ErrClosed: the client was closed, since nothing runs it any more.
var ErrClosed = errors.New("the client of outward calls is closed")

// Client checks the configuration, which was found at the pointer at, and makes its client. It is of use only where no
// problem is an error. A nil dial takes the default Guard.
func (c Config) Client(at string, dial Dial) (*Client, apidef.Problems) {
	problems := c.check(at)
	secure, more := c.SSL.Read(at + "/ssl")
	if dial == nil {
		dial = Guard{}.Dial
	}
	return &Client{config: c, tls: secure, dial: dial, via: c.proxy()}, append(problems, more...)
}

// CheckURL tells what is wrong with the address of a server.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with http:// or https://")
	case u.Host == "":
		return errors.New("has no host")
	}
	return nil
}

// Do makes a call and reads the whole answer, within http.connectTimeout and http.readTimeout together. Errors do not hold the
// address, which may hold secrets.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	if t := policies.TrialOf(ctx); t != nil {
		t.Note(r.Method + " " + r.URL)
		return nil, policies.ErrTrial
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.HTTP.limit(), fmt.Errorf("no answer within %v", c.config.HTTP.limit()))
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: c, CheckRedirect: c.redirect}
	resp, err := client.Do(req)
	if err != nil {
		return nil, plain(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	most := int64(c.config.HTTP.MaxResponseSize)
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", plain(ctx, err))
	case int64(len(body)) > most:
		return nil, ErrTooLarge
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

func (c *Client) request(ctx context.Context, r *Request) (*http.Request, error) {
	if err := CheckURL(r.URL); err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, plain(ctx, err)
	}
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "Host") {
			req.Host = f.Value
			continue
		}
		req.Header.Add(f.Name, f.Value)
	}
	return req, nil
}

// plain is err without the address, and with the cause of a context that ended.
func plain(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxRedirects bounds the redirects that are followed.
const maxRedirects = 5

func (c *Client) redirect(_ *http.Request, via []*http.Request) error {
	if !c.config.HTTP.FollowRedirects {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// RoundTrip implements http.RoundTripper, for libraries that bring requests of their own. It bounds the head of the answer and
// the time to a connection; the rest is the caller's.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := c.transport()
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(req)
}

// transport is that of the stores as they are now.
func (c *Client) transport() (*http.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return nil, ErrClosed
	case c.current != nil && now.Sub(c.looked) < stampEvery:
		return c.current, nil
	}
	c.looked = now
	stamp, err := c.tls.stamps()
	if err == nil && c.current != nil && stamp == c.stamp {
		return c.current, nil
	}
	var made *http.Transport
	if err == nil {
		made, err = c.make()
	}
	switch {
	case err == nil:
		if c.current != nil {
			c.current.CloseIdleConnections() // those in use end with their calls: nobody takes them again
		}
		c.current, c.stamp = made, stamp
	case c.current == nil:
		return nil, err
	}
	return c.current, nil // certificates that cannot be read any more leave the old ones in place
}

func (c *Client) make() (*http.Transport, error) {
	secure, err := c.tls.Config()
	if err != nil {
		return nil, err
	}
	h := &c.config.HTTP
	return &http.Transport{
		Proxy:                  c.via,
		DialContext:            c.connect,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    millis(h.ConnectTimeout),
		MaxConnsPerHost:        h.MaxConcurrentConnections,
		MaxIdleConnsPerHost:    h.MaxConcurrentConnections,
		MaxIdleConns:           4 * h.MaxConcurrentConnections,
		IdleConnTimeout:        millis(h.IdleTimeout),
		DisableKeepAlives:      !h.KeepAlive,
		MaxResponseHeaderBytes: maxHead,
	}, nil
}

// connect dials within http.connectTimeout.
func (c *Client) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, millis(c.config.HTTP.ConnectTimeout))
	defer cancel()
	conn, err := c.dial(ctx, network, address)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("no connection within %v: %w", millis(c.config.HTTP.ConnectTimeout), err)
	}
	return conn, err
}

// Close closes the connections. Calls under way may finish.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		c.current.CloseIdleConnections()
	}
	return nil
}

// proxy makes what finds the proxy of a call; nil: none. A proxy resolves names itself, so of the address only what is written
// as one can be refused here.
func (c *Config) proxy() func(*http.Request) (*url.URL, error) {
	var find func(*http.Request) (*url.URL, error)
	switch p := &c.Proxy; {
	case c.UseSystemProxy || p.Enabled && p.UseSystemProxy:
		find = http.ProxyFromEnvironment
	case p.Enabled:
		find = http.ProxyURL(p.url())
	default:
		return nil
	}
	return func(req *http.Request) (*url.URL, error) {
		via, err := find(req)
		if err != nil || via == nil {
			return nil, err
		}
		if addr, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
			if err := (Guard{}).check(addr); err != nil {
				return nil, err
			}
		}
		return via, nil
	}
}
