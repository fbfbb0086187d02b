package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// OAuth2 is the client credentials grant (RFC 6749 section 4.4), the client's id and secret in the form (spec 2.5).
type OAuth2 struct {
	// Endpoint gives tokens. Required.
	Endpoint string `json:"endpoint"`
	// ClientID and ClientSecret are required.
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	// Scopes to ask for. Default: none.
	Scopes []string `json:"scopes"`
}

// shortestLife of a token worth keeping: one that ends while it is sent is worth nothing.
const shortestLife = 5 * time.Second

// defaultLife of a token whose life is not told; a 401 ends it earlier.
const defaultLife = 5 * time.Minute

// tokenFailure says that no token could be had, so that the receiver was not called.
type tokenFailure struct {
	text    string
	err     error // nil: text says all
	refused bool  // asking again does not help: settings or credentials must change
}

func (f *tokenFailure) Error() string {
	if f.err == nil {
		return f.text
	}
	return f.text + ": " + f.err.Error()
}

func (f *tokenFailure) Unwrap() error { return f.err }

// tokenCaller posts a form to a token endpoint and returns what it answers, its body no longer than maxTokenAnswer.
type tokenCaller func(ctx context.Context, to *url.URL, form []byte) (status int, body []byte, err error)

// maxTokenAnswer bounds what is read of a token endpoint's answer, in bytes.
const maxTokenAnswer = 64 << 10

// tokens gives out access tokens and keeps the last: four fifths of its life it is given out, then a new one is fetched while the
// old is still good, and stands in where that fails.
type tokens struct {
	endpoint *url.URL
	form     func(now time.Time) (url.Values, error)

	turn  chan struct{} // holds one element; who has taken it owns the following
	value string        // of Authorization; empty: none
	fresh time.Time     // until when it is given out without asking
	ends  time.Time
}

func newTokens(endpoint *url.URL, form func(now time.Time) (url.Values, error)) *tokens {
	t := &tokens{endpoint: endpoint, form: form, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

func (k *checker) oauth2(at string, c *OAuth2) authorizer {
	endpoint := k.callback(at+"/endpoint", c.Endpoint)
	if c.ClientID == "" {
		k.fail(at+"/clientId", "is required")
	}
	if c.ClientSecret == "" {
		k.fail(at+"/clientSecret", "is required")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	addScopes(form, c.Scopes)
	return newTokens(endpoint, func(time.Time) (url.Values, error) { return form, nil })
}

func addScopes(form url.Values, scopes []string) {
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
}

// authorization implements authorizer. Of any number of calls that ask at a time, one fetches.
func (t *tokens) authorization(ctx context.Context, ask tokenCaller) (string, error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", &tokenFailure{text: "wait for a token", err: context.Cause(ctx)}
	}
	defer func() { t.turn <- struct{}{} }()
	now := time.Now()
	if now.Before(t.fresh) {
		return t.value, nil
	}
	value, life, err := t.fetch(ctx, ask, now)
	if err != nil {
		if t.value != "" && now.Before(t.ends) {
			return t.value, nil
		}
		return "", err
	}
	t.value, t.fresh, t.ends = value, now.Add(life*4/5), now.Add(life)
	if life < shortestLife {
		t.fresh = time.Time{}
	}
	return value, nil
}

// rejected implements authorizer. A value that was replaced meanwhile was rejected for its age.
func (t *tokens) rejected(ctx context.Context, value string) bool {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return false
	}
	defer func() { t.turn <- struct{}{} }()
	if t.value == value {
		t.value, t.fresh, t.ends = "", time.Time{}, time.Time{}
	}
	return true
}

// answer is RFC 6749 section 5.1 and 5.2.
type answer struct {
	Token   string      `json:"access_token"`
	Type    string      `json:"token_type"`
	Expires json.Number `json:"expires_in"` // seconds; some servers write it as text
	Error   string      `json:"error"`
}

var (
	bearerToken = regexp.MustCompile(`^[A-Za-z0-9\-._~+/]+=*$`) // RFC 6750 section 2.1
	plainCode   = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

func (t *tokens) fetch(ctx context.Context, ask tokenCaller, now time.Time) (value string, life time.Duration, err error) {
	form, err := t.form(now)
	if err != nil {
		return "", 0, &tokenFailure{text: "sign the assertion for the token endpoint", err: err, refused: true}
	}
	status, body, err := ask(ctx, t.endpoint, []byte(form.Encode()))
	if err != nil {
		return "", 0, &tokenFailure{text: "ask the token endpoint", err: err}
	}
	var a answer
	bad := json.Unmarshal(body, &a) != nil
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return "", 0, &tokenFailure{text: fmt.Sprintf("the token endpoint answers %d", status)}
	case status != http.StatusOK:
		text := fmt.Sprintf("the token endpoint answers %d", status)
		if plainCode.MatchString(a.Error) {
			text += " " + a.Error
		}
		return "", 0, &tokenFailure{text: text + ": check the endpoint and the credentials in auth", refused: true}
	case bad || !bearerToken.MatchString(a.Token) || !strings.EqualFold(cmp.Or(a.Type, "bearer"), "bearer"):
		return "", 0, &tokenFailure{text: "the token endpoint's answer holds no bearer token: check the endpoint in auth", refused: true}
	}
	life = defaultLife
	if a.Expires != "" {
		const longest = 1e9 // seconds: what is more is for ever
		seconds, _ := a.Expires.Float64()
		life = time.Duration(min(max(seconds, 0), longest) * float64(time.Second))
	}
	return "Bearer " + a.Token, life, nil
}
