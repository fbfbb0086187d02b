package httpsignature

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func request(uri string, headers ...string) *policies.Context {
	x := &exchange.Exchange{API: &exchange.API{ID: "a"}, HTTP: &fasthttp.RequestCtx{}}
	x.HTTP.Request.Header.SetMethod("POST")
	x.HTTP.Request.SetRequestURI(uri)
	x.HTTP.Request.SetBodyString(`{"a":1}`)
	for i := 0; i < len(headers); i += 2 {
		x.HTTP.Request.Header.Set(headers[i], headers[i+1])
	}
	c := new(policies.Context)
	c.Init(x, nil)
	return c
}

func step(t *testing.T, typ policies.Type, cfg string) policies.RequestPolicy {
	t.Helper()
	made, problems := typ.Compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return made.(policies.RequestPolicy)
}

func key(err error) string {
	var f *message.Failure
	if errors.As(err, &f) {
		return strings.TrimPrefix(f.Key, "HTTP_SIGNATURE_") + " " + strconv.Itoa(f.Status)
	}
	return ""
}

// TestRoundTrip: what one signs the other verifies, in every form that both have.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, generate, verify, uri, want string }{
		{"authorization", `{"scheme":"AUTHORIZATION","keyId":"k","secret":"s","algorithm":"HMAC_SHA256","headers":["X-A","Date"]}`,
			`{"scheme":"AUTHORIZATION","secret":"s","enforceHeaders":["(request-target)","x-a"]}`, "/p/q", ""},
		{"signature", `{"scheme":"SIGNATURE","keyId":"k","secret":"s-k","algorithm":"HMAC_SHA512"}`, `{"scheme":"SIGNATURE","secret":"s-{#keyId}","algorithms":["HMAC_SHA512"]}`, "/p", ""},
		{"a query", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA1"}`, `{"scheme":"SIGNATURE","secret":"s"}`, "/p?a=b", "INVALID_SIGNATURE 401"},
		{"a query that is not signed", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA1","signUri":false,"signMethod":false}`, `{"scheme":"SIGNATURE","secret":"s"}`, "/p?a=b", ""},
		{"another secret", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA256"}`, `{"scheme":"SIGNATURE","secret":"t"}`, "/p", "INVALID_SIGNATURE 401"},
		{"an algorithm that is not allowed", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA1"}`, `{"scheme":"SIGNATURE","secret":"s","algorithms":["HMAC_SHA256"]}`, "/p", "INVALID_SIGNATURE 401"},
		{"a header that must be signed", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA256"}`, `{"scheme":"SIGNATURE","secret":"s","enforceHeaders":["X-A"]}`, "/p", "INVALID_SIGNATURE 401"},
		{"another place", `{"scheme":"SIGNATURE","keyId":"k","secret":"s","algorithm":"HMAC_SHA256"}`, `{"scheme":"AUTHORIZATION","secret":"s"}`, "/p", "INVALID_SIGNATURE 401"},
	} {
		pc := request(c.uri, "X-A", "b", "Date", "today")
		if err := step(t, Generate, c.generate).OnRequest(t.Context(), pc); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := key(step(t, Type, c.verify).OnRequest(t.Context(), pc)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	// The example of the draft's appendix, with a secret in place of a key.
	const text = "date: Sun, 05 Jan 2014 21:31:40 GMT"
	value := sum("HMAC_SHA256", "s", []byte(text))
	const date = "Sun, 05 Jan 2014 21:31:40 GMT"
	signed := func(more string) string { return `keyId="k",headers="date",signature="` + value + `"` + more }
	for _, c := range []struct{ name, cfg, header, want string }{
		{"well", `{"scheme":"SIGNATURE","secret":"s"}`, signed(""), ""},
		{"created in the future", `{"scheme":"SIGNATURE","secret":"s"}`, signed(`,created=` + strconv.FormatInt(now+60, 10)), "INVALID_SIGNATURE 401"},
		{"created a little in the future", `{"scheme":"SIGNATURE","secret":"s"}`, signed(`,created=` + strconv.FormatInt(now+20, 10)), ""},
		{"expired", `{"scheme":"SIGNATURE","secret":"s"}`, signed(`,expires=` + strconv.FormatInt(now-1, 10)), "INVALID_SIGNATURE 401"},
		{"expired, and nobody looks", `{"scheme":"SIGNATURE","secret":"s","clockSkew":0}`, signed(`,expires=1`), ""},
		{"without quotes", `{"scheme":"SIGNATURE","secret":"s"}`, strings.ReplaceAll(signed(""), `"k"`, "k"), "INVALID_SIGNATURE 401"},
		{"without quotes where it may", `{"scheme":"SIGNATURE","secret":"s","strictMode":false}`, strings.ReplaceAll(signed(""), `"k"`, "k"), ""},
		{"a header that is not there", `{"scheme":"SIGNATURE","secret":"s"}`, strings.ReplaceAll(signed(""), "date", "x-none"), "INVALID_SIGNATURE 401"},
		{"encoded", `{"scheme":"SIGNATURE","secret":"s","decodeSignature":true}`, strings.ReplaceAll(signed(""), `"`, "%22"), ""},
		{"twice", `{"scheme":"SIGNATURE","secret":"s"}`, signed(`,keyId="k"`), "INVALID_SIGNATURE 401"},
		{"nothing", `{"scheme":"SIGNATURE","secret":"s"}`, "", "INVALID_SIGNATURE 401"},
	} {
		pc := request("/p", "Date", date, "Signature", c.header)
		if got := key(step(t, Type, c.cfg).OnRequest(t.Context(), pc)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestGenerate_Payload(t *testing.T) {
	t.Parallel()
	pc := request("/p", "X-A", "b")
	s := step(t, Generate, `{"scheme":"CUSTOM_HEADER","keyId":"k","secret":"s","algorithm":"HMAC_SHA256","signPayload":true,"prependHeadersToBody":true,"headers":["X-A"],"created":false,"expires":false}`)
	if err := s.OnRequest(t.Context(), pc); err != nil {
		t.Fatal(err)
	}
	want := `signature="` + sum("HMAC_SHA256", "s", []byte(`b.{"a":1}`)) + `"`
	if got := string(pc.Exchange.HTTP.Request.Header.Peek("X-HMAC-Signature")); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if err := s.OnRequest(t.Context(), request("/p")); key(err) != "IMPOSSIBLE_GENERATION 400" {
		t.Errorf("without the header: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`keyId="k",algorithm="hmac-sha256",headers="a b",signature="x"`, `keyId=k`, `a="\`, `="`, `created=1,signature="a\"b",keyId="k"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := parse(text, true)
		if !ok {
			return
		}
		again, ok := parse(s.string(), true)
		if again.keyID != s.keyID || again.value != s.value || !ok {
			t.Errorf("%q: %+v, then %+v", text, s, again)
		}
	})
}
