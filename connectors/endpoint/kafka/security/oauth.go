package security

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Bounds of asking for a token.
const (
	tokenTimeout = 10 * time.Second
	maxAnswer    = 64 << 10 // bytes; a token must fit a SASL message, which brokers bound lower
	// shortestLife of a token worth keeping: one that ends while it is shown is worth nothing.
	shortestLife = 5 * time.Second
)

// tokens fetches access tokens and keeps the last: four fifths of its life it is given out, then a new one is fetched
// while the old is still good, and stands in where that fails.
type tokens struct {
	url, id, secret string
	scopes          string
	client          *http.Client

	turn  chan struct{} // holds one element; who has taken it owns the following
	token string
	fresh time.Time // until when the token is given out without asking
	ends  time.Time
}

func newTokens(m *Mechanism) *tokens {
	t := &tokens{url: m.TokenURL, id: m.ClientID, secret: m.ClientSecret, scopes: m.scopes, turn: make(chan struct{}, 1)}
	t.client = &http.Client{
		Timeout: tokenTimeout,
		// Tokens are rare: a connection kept for the next would be cut by the time.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// The secret goes where the definition says, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.turn <- struct{}{}
	return t
}

// isTokenURL refuses what would put a secret into the address.
func isTokenURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.Fragment == ""
}

// get returns a token that is good now. Any number of connections may ask at a time; one of them fetches.
func (t *tokens) get(ctx context.Context) (string, error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { t.turn <- struct{}{} }()
	if time.Now().Before(t.fresh) {
		return t.token, nil
	}
	token, life, err := t.fetch(ctx)
	if err != nil {
		if time.Now().Before(t.ends) {
			return t.token, nil
		}
		return "", err
	}
	now := time.Now()
	t.token, t.fresh, t.ends = token, now.Add(life*4/5), now.Add(life)
	if life < shortestLife {
		t.fresh = time.Time{}
	}
	return token, nil
}

// answer is RFC 6749 section 5.1 and 5.2.
type answer struct {
	Token   string      `json:"access_token"`
	Type    string      `json:"token_type"`
	Expires json.Number `json:"expires_in"` // seconds; some servers write it as text
	Error   string      `json:"error"`
}

const checkToken = "the token endpoint gives no token: check tokenUrl, clientId, clientSecret and scopes in security.sasl"

// fetch asks once. A token whose life is not told lives for 0.
func (t *tokens) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.scopes != "" {
		form.Set("scope", t.scopes)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, &Refused{Check: checkToken, Err: errors.New("tokenUrl is no address")}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(t.id), url.QueryEscape(t.secret)) // RFC 6749 section 2.3.1
	resp, err := t.client.Do(req)
	if err != nil {
		return "", 0, unreached(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", 0, unreached(err)
	}
	var a answer
	bad := json.Unmarshal(body, &a) != nil
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return "", 0, &unavailable{fmt.Errorf("token endpoint answers %d", resp.StatusCode)}
	case resp.StatusCode != http.StatusOK:
		return "", 0, &Refused{Check: checkToken, Err: fmt.Errorf("it answers %d%s", resp.StatusCode, errorCode(a.Error))}
	case bad || !bearerToken.MatchString(a.Token) || a.Type != "" && !strings.EqualFold(a.Type, "bearer"):
		return "", 0, &Refused{Check: checkToken, Err: errors.New("its answer holds no bearer token")}
	}
	seconds, _ := a.Expires.Float64() // absent: 0
	return a.Token, time.Duration(min(max(seconds, 0), 1e9) * float64(time.Second)), nil
}

var plainCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// errorCode tells a server's error code where it can be nothing else.
func errorCode(code string) string {
	if plainCode.MatchString(code) {
		return " " + code
	}
	return ""
}

// unreached makes what net/http says short: without the address, which the definition has, and without retry rules.
func unreached(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if refused := untrusted(err); refused != nil {
		return refused
	}
	return &unavailable{fmt.Errorf("ask the token endpoint: %w", err)}
}

// unavailable is a token endpoint that does not answer now. It is a net.Error, so that it counts as an outage.
type unavailable struct{ err error }

func (u *unavailable) Error() string   { return u.err.Error() }
func (u *unavailable) Unwrap() error   { return u.err }
func (u *unavailable) Timeout() bool   { return true }
func (u *unavailable) Temporary() bool { return true }

// untrusted is nil for all but a token endpoint whose certificate does not verify.
func untrusted(err error) error {
	var invalid *tls.CertificateVerificationError
	if !errors.As(err, &invalid) {
		return nil
	}
	return &Refused{Check: "the token endpoint's certificate is not trusted: check tokenUrl and the worker's own authorities", Err: invalid.Err}
}
