package httpsignature

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// GenerateConfig is the configuration of generate-http-signature.
type GenerateConfig struct {
	// Scheme is where the signature goes: AUTHORIZATION, SIGNATURE, or CUSTOM_HEADER, the header TargetSignatureHeader. Required.
	Scheme string `json:"scheme"`
	// TargetSignatureHeader is the header of CUSTOM_HEADER. Default X-HMAC-Signature.
	TargetSignatureHeader string `json:"targetSignatureHeader"`
	// KeyID is who signs; it may hold expressions. Required.
	KeyID string `json:"keyId"`
	// Secret is the shared secret; it may hold expressions. Required.
	Secret string `json:"secret"`
	// Algorithm is HMAC_SHA1, HMAC_SHA256, HMAC_SHA384 or HMAC_SHA512. Required.
	Algorithm string `json:"algorithm"`
	// Headers are those that are signed. Default: Date.
	Headers []string `json:"headers"`
	// SignHeaders signs the headers. Default true.
	SignHeaders bool `json:"signHeaders"`
	// SignPayload signs the body or the message's content, instead of the draft's text. Default false.
	SignPayload bool `json:"signPayload"`
	// PrependHeadersToBody signs the values of Headers before the body, with SignPayload. Default false.
	PrependHeadersToBody bool `json:"prependHeadersToBody"`
	// HeadersDelimiter stands behind each of those values. Default a full stop.
	HeadersDelimiter string `json:"headersDelimiter"`
	// SignMethod signs the method of requests. Default true.
	SignMethod bool `json:"signMethod"`
	// SignURI signs the URI of requests. Default true.
	SignURI bool `json:"signUri"`
	// Created signs when it was signed. Default true.
	Created bool `json:"created"`
	// Expires signs until when it counts. Default true.
	Expires bool `json:"expires"`
	// ValidityDuration is how long it counts, in seconds. Default 3.
	ValidityDuration int64 `json:"validityDuration"`
}

// Generate is the catalog entry of generate-http-signature.
var Generate = policies.Type{ID: "generate-http-signature", Name: "Generate HTTP Signature",
	Phases: policies.Request | policies.Response | policies.Subscribe, Config: generateDefaults(), Compile: compileGenerate}

func generateDefaults() *GenerateConfig {
	return &GenerateConfig{TargetSignatureHeader: "X-HMAC-Signature", SignHeaders: true, HeadersDelimiter: ".", SignMethod: true, SignURI: true,
		Created: true, Expires: true, ValidityDuration: 3}
}

type generator struct {
	GenerateConfig
	headers       []string
	keyID, secret *policies.Expression
	target        string // the header
	prefix        string // of its value
	log           *slog.Logger
	failed        atomic.Uint64
}

func compileGenerate(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	g := &generator{GenerateConfig: *generateDefaults(), log: env.Log}
	problems := settings.Decode(cfg, &g.GenerateConfig)
	switch g.Scheme {
	case "AUTHORIZATION":
		g.target, g.prefix = fasthttp.HeaderAuthorization, "Signature "
	case "SIGNATURE":
		g.target = "Signature"
	case "CUSTOM_HEADER":
		if g.target = g.TargetSignatureHeader; g.target == "" || strings.ContainsAny(g.target, " \t\r\n:") {
			problems = append(problems, settings.Invalid("/targetSignatureHeader", "must be the name of a header"))
		}
	default:
		problems = append(problems, settings.Invalid("/scheme", "is required: AUTHORIZATION, SIGNATURE or CUSTOM_HEADER"))
	}
	for _, f := range []struct {
		pointer, text string
		into          **policies.Expression
	}{{"/keyId", g.KeyID, &g.keyID}, {"/secret", g.Secret, &g.secret}} {
		if f.text == "" {
			problems = append(problems, settings.Invalid(f.pointer, "is required"))
			continue
		}
		*f.into = policies.ParseAt(&problems, f.pointer, f.text)
	}
	checkAlgorithm(&problems, "/algorithm", g.Algorithm)
	if g.ValidityDuration < 1 {
		problems = append(problems, settings.Invalid("/validityDuration", "must be 1 second or more"))
	}
	if g.SignHeaders || g.PrependHeadersToBody {
		if g.headers = lower(g.Headers); len(g.headers) == 0 && !g.SignPayload {
			g.headers = []string{"date"}
		}
	}
	if g.SignPayload && g.PrependHeadersToBody && len(g.headers) == 0 {
		problems = append(problems, settings.Invalid("/headers", "is required with prependHeadersToBody"))
	}
	return g, problems
}

// missingError names headers that are to be signed and are not there.
type missingError struct{ names []string }

