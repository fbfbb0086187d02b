package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/sluice-gateway/sluice/qos"
)

func TestAuth_Fixed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ auth, want string }{
		"none":   {`{"type":"none"}`, "from-message"},
		"basic":  {`{"type":"basic","basic":{"username":"u","password":"p:w"}}`, "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p:w"))},
		"token":  {`{"type":"token","token":{"value":"abc"}}`, "Bearer abc"},
		"absent": {`{}`, "from-message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, nil)
			b := newBed(t, qos.AtLeastOnce, to(r.URL, `"auth":`+c.auth, `"headers":[{"name":"Authorization","value":"from-subscription"}]`))
			msgs := data("k")
			msgs[0].Headers = headersOf("authorization", "from-message")
			if err := b.all(msgs...); err != nil {
				t.Fatal(err)
			}
			if got := r.got()[0].header.Values("Authorization"); len(got) != 1 || got[0] != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// issuer is a token endpoint: its n-th token is "token-n".
func issuer(t *testing.T, answer func(n int, form url.Values, w http.ResponseWriter)) (*receiver, *atomic.Int32) {
	var n atomic.Int32
	return newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
		form, err := url.ParseQuery(c.body)
		if err != nil || c.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("asked with %q, %v", c.body, err)
		}
		answer(int(n.Add(1)), form, w)
	}), &n
}

func grant(n int, _ url.Values, w http.ResponseWriter) {
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, n)
}

func oauth(endpoint string) string {
	return `"auth":{"type":"oauth2","oauth2":{"endpoint":"` + endpoint + `","clientId":"me","clientSecret":"s&cret","scopes":["a","b"]}}`
}

func TestOAuth2_OneTokenForMany(t *testing.T) {
	t.Parallel()
	tokens, n := issuer(t, func(n int, form url.Values, w http.ResponseWriter) {
		want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"me"}, "client_secret": {"s&cret"}, "scope": {"a b"}}
		if form.Encode() != want.Encode() {
			t.Errorf("asked with %v", form)
		}
		grant(n, form, w)
	})
	r := newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
		if c.header.Get("Authorization") != "Bearer token-1" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	b := newBed(t, qos.AtLeastOnce, to(r.URL, oauth(tokens.URL)))
	if err := b.all(data(strings.Split(strings.Repeat("-", 50), "")...)...); err != nil {
		t.Fatal(err)
	}
	if n.Load() != 1 {
		t.Errorf("%d tokens fetched by 50 calls at a time", n.Load())
	}
}

func TestOAuth2_TokenThatIsRejectedIsReplacedOnce(t *testing.T) {
	t.Parallel()
	t.Run("and then taken", func(t *testing.T) {
		t.Parallel()
		tokens, n := issuer(t, grant)
		r := newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
			if c.header.Get("Authorization") == "Bearer token-1" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
		b := newBed(t, qos.AtLeastOnce, to(r.URL, oauth(tokens.URL)))
		if err := b.all(data("k", "k")...); err != nil {
			t.Fatal(err)
		}
		if n.Load() != 2 || len(r.got()) != 3 || len(b.told()) != 2 {
			t.Errorf("%d tokens, %d calls, told %+v", n.Load(), len(r.got()), b.told())
		}
	})
	t.Run("and not taken", func(t *testing.T) {
		t.Parallel()
		tokens, n := issuer(t, grant)
		r := newReceiver(t, status(401))
		f := failure(t, newBed(t, qos.AtLeastOnce, to(r.URL, oauth(tokens.URL))).all(data("k")...))
		if f.Key != "WEBHOOK_UNAUTHORIZED" || f.Retry || n.Load() != 2 || len(r.got()) != 2 {
			t.Errorf("%+v after %d tokens and %d calls", f, n.Load(), len(r.got()))
		}
	})
}

