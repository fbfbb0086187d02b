package httpsignature

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of http-signature.
type Config struct {
	// Scheme is where the signature is: AUTHORIZATION, the header Authorization behind the word Signature, or SIGNATURE, the header Signature.
	// Required.
	Scheme string `json:"scheme"`
	// Secret is the shared secret; it may hold expressions, in which #keyId is that of the signature. Required.
	Secret string `json:"secret"`
	// Algorithms are those that are allowed: HMAC_SHA1, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512. Default: all.
	Algorithms []string `json:"algorithms"`
	// EnforceHeaders must be among the headers that are signed.
	EnforceHeaders []string `json:"enforceHeaders"`
	// ClockSkew is how far clocks may be apart, in seconds. 0 looks at no time. Default 30.
	ClockSkew int64 `json:"clockSkew"`
	// DecodeSignature URL-decodes the header first. Default false.
	DecodeSignature bool `json:"decodeSignature"`
	// StrictMode refuses texts without quotes. Default true.
	StrictMode bool `json:"strictMode"`
}

// Type is the catalog entry of http-signature.
var Type = policies.Type{ID: "http-signature", Name: "HTTP Signature", Phases: policies.Request, Config: &Config{ClockSkew: 30, StrictMode: true}, Compile: compile}

// all are the algorithms, the best first.
var all = []string{"HMAC_SHA256", "HMAC_SHA384", "HMAC_SHA512", "HMAC_SHA1"}

type policy struct {
	Config
	secret   *policies.Expression
	enforced []string
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: Config{ClockSkew: 30, StrictMode: true}}
	problems := settings.Decode(cfg, &p.Config)
	if p.Scheme != "AUTHORIZATION" && p.Scheme != "SIGNATURE" {
		problems = append(problems, settings.Invalid("/scheme", "is required: AUTHORIZATION or SIGNATURE"))
	}
	if p.Config.Secret == "" {
		problems = append(problems, settings.Invalid("/secret", "is required: the shared secret"))
	} else {
		p.secret = policies.ParseAt(&problems, "/secret", p.Config.Secret)
	}
	for i, name := range p.Algorithms {
		checkAlgorithm(&problems, fmt.Sprintf("/algorithms/%d", i), name)
	}
	if len(p.Algorithms) == 0 {
		p.Algorithms = all
	}
	if p.ClockSkew < 0 {
		problems = append(problems, settings.Invalid("/clockSkew", "must be 0 seconds or more"))
	}
	p.enforced = lower(p.EnforceHeaders)
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if err := p.verify(c, time.Now()); err != nil {
		return &message.Failure{Status: fasthttp.StatusUnauthorized, Key: "HTTP_SIGNATURE_INVALID_SIGNATURE", Message: "Invalid HTTP Signature", Err: err}
	}
	return nil
}

func (p *policy) verify(c *policies.Context, now time.Time) error {
	s, err := p.find(&c.Exchange.HTTP.Request.Header)
	if err != nil {
		return err
	}
	algorithm := algorithmOf(s.algorithm, p.Algorithms)
	if algorithm == "" {
		return fmt.Errorf("algorithm %.50q is not allowed", s.algorithm)
	}
	for _, name := range p.enforced {
		if !slices.Contains(s.headers, name) {
			return fmt.Errorf("header %q is not signed", name)
		}
	}
	if err := p.inTime(&s, now); err != nil {
		return err
	}
	text, missing := s.text(requestSource(c, strings.ToLower(string(c.Exchange.HTTP.Method()))+" "+path(c)))
	if len(missing) > 0 {
		return fmt.Errorf("headers %.200q are signed and not there", missing)
	}
	c.Provide("keyId", el.OfText(s.keyID))
	secret, err := p.secret.Text(c)
	c.Provide("keyId", el.Value{})
	if err != nil || secret == "" {
		return fmt.Errorf("the secret has no value: %w", err)
	}
	if !hmac.Equal([]byte(sum(algorithm, secret, text)), []byte(s.value)) {
		return errors.New("the signature is another")
	}
	return nil
}

// find reads the signature of a request.
func (p *policy) find(h *fasthttp.RequestHeader) (signature, error) {
	text := string(h.Peek("Signature"))
	if p.Scheme == "AUTHORIZATION" {
		const word = "signature "
		text = string(h.Peek(fasthttp.HeaderAuthorization))
		if len(text) < len(word) || !strings.EqualFold(text[:len(word)], word) {
			return signature{}, errors.New("there is no signature in Authorization")
		}
		text = text[len(word):]
	}
	if p.DecodeSignature {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return signature{}, fmt.Errorf("decode: %w", err)
		}
		text = decoded
	}
	s, ok := parse(text, p.StrictMode)
	if !ok {
		return s, errors.New("the signature is malformed")
	}
	return s, nil
}

// inTime tells whether a signature counts now.
func (p *policy) inTime(s *signature, now time.Time) error {
	if p.ClockSkew == 0 {
		return nil
	}
	for _, t := range []struct {
		text string
		late bool
	}{{s.created, false}, {s.expires, true}} {
		if t.text == "" {
			continue
		}
		at, err := strconv.ParseFloat(t.text, 64)
		switch {
		case err != nil:
			return fmt.Errorf("%.30q is no time", t.text)
		case !t.late && at > float64(now.Unix()+p.ClockSkew):
			return errors.New("it is created in the future")
		case t.late && at < float64(now.Unix()):
			return errors.New("it has expired")
		}
	}
	return nil
}

// path is the path of a request as it was sent.
func path(c *policies.Context) string {
	out, _, _ := strings.Cut(string(c.Exchange.HTTP.Request.Header.RequestURI()), "?")
	return out
}

// requestSource is what is signed of a request.
func requestSource(c *policies.Context, target string) source {
	h := &c.Exchange.HTTP.Request.Header
	return source{target: target, header: func(name string) (string, bool) {
		return joined(h.PeekAll(name))
	}}
}

// joined is the values of a header (section 2.3).
func joined(values [][]byte) (string, bool) {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.TrimSpace(string(v))
	}
	return strings.Join(out, ", "), len(values) > 0
}

var _ policies.RequestPolicy = (*policy)(nil)
