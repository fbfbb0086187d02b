package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/message"
)

func headersOf(name, value string) []message.Header {
	return []message.Header{{Name: name, Value: []byte(value)}}
}

func TestCheck_Entrypoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  string
		want []string // pointers
	}{
		"empty":     {``, nil},
		"reference": {`{"http":{"connectTimeout":3000,"readTimeout":10000,"idleTimeout":60000,"maxConcurrentConnections":5},"proxy":{"enabled":false,"useSystemProxy":false},"interruptConsumptionOnServerError":true,"interruptConsumptionOnException":true,"logging":{"enabled":true,"request":{"headers":true,"payload":true},"response":{"headers":true,"payload":true}}}`, nil},
		"bounds":    {`{"http":{"connectTimeout":0,"readTimeout":-1,"idleTimeout":9999999,"maxConcurrentConnections":0}}`, []string{"/http/connectTimeout", "/http/idleTimeout", "/http/maxConcurrentConnections", "/http/readTimeout"}},
		"proxy":     {`{"proxy":{"enabled":true,"type":"FTP"}}`, []string{"/proxy/host", "/proxy/port", "/proxy/type"}},
		"socks4":    {`{"proxy":{"enabled":true,"type":"socks4","host":"p","port":1080,"password":"x"}}`, []string{"/proxy/password"}},
		"system":    {`{"proxy":{"enabled":true,"useSystemProxy":true}}`, nil},
		"kinds":     {`{"http":[],"logging":{"enabled":"maybe"}}`, []string{"/http", "/logging/enabled"}},
	} {
		if got := pointers(Type.Check(json.RawMessage(c.cfg))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestCheckSubscription(t *testing.T) {
	t.Parallel()
	const url = `"callbackUrl":"https://receiver.example.com/in?a=b"`
	for name, c := range map[string]struct {
		cfg  string
		want []string
	}{
		"least":           {url, nil},
		"nothing":         {``, []string{"/callbackUrl"}},
		"scheme":          {`"callbackUrl":"ftp://x"`, []string{"/callbackUrl"}},
		"no host":         {`"callbackUrl":"https:///x"`, []string{"/callbackUrl"}},
		"credentials":     {`"callbackUrl":"https://u:p@x"`, []string{"/callbackUrl"}},
		"line break":      {`"callbackUrl":"https://x/\r\nX: y"`, []string{"/callbackUrl"}},
		"space":           {`"callbackUrl":"https://x/?a b"`, []string{"/callbackUrl"}},
		"foreign query":   {`"callbackUrl":"https://x/?ü"`, []string{"/callbackUrl"}},
		"foreign host":    {`"callbackUrl":"https://bücher.example/"`, []string{"/callbackUrl"}},
		"fragment":        {`"callbackUrl":"https://x/#y"`, []string{"/callbackUrl"}},
		"port":            {`"callbackUrl":"https://x:70000"`, []string{"/callbackUrl"}},
		"expression":      {`"callbackUrl":"https://x/{#message.id}"`, []string{"/callbackUrl", "/callbackUrl"}}, // and a fragment
		"reference":       {url + `,"headers":[{"name":"a","value":"b"}],"auth":{"type":"none"},"ssl":{"hostnameVerifier":true,"trustAll":false,"trustStore":{"type":""},"keyStore":{"type":""}},"retry":{"retryOption":"No Retry"}`, nil},
		"retry":           {url + `,"retry":{"retryOption":"Retry On Fail","retryStrategy":"EXPONENTIAL","maxAttempts":5,"initialDelaySeconds":1,"maxDelaySeconds":10}`, nil},
		"retry bounds":    {url + `,"retry":{"retryOption":"Often","retryStrategy":"RANDOM","maxAttempts":0,"initialDelaySeconds":0,"maxDelaySeconds":0}`, []string{"/retry/initialDelaySeconds", "/retry/maxAttempts", "/retry/maxDelaySeconds", "/retry/retryOption", "/retry/retryStrategy"}},
		"headers":         {url + `,"headers":[{"name":"a b","value":"x"},{"name":"Host","value":"x"},{"name":"ok","value":"a\nb"},{"name":"webhook-id","value":"x"}]`, []string{"/headers/0/name", "/headers/1/name", "/headers/2/value", "/headers/3/name"}},
		"auth type":       {url + `,"auth":{"type":"magic"}`, []string{"/auth/type"}},
		"basic":           {url + `,"auth":{"type":"basic"}`, []string{"/auth/basic/username"}},
		"token":           {url + `,"auth":{"type":"token","token":{"value":"a\nb"}}`, []string{"/auth/token/value"}},
		"oauth2":          {url + `,"auth":{"type":"oauth2"}`, []string{"/auth/oauth2/clientId", "/auth/oauth2/clientSecret", "/auth/oauth2/endpoint"}},
		"jwt":             {url + `,"auth":{"type":"jwtProfileOauth2"}`, []string{"/auth/jwtProfileOauth2/endpoint", "/auth/jwtProfileOauth2/issuer", "/auth/jwtProfileOauth2/keyContent"}},
		"jwt key":         {url + `,"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":"https://t","issuer":"i","keyContent":"none"}}`, []string{"/auth/jwtProfileOauth2/keyContent"}},
		"jwt algorithm":   {url + `,"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":"https://t","issuer":"i","signatureAlgorithm":"none"}}`, []string{"/auth/jwtProfileOauth2/signatureAlgorithm"}},
		"jwt store":       {url + `,"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":"https://t","issuer":"i","keySource":"JKS","keyContent":"AAAA"}}`, []string{"/auth/jwtProfileOauth2/storePassword"}},
		"stores":          {url + `,"ssl":{"trustStore":{"type":"JKS","content":"AAAA"},"keyStore":{"type":"PEM","path":"/etc/passwd"}}`, []string{"/ssl/keyStore/path", "/ssl/trustStore/password"}},
		"signature":       {url + `,"signature":{"secrets":["whsec_AAAA","whsk_AAAA","whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}`, []string{"/signature/secrets/0", "/signature/secrets/1"}},
		"batch":           {url + `,"batch":{}`, nil},
		"batch bounds":    {url + `,"batch":{"maxMessages":1,"maxBytes":1,"maxDelayMs":-1,"format":"csv"}`, []string{"/batch/format", "/batch/maxBytes", "/batch/maxDelayMs", "/batch/maxMessages"}},
		"concurrency":     {url + `,"concurrency":1025,"timeout":-1`, []string{"/concurrency", "/timeout"}},
		"several at once": {`"callbackUrl":"x","auth":{"type":"x"},"concurrency":0`, []string{"/auth/type", "/callbackUrl", "/concurrency"}},
	} {
		cfg := json.RawMessage("{" + c.cfg + "}")
		for typ, check := range map[string]func(json.RawMessage) (out []string){
			"webhook":          func(raw json.RawMessage) []string { return pointers(Type.CheckSubscription(raw)) },
			"webhook-advanced": func(raw json.RawMessage) []string { return pointers(Advanced.CheckSubscription(raw)) },
		} {
			if got := check(cfg); !slices.Equal(got, c.want) {
				t.Errorf("%s of %s: %v, want %v", name, typ, got, c.want)
			}
		}
	}
}

// pointers are those of errors, in order.
func pointers(ps apidef.Problems) (out []string) {
	for _, p := range ps.Errors() {
		out = append(out, p.Pointer)
	}
	slices.Sort(out)
	return out
}

// TestProblems_TellNoSecrets: whatever is wrong, secrets stay where they are.
func TestProblems_TellNoSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, cfg := range []string{
		`"signature":{"secrets":["whsec_` + secret + `","whsk_` + secret + `"]}`,
		`"auth":{"type":"token","token":{"value":"` + secret + `\n"}}`,
		`"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":"https://t","issuer":"i","keyContent":"` + secret + `"}}`,
		`"auth":{"type":"jwtProfileOauth2","jwtProfileOauth2":{"endpoint":"https://t","issuer":"i","keySource":"PKCS12","keyContent":"AAAA","storePassword":"` + secret + `"}}`,
		`"ssl":{"keyStore":{"type":"PKCS12","content":"AAAA","password":"` + secret + `"}}`,
		`"auth":{"type":"oauth2","oauth2":{"endpoint":"https://u:` + secret + `@t","clientId":"c","clientSecret":"` + secret + `"}}`,
	} {
		ps := Type.CheckSubscription(json.RawMessage(`{"callbackUrl":"https://x",` + cfg + `}`))
		if ps.Err() == nil || strings.Contains(fmt.Sprint(ps), secret) {
			t.Errorf("%s: %v", cfg, ps)
		}
	}
}

func FuzzCheckSubscription(f *testing.F) {
	f.Add(`{"callbackUrl":"https://x","auth":{"type":"basic","basic":{"username":"u"}},"batch":{}}`)
	f.Add(`{"callbackUrl":"http://[::1]:80/","headers":[{"name":"x","value":"y"}],"signature":{"secrets":["whsec_"]}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		target, ps := readTarget(json.RawMessage(raw))
		if ps.Err() != nil {
			return
		}
		m := message.Message{Content: []byte("x")}
		w := newWriter(newTemplate(target), target.signers)
		head, _, _ := w.request(&lane{head: &item{m: &m}, taken: 1}, "", time.Unix(1, 0))
		if strings.Count(string(head), "\r\n\r\n") != 1 || strings.Count(string(head), "\nHost: ") != 1 ||
			len(strings.Fields(strings.SplitN(string(head), "\r\n", 2)[0])) != 3 {
			t.Errorf("%q makes %q", raw, head)
		}
	})
}