func (e *missingError) Error() string {
	if len(e.names) == 1 && e.names[0] == "date" {
		return "'Date' header is missing"
	}
	return "those headers are missing [" + strings.Join(e.names, ", ") + "]"
}

// sign makes the header's value.
func (g *generator) sign(c *policies.Context, from source, body []byte, now time.Time) (string, error) {
	s := signature{algorithm: algorithms[g.Algorithm].wire}
	var err error
	if s.keyID, err = g.keyID.Text(c); err != nil {
		return "", err
	}
	secret, err := g.secret.Text(c)
	if err != nil {
		return "", err
	}
	if from.target != "" {
		s.headers = append(s.headers, requestTarget)
	}
	if g.Created {
		s.created = strconv.FormatInt(now.Unix(), 10)
		s.headers = append(s.headers, createdName)
	}
	if g.Expires {
		s.expires = strconv.FormatInt(now.Unix()+g.ValidityDuration, 10)
		s.headers = append(s.headers, expiresName)
	}
	var text []byte
	var missing []string
	if g.SignPayload {
		text, missing = g.payload(from, body)
		s.headers = nil
	} else {
		s.headers = append(s.headers, g.headers...)
		text, missing = s.text(from)
	}
	if len(missing) > 0 {
		return "", &missingError{missing}
	}
	s.value = sum(g.Algorithm, secret, text)
	return g.prefix + s.string(), nil
}

// payload is what is signed of a body.
func (g *generator) payload(from source, body []byte) (text []byte, missing []string) {
	if !g.PrependHeadersToBody {
		return body, nil
	}
	for _, name := range g.headers {
		value, ok := from.header(name)
		if !ok {
			missing = append(missing, name)
		}
		text = append(append(text, value...), g.HeadersDelimiter...)
	}
	return append(text, body...), missing
}

func failed(status int, err error) error {
	var missing *missingError
	if errors.As(err, &missing) {
		return &message.Failure{Status: status, Key: "HTTP_SIGNATURE_IMPOSSIBLE_GENERATION", Message: "Unable to generate HTTP Signature: " + err.Error(), Err: err}
	}
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "HTTP_SIGNATURE_IMPOSSIBLE_GENERATION", Message: "Signature generation failed", Err: err}
}

// OnRequest implements policies.RequestPolicy.
func (g *generator) OnRequest(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	var parts []string
	if g.SignMethod {
		parts = append(parts, strings.ToLower(string(r.Header.Method())))
	}
	if g.SignURI {
		parts = append(parts, string(r.Header.RequestURI()))
	}
	value, err := g.sign(c, requestSource(c, strings.Join(parts, " ")), r.Body(), time.Now())
	if err != nil {
		return failed(fasthttp.StatusBadRequest, err)
	}
	r.Header.Set(g.target, value)
	return nil
}

// OnResponse implements policies.ResponsePolicy. Of a stream there is no body to sign.
func (g *generator) OnResponse(_ context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Response
	var body []byte
	if !c.Streaming {
		body = r.Body()
	}
	from := source{header: func(name string) (string, bool) { return joined(r.Header.PeekAll(name)) }}
	value, err := g.sign(c, from, body, time.Now())
	if err != nil {
		return failed(fasthttp.StatusInternalServerError, err)
	}
	r.Header.Set(g.target, value)
	return nil
}

// OnMessage implements policies.MessagePolicy.
func (g *generator) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	from := source{header: func(name string) (string, bool) {
		var values [][]byte
		for _, h := range m.Headers {
			if strings.EqualFold(h.Name, name) {
				values = append(values, h.Value)
			}
		}
		return joined(values)
	}}
	value, err := g.sign(c, from, m.Content, time.Now())
	if err != nil {
		if n := g.failed.Add(1); n&(n-1) == 0 {
			g.log.Warn("message is not signed", "err", err, "count", n)
		}
		return nil
	}
	out := make([]message.Header, 0, len(m.Headers)+1)
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Name, g.target) {
			out = append(out, h)
		}
	}
	m.Headers = append(out, message.Header{Name: g.target, Value: []byte(value)})
	return nil
}

// Traits implements policies.Traited. The time is in a signature, but one that is made once for all subscribers serves them: it
// counts from when the message was there.
func (g *generator) Traits() policies.Traits {
	uses := g.keyID.Uses()
	uses.Merge(g.secret.Uses())
	return policies.Traits{Shared: !uses.PerExchange(), Uses: uses}
}

var (
	_ policies.RequestPolicy  = (*generator)(nil)
	_ policies.ResponsePolicy = (*generator)(nil)
	_ policies.MessagePolicy  = (*generator)(nil)
	_ policies.Traited        = (*generator)(nil)
)
