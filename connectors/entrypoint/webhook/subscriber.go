package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/tlsstore"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Subscriber is the configuration of a subscription, `entrypointConfiguration` (spec 2.5): what the receiver says.
type Subscriber struct {
	// CallbackURL is where messages are posted, http or https. Required.
	CallbackURL string `json:"callbackUrl"`
	// Headers are added where the message has none of that name.
	Headers []Header `json:"headers"`
	// Auth says who we are. Default: nobody.
	Auth Auth `json:"auth"`
	// SSL says whom we trust and shows our certificate. Default: the system's authorities, no certificate.
	SSL SSL `json:"ssl"`
	// Retry says how often a message is tried. Default: once.
	Retry Retry `json:"retry"`
	// Signature signs what is sent (Standard Webhooks). Default: not signed.
	Signature Signature `json:"signature"`
	// Batch sends several messages at a time. Default: one message per call.
	Batch *Batch `json:"batch"`
	// Concurrency is how many calls may be under way at a time, 1 to 1024. 1: strictly one after the other. Default 64.
	Concurrency int `json:"concurrency"`
	// Timeout of one call in milliseconds, up to what the API allows (http.readTimeout). Default: that.
	Timeout int `json:"timeout"`
}

// Header is a name and a value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SSL is for https.
type SSL struct {
	// HostnameVerifier: false takes the receiver's certificate whatever name it bears, if it comes from an authority. Default true.
	HostnameVerifier bool `json:"hostnameVerifier"`
	// TrustAll takes any certificate. Default false.
	TrustAll bool `json:"trustAll"`
	// TrustStore holds the authorities that the receiver's certificate must come from; type "", NONE, PEM, PKCS12 or JKS.
	TrustStore *tlsstore.TrustStore `json:"trustStore"`
	// KeyStore holds our certificate and its key.
	KeyStore *tlsstore.KeyStore `json:"keyStore"`
}

// Retry says how often a message is tried, and when again.
type Retry struct {
	// Option is "No Retry" (default) or "Retry On Fail".
	Option string `json:"retryOption"`
	// Strategy is LINEAR (the n-th wait is n times the first) or EXPONENTIAL (each twice the one before). Default LINEAR.
	Strategy string `json:"retryStrategy"`
	// MaxAttempts is how often a message is tried again after its first attempt, 1 to 100. Default 3.
	MaxAttempts int `json:"maxAttempts"`
	// InitialDelaySeconds before the first repetition, 1 to 86400. Default 1.
	InitialDelaySeconds int `json:"initialDelaySeconds"`
	// MaxDelaySeconds bounds the wait, 1 to 86400. Default 60.
	MaxDelaySeconds int `json:"maxDelaySeconds"`
}

// Signature is the scheme of standardwebhooks.com, v1: HMAC-SHA256 over id, timestamp and body; v1a: the same with ed25519.
type Signature struct {
	// Secrets sign each on its own, so that a secret can be replaced with no call unsigned: "whsec_" and 24 to 64 bytes in base64
	// (v1), or "whsk_" and an ed25519 private key in base64 (v1a). At most 8.
	Secrets []string `json:"secrets"`
}

// Batch fills a call with messages of one partition.
type Batch struct {
	// MaxMessages in one call, 2 to 1000. Default 100.
	MaxMessages int `json:"maxMessages"`
	// MaxBytes of contents, keys and headers in one call, 1024 to 4194304; a message that is larger goes alone. Default 262144.
	MaxBytes int `json:"maxBytes"`
	// MaxDelayMs is how long a call waits for more messages, in milliseconds, 0 to 60000. Default 100.
	MaxDelayMs *int `json:"maxDelayMs"`
	// Format is json (one array, default) or ndjson (one object per line).
	Format string `json:"format"`
}

// Bounds and defaults of a subscription's settings.
const (
	defaultConcurrency = 64
	defaultAttempts    = 3 // spec 2.5: 1 + 3 calls where nothing is said
	maxAttempts        = 100
	maxDelaySeconds    = 86400
	defaultMaxDelay    = 60 // seconds
	maxHeaders         = 64
	maxURL             = 8 << 10 // bytes
	maxBatchBytes      = 4 << 20
	defaultBatchDelay  = 100 // milliseconds
)

// Values of Retry.
const (
	noRetry     = "no retry"
	retryOnFail = "retry on fail"
	linear      = "LINEAR"
	exponential = "EXPONENTIAL"
)

// target is a checked Subscriber.
type target struct {
	config  Subscriber
	url     *url.URL
	headers []Header
	trust   *tlsstore.Store
	key     *tlsstore.Store
	signers []signer
	auth    authorizer // nil: none
	backoff backoff
}

// readTarget checks the configuration of a subscription; the target is of use only without errors.
func readTarget(raw json.RawMessage) (*target, apidef.Problems) {
	c := Subscriber{Concurrency: defaultConcurrency, SSL: SSL{HostnameVerifier: true},
		Retry: Retry{Option: noRetry, Strategy: linear, MaxAttempts: defaultAttempts, InitialDelaySeconds: 1, MaxDelaySeconds: defaultMaxDelay}}
	k := &checker{problems: connectors.Decode(raw, &c)}
	k.expressions("", raw)
	t := &target{url: k.callback("/callbackUrl", c.CallbackURL)}
	for i, h := range c.Headers {
		k.header("/headers/"+strconv.Itoa(i), h)
	}
	if len(c.Headers) > maxHeaders {
		k.fail("/headers", fmt.Sprintf("has %d entries, at most %d are taken", len(c.Headers), maxHeaders))
	}
	t.headers = c.Headers
	k.ssl("/ssl", &c.SSL, t)
	t.backoff = k.retry("/retry", &c.Retry)
	t.signers = k.signers("/signature/secrets", c.Signature.Secrets)
	t.auth = k.auth("/auth", &c.Auth)
	k.batch("/batch", c.Batch)
	k.within("/concurrency", c.Concurrency, 1, maxConcurrency)
	if c.Timeout != 0 {
		k.within("/timeout", c.Timeout, 1, maxTimeoutMS)
	}
	t.config = c
	return t, k.problems
}