func TestOAuth2_NoTokenNoCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
		retry  bool
	}{
		"refused":  {func(w http.ResponseWriter) { w.WriteHeader(401); fmt.Fprint(w, `{"error":"invalid_client"}`) }, "answers 401 invalid_client", false},
		"down":     {func(w http.ResponseWriter) { w.WriteHeader(503) }, "answers 503", true},
		"redirect": {func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(302) }, "answers 302", false},
		"no token": {func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a b"}`) }, "no bearer token", false},
		"other":    {func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a","token_type":"mac"}`) }, "no bearer token", false},
		"no json":  {func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat(`{"x":"`, maxTokenAnswer)) }, "no bearer token", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, _ := issuer(t, func(_ int, _ url.Values, w http.ResponseWriter) { c.answer(w) })
			r := newReceiver(t, nil)
			b := newBed(t, qos.AtLeastOnce, to(r.URL, oauth(tokens.URL)))
			b.env.DeadLetters = true // for messages that the receiver refuses: it refused none
			letters := &letters{}
			b.backend.OnDeadLetter = letters.take
			f := failure(t, b.all(data("k")...))
			if f.Key != "MESSAGE_PROCESSING_FAILED" || f.Status != 500 || f.Retry != c.retry || !strings.Contains(f.Error(), c.want) || strings.Contains(f.Error(), "s&cret") {
				t.Errorf("got %+v: %v", f, f)
			}
			if len(r.got()) != 0 || len(letters.got()) != 0 {
				t.Errorf("%d calls, %d dead letters", len(r.got()), len(letters.got()))
			}
		})
	}
}

func TestTokens_RenewedAheadOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, down := 0, false
		ask := func(context.Context, *url.URL, []byte) (int, []byte, error) {
			if down {
				return 0, nil, io.ErrUnexpectedEOF
			}
			n++
			return 200, fmt.Appendf(nil, `{"access_token":"t%d","expires_in":"100"}`, n), nil
		}
		k := newTokens(&url.URL{}, func(time.Time) (url.Values, error) { return url.Values{}, nil })
		get := func(want string) {
			t.Helper()
			got, err := k.authorization(t.Context(), ask)
			if err != nil && want != "" || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
		get("Bearer t1")
		time.Sleep(79 * time.Second)
		get("Bearer t1")
		time.Sleep(2 * time.Second) // four fifths of its life are over
		get("Bearer t2")
		down = true
		time.Sleep(90 * time.Second)
		get("Bearer t2") // still good, and there is no better
		time.Sleep(20 * time.Second)
		get("")
		down = false
		get("Bearer t3")
		k.rejected(t.Context(), "Bearer t2") // an old one
		get("Bearer t3")
		k.rejected(t.Context(), "Bearer t3")
		get("Bearer t4")
	})
}

func TestJWTProfile(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		algorithm, source, key string
		alg                    jwa.SignatureAlgorithm
		public                 any
	}{
		"RSA":        {"RSA_RS256", "PEM", pemOf(t, rsaKey), jwa.RS256(), &rsaKey.PublicKey},
		"RSA inline": {"RSA_RS512", "INLINE", pemOf(t, rsaKey), jwa.RS512(), &rsaKey.PublicKey},
		"default":    {"", "", pemOf(t, rsaKey), jwa.RS256(), &rsaKey.PublicKey},
		"EC":         {"EC_ES256", "PEM", pemOf(t, ecKey), jwa.ES256(), &ecKey.PublicKey},
		"HMAC":       {"HMAC_HS256", "INLINE", strings.Repeat("secret", 8), jwa.HS256(), []byte(strings.Repeat("secret", 8))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, _ := issuer(t, func(n int, form url.Values, w http.ResponseWriter) {
				assertion, err := jwt.Parse([]byte(form.Get("client_assertion")), jwt.WithKey(c.alg, c.public), jwt.WithIssuer("iss"), jwt.WithSubject("subject"), jwt.WithAudience("aud"))
				if err != nil {
					t.Errorf("assertion: %v", err)
				} else if exp, ok := assertion.Expiration(); !ok || time.Until(exp) > assertionLife {
					t.Errorf("lives until %v", exp)
				}
				if form.Get("grant_type") != "client_credentials" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" ||
					form.Get("client_id") != "me" || form.Get("scope") != "s" || form.Has("client_secret") {
					t.Errorf("asked with %v", form)
				}
				grant(n, form, w)
			})
			key, _ := json.Marshal(c.key)
			r := newReceiver(t, nil)
			b := newBed(t, qos.AtLeastOnce, to(r.URL, fmt.Sprintf(`"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":%q,"clientId":"me","scopes":["s"],
				"issuer":"iss","subject":"subject","audience":"aud","signatureAlgorithm":%q,"keySource":%q,"keyContent":%s}}`, tokens.URL, c.algorithm, c.source, key)))
			if err := b.all(data("k")...); err != nil {
				t.Fatal(err)
			}
			if got := r.got()[0].header.Get("Authorization"); got != "Bearer token-1" {
				t.Errorf("sent %q", got)
			}
		})
	}
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
