package security

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// endpoint plays a token endpoint that answers at once.
type endpoint struct {
	mu     sync.Mutex // guards the following
	asked  int
	status int
	body   string // empty: a token with the number of the question, good for 100 s
	err    error
	last   *http.Request
	form   string
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	form, _ := io.ReadAll(r.Body)
	e.last, e.form = r, string(form)
	if e.err != nil {
		return nil, e.err
	}
	body, status := e.body, e.status
	if body == "" {
		body = `{"access_token":"t` + strconv.Itoa(e.asked) + `","token_type":"bearer","expires_in":"100"}`
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
}

func newTestTokens(e *endpoint) *tokens {
	t := newTokens(&Mechanism{TokenURL: "https://h/token", ClientID: "me", ClientSecret: "hunter2", scopes: "a b"})
	t.client.Transport = e
	return t
}

func TestTokens_AsksAsTheStandardSays(t *testing.T) {
	t.Parallel()
	e := &endpoint{}
	if token, err := newTestTokens(e).get(t.Context()); err != nil || token != "t1" {
		t.Fatal(token, err)
	}
	id, secret, _ := e.last.BasicAuth()
	if id != "me" || secret != "hunter2" || e.form != "grant_type=client_credentials&scope=a+b" {
		t.Errorf("asked with %s, %s, %s", id, secret, e.form)
	}
}

func TestTokens_KeptThenRefreshedAheadOfTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		tokens := newTestTokens(e)
		want := func(after time.Duration, token string) {
			t.Helper()
			time.Sleep(after)
			if got, err := tokens.get(t.Context()); err != nil || got != token {
				t.Errorf("after %s: got %q, %v, want %q", after, got, err, token)
			}
		}
		want(0, "t1")
		want(79*time.Second, "t1")
		want(2*time.Second, "t2") // 81 of 100 s
		e.status = http.StatusServiceUnavailable
		want(90*time.Second, "t2") // the old stands in
		time.Sleep(11 * time.Second)
		_, err := tokens.get(t.Context())
		var network net.Error
		if !errors.As(err, &network) {
			t.Errorf("got %v, want an outage", err)
		}
		e.status = 0
		want(0, "t5")
	})
}

func TestTokens_ManyAskOneFetches(t *testing.T) {
	t.Parallel()
	e := &endpoint{}
	tokens := newTestTokens(e)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if token, err := tokens.get(t.Context()); err != nil || token != "t1" {
				t.Error(token, err)
			}
		})
	}
	all.Wait()
}

func TestTokens_Fails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		e       *endpoint
		refused bool
	}{
		{"refused", &endpoint{status: 401, body: `{"error":"invalid_client"}`}, true},
		{"refused, chatty", &endpoint{status: 400, body: `{"error":"hunter2 is wrong"}`}, true},
		{"redirect", &endpoint{status: 302, body: "x"}, true},
		{"no JSON", &endpoint{body: "hunter2"}, true},
		{"no token", &endpoint{body: `{"expires_in":1}`}, true},
		{"a token that is none", &endpoint{body: `{"access_token":"hunter2\u0001auth"}`}, true},
		{"another type", &endpoint{body: `{"access_token":"hunter2","token_type":"mac"}`}, true},
		{"overloaded", &endpoint{status: 429, body: "x"}, false},
		{"unreachable", &endpoint{err: errors.New("no route")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := newTestTokens(tc.e).get(t.Context())
			var r *Refused
			if errors.As(err, &r) != tc.refused || err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTokens_WithoutLifeAreNotKept(t *testing.T) {
	t.Parallel()
	e := &endpoint{body: `{"access_token":"x"}`}
	tokens := newTestTokens(e)
	for range 2 {
		if _, err := tokens.get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if e.asked != 2 {
		t.Errorf("asked %d times", e.asked)
	}
}

func TestTokens_WaitingEndsWithTheClient(t *testing.T) {
	t.Parallel()
	tokens := newTestTokens(&endpoint{})
	<-tokens.turn // somebody asks and hears nothing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tokens.get(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