// callback checks an address that messages, or secrets, are sent to.
func (k *checker) callback(at, text string) *url.URL {
	if text == "" {
		k.fail(at, `is required, e.g. "https://receiver.example.com/events"`)
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		k.fail(at, fmt.Sprintf("is longer than %d bytes", maxURL))
	case err != nil:
		k.fail(at, "is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "":
		k.fail(at, "must begin with http:// or https:// and name a host")
	case u.User != nil:
		k.fail(at, "must not hold credentials; put them into auth")
	case u.Fragment != "":
		k.fail(at, "must not have a fragment, which is never sent")
	case !printable(u.Host):
		k.fail(at, "has a host that is not ASCII; write it as xn--...")
	case !printable(u.RequestURI()):
		k.fail(at, "has characters that must be percent-encoded")
	case !validPort(u.Port()):
		k.fail(at, fmt.Sprintf("has no valid port: %q", u.Port()))
	default:
		return u
	}
	return nil
}

// printable tells text that a request line can hold.
func printable(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

func validPort(text string) bool {
	if text == "" {
		return true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func (k *checker) header(at string, h Header) {
	switch {
	case h.Name == "" || !httpguts.ValidHeaderFieldName(h.Name):
		k.fail(at+"/name", fmt.Sprintf("%q is no name of a header", h.Name))
	case ours(h.Name):
		k.fail(at+"/name", h.Name+" is set by the gateway")
	}
	if !httpguts.ValidHeaderFieldValue(h.Value) {
		k.fail(at+"/value", "holds characters that a header cannot have")
	}
}

func (k *checker) ssl(at string, c *SSL, t *target) {
	var ps apidef.Problems
	if c.TrustStore != nil && !c.TrustAll {
		t.trust, ps = c.TrustStore.Read(at+"/trustStore", tlsstore.ContentOnly)
		k.problems = append(k.problems, ps...)
	}
	if c.KeyStore != nil {
		t.key, ps = c.KeyStore.Read(at+"/keyStore", tlsstore.ContentOnly)
		k.problems = append(k.problems, ps...)
	}
}

func (k *checker) retry(at string, c *Retry) backoff {
	b := backoff{initial: time.Duration(c.InitialDelaySeconds) * time.Second, most: time.Duration(c.MaxDelaySeconds) * time.Second,
		repetitions: c.MaxAttempts}
	switch strings.ToLower(cmp.Or(c.Option, noRetry)) {
	case noRetry:
		b.repetitions = 0
	case retryOnFail:
	default:
		k.fail(at+"/retryOption", fmt.Sprintf("%q is not one of No Retry, Retry On Fail", c.Option))
	}
	switch strings.ToUpper(cmp.Or(c.Strategy, linear)) {
	case linear:
	case exponential:
		b.exponential = true
	default:
		k.fail(at+"/retryStrategy", fmt.Sprintf("%q is not one of LINEAR, EXPONENTIAL", c.Strategy))
	}
	k.within(at+"/maxAttempts", c.MaxAttempts, 1, maxAttempts)
	k.within(at+"/initialDelaySeconds", c.InitialDelaySeconds, 1, maxDelaySeconds)
	k.within(at+"/maxDelaySeconds", c.MaxDelaySeconds, 1, maxDelaySeconds)
	return b
}

func (k *checker) batch(at string, b *Batch) {
	if b == nil {
		return
	}
	b.MaxMessages, b.MaxBytes, b.Format = cmp.Or(b.MaxMessages, 100), cmp.Or(b.MaxBytes, 256<<10), strings.ToLower(cmp.Or(b.Format, formatJSON))
	if b.Format != formatJSON && b.Format != formatNDJSON {
		k.fail(at+"/format", fmt.Sprintf("%q is not one of json, ndjson", b.Format))
	}
	k.within(at+"/maxMessages", b.MaxMessages, 2, 1000)
	k.within(at+"/maxBytes", b.MaxBytes, 1024, maxBatchBytes)
	if b.MaxDelayMs == nil {
		b.MaxDelayMs = new(defaultBatchDelay)
	}
	k.within(at+"/maxDelayMs", *b.MaxDelayMs, 0, 60_000)
}

// expressions refuses what would be sent to a receiver as it stands.
func (k *checker) expressions(at string, raw json.RawMessage) {
	var tree any
	if json.Unmarshal(raw, &tree) == nil {
		k.walk(at, tree)
	}
}

func (k *checker) walk(at string, v any) {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "{#") {
			k.fail(at, "expressions and secret references are not served in subscriptions in this version; write the value")
		}
	case []any:
		for i, item := range v {
			k.walk(at+"/"+strconv.Itoa(i), item)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			k.walk(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), v[name])
		}
	}
}
