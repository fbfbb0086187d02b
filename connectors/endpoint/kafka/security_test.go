package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka/security"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/certs"
)

// exchangeOne publishes a message and reads it.
func exchangeOne(t *testing.T, b *bed) {
	t.Helper()
	c := b.subscribe(auto(), "earliest")
	b.mustPublish("hello")
	if got := contents(c.take(1)); got[0] != "hello" {
		t.Fatalf("got %v", got)
	}
}

// countOne has a member of a group read one message and save that it has it.
func countOne(t *testing.T, b *bed) {
	t.Helper()
	x := leastOnce("secured")
	c := b.mustOpen(x, connectors.SubscribeOptions{Cursor: "earliest"})
	m := c.take(1)[0]
	c.sub.DeliveredThrough(&m)
	if err := c.sub.(*counted).saveNow(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c.sub.Close(t.Context())
	again := b.mustOpen(x, connectors.SubscribeOptions{})
	b.mustPublish("after")
	if got := contents(again.take(1)); got[0] != "after" {
		t.Fatalf("a member that came back got %v", got)
	}
}

// brief are limits for publishing in vain: franz-go asks again until the time is over, for a topic may yet be found.
var brief = connectors.Limits{ProduceTimeout: 2 * time.Second}

// refusedBoth expects both sides to fail for a reason that names what to check, without a secret.
func refusedBoth(t *testing.T, b *bed, check string) {
	t.Helper()
	_, err := b.trySubscribe(auto(), "")
	for side, err := range map[string]error{"subscribe": err, "publish": errors.Join(b.publish(auto(), "hello").wait(t, 1)...)} {
		var f *message.Failure
		if !errors.As(err, &f) || f.Key != message.KeyConfigurationInvalid || f.Status != statusInvalid || f.Unknown ||
			!strings.HasPrefix(f.Message, textInvalid+": ") || !strings.Contains(f.Message, check) {
			t.Errorf("%s: got %+v", side, err)
		}
		if text := fmt.Sprintf("%v %+v", err, f); strings.Contains(text, "hunter2") {
			t.Errorf("%s tells a secret: %s", side, text)
		}
	}
}

func secureFake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func withSecurity(block string) string {
	return `{"bootstrapServers":"$B","topics":["orders"],"security":{` + block + `}}`
}

func TestSecurity_Mechanisms(t *testing.T) {
	for _, kind := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(kind, func(t *testing.T) {
			c := secureFake(t, kfake.EnableSASL(), kfake.Superuser(kind, "alice", "secret"))
			block := `"protocol":"SASL_PLAINTEXT","sasl":{"mechanism":{"type":"` + kind + `","username":"alice","password":"secret"}}`
			exchangeOne(t, newBed(t, c, withSecurity(block), connectors.Limits{}))
		})
	}
}

// kfake knows no tokens: its answers are played.
func TestSecurity_Token(t *testing.T) {
	for name, sasl := range map[string]string{
		"object": `"mechanism":{"type":"OAUTHBEARER_TOKEN","token":"hunter2"}`,
		"JAAS":   `"saslMechanism":"OAUTHBEARER","saslJaasConfig":"OAuthBearerLoginModule required access_token=hunter2"`,
	} {
		t.Run(name, func(t *testing.T) {
			c := secureFake(t)
			var refuse atomic.Bool
			c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				return req.ResponseKind(), nil, req.(*kmsg.SASLHandshakeRequest).Mechanism == "OAUTHBEARER"
			})
			c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				if refuse.Load() {
					resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
				}
				return resp, nil, true
			})
			block := withSecurity(`"protocol":"SASL_PLAINTEXT","sasl":{` + sasl + `}`)
			exchangeOne(t, newBed(t, c, block, connectors.Limits{}))
			refuse.Store(true)
			refusedBoth(t, newBed(t, c, block, brief), "security.sasl")
		})
	}
}

func TestSecurity_TLS(t *testing.T) {
	ca, foreign := certs.Authority(t, "ca"), certs.Authority(t, "foreign")
	server := ca.Issue(t, "broker", "127.0.0.1")
	c := secureFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientCAs: ca.Pool(),
		ClientAuth: tls.RequireAndVerifyClientCert}))
	block := func(ca, us *certs.Pair) string {
		return withSecurity(fmt.Sprintf(`"protocol":"SSL","ssl":{"trustStore":{"type":"PEM","certificates":%q},"keyStore":{"type":"PEM","key":%q,"certificateChain":%q}}`,
			ca.CertPEM, us.KeyPEM, us.CertPEM))
	}
	exchangeOne(t, newBed(t, c, block(ca, ca.Issue(t, "us")), connectors.Limits{}))
	refusedBoth(t, newBed(t, c, block(ca, foreign.Issue(t, "us")), brief), "keyStore")
	refusedBoth(t, newBed(t, c, block(foreign, ca.Issue(t, "us")), brief), "trustStore")
}

// What went out over an older connection may be stored, whatever the next connection is refused for.
func TestClassify_RefusedAfterSending(t *testing.T) {
	t.Parallel()
	for _, err := range []error{kerr.SaslAuthenticationFailed, &security.Refused{Check: "x"}} {
		if f := classify("t", err, true); !f.Unknown {
			t.Errorf("%v: got %+v", err, f)
		}
		if f := classify("t", err, false); f.Unknown || f.Key != message.KeyConfigurationInvalid {
			t.Errorf("%v: got %+v", err, f)
		}
	}
}

func TestCheck_SharedSecurityWithoutProtocolTurnsNothingOff(t *testing.T) {
	t.Parallel()
	s, ps := read([]byte(`{"bootstrapServers":"a:1","security":{"protocol":"SSL"}}`), []byte(`{"security":{}}`))
	if len(ps) > 0 || len(s.security.Options(nil)) != 1 {
		t.Fatal(ps, s.security)
	}
}
