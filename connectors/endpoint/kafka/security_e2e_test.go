//go:build e2e

package kafka

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/certs"
)

const storePassword = "changeit-1"

// secureKafka starts a Kafka whose clients come in by the given protocol, with a certificate of ca.
func secureKafka(t *testing.T, ca *certs.Pair, protocol string, more map[string]string) *brokers.Kafka {
	t.Helper()
	server := ca.Issue(t, "broker", "127.0.0.1")
	props := map[string]string{
		"listener.security.protocol.map": "CLIENT:" + protocol + ",DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"ssl.keystore.type":              "PEM",
		"ssl.keystore.location":          certs.Write(t, "broker.pem", []byte(server.KeyPEM+server.CertPEM)),
		"ssl.truststore.type":            "PEM",
		"ssl.truststore.location":        certs.Write(t, "ca.pem", []byte(ca.CertPEM)),
	}
	for k, v := range more {
		props[k] = v
	}
	return brokers.StartKafka(t, brokers.KafkaConfig{Properties: props})
}

// trustBy makes a trust store with the JDK's keytool.
func trustBy(t *testing.T, kind string, ca *certs.Pair) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trust."+kind)
	keytool(t, "-importcert", "-noprompt", "-alias", "ca", "-file", certs.Write(t, "ca.pem", []byte(ca.CertPEM)),
		"-keystore", path, "-storetype", kind, "-storepass", storePassword)
	return path
}

// keyBy makes a key store with the JDK's keytool.
func keyBy(t *testing.T, kind string, pair *certs.Pair) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key."+kind)
	data, err := pkcs12.Modern.Encode(pair.Key, pair.Cert, nil, storePassword)
	if err != nil {
		t.Fatal(err)
	}
	p12 := certs.Write(t, "key.p12", data)
	keytool(t, "-importkeystore", "-noprompt", "-srckeystore", p12, "-srcstoretype", "PKCS12", "-srcstorepass", storePassword,
		"-destkeystore", path, "-deststoretype", kind, "-deststorepass", storePassword)
	return path
}

func keytool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), brokers.Tool(t, "keytool"), args...).CombinedOutput(); err != nil {
		t.Fatalf("keytool %v: %v\n%s", args[0], err, out)
	}
}

// tokenServer answers client credentials with unsecured tokens, as the broker's default validator takes them.
func tokenServer(t *testing.T) (url string, given *atomic.Int64) {
	given = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "client" || secret != "client-secret" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		given.Add(1)
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":600}`, unsecuredToken())
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/token", given
}

func unsecuredToken() string {
	part := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	return part([]byte(`{"alg":"none"}`)) + "." + part(fmt.Appendf(nil, `{"sub":"alice","iat":%d,"exp":%d}`, now, now+600)) + "."
}

func quoted(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}

func TestReal_SASLOverTLS(t *testing.T) {
	ca := certs.Authority(t, "test authority")
	const module = "org.apache.kafka.common.security."
	k := secureKafka(t, ca, "SASL_SSL", map[string]string{
		"sasl.enabled.mechanisms":                                    "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"listener.name.client.plain.sasl.jaas.config":                module + `plain.PlainLoginModule required user_alice="alice-secret";`,
		"listener.name.client.scram-sha-256.sasl.jaas.config":        module + `scram.ScramLoginModule required;`,
		"listener.name.client.scram-sha-512.sasl.jaas.config":        module + `scram.ScramLoginModule required;`,
		"listener.name.client.oauthbearer.sasl.jaas.config":          module + `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		"listener.name.client.oauthbearer.connections.max.reauth.ms": "5000",
	})
	k.SCRAMUser(t, "alice", "alice-secret")
	url, given := tokenServer(t)
	jks, p12 := trustBy(t, "JKS", ca), trustBy(t, "PKCS12", ca)
	inline := `"ssl":{"trustStore":{"type":"PEM","certificates":` + quoted(ca.CertPEM) + `}}`
	stored := func(kind, path string) string {
		return fmt.Sprintf(`"ssl":{"trustStore":{"type":%q,"location":%q,"password":%q}}`, kind, path, storePassword)
	}
	jaas := func(class, password string) string {
		return quoted(fmt.Sprintf(`%s required username="alice" password='%s';`, class, password))
	}
	for _, tc := range []struct{ name, ssl, good, bad string }{
		{"PLAIN", inline, `"mechanism":{"type":"PLAIN","username":"alice","password":"alice-secret"}`,
			`"mechanism":{"type":"PLAIN","username":"alice","password":"hunter2"}`},
		{"SCRAM-SHA-256 in JAAS, JKS", stored("JKS", jks), `"saslMechanism":"SCRAM-SHA-256","saslJaasConfig":` + jaas("x.ScramLoginModule", "alice-secret"),
			`"saslMechanism":"SCRAM-SHA-256","saslJaasConfig":` + jaas("x.ScramLoginModule", "hunter2")},
		{"SCRAM-SHA-512, PKCS12", stored("PKCS12", p12), `"mechanism":{"type":"SCRAM-SHA-512","username":"alice","password":"alice-secret"}`,
			`"mechanism":{"type":"SCRAM-SHA-512","username":"alice","password":"hunter2"}`},
		{"OAUTHBEARER", inline, `"mechanism":{"type":"OAUTHBEARER","tokenUrl":"` + url + `","clientId":"client","clientSecret":"client-secret"}`,
			`"mechanism":{"type":"OAUTHBEARER","tokenUrl":"` + url + `","clientId":"client","clientSecret":"hunter2"}`},
		{"OAUTHBEARER_TOKEN", inline, `"mechanism":{"type":"OAUTHBEARER_TOKEN","token":"` + unsecuredToken() + `"}`,
			`"mechanism":{"type":"OAUTHBEARER_TOKEN","token":"hunter2"}`},
		{"mechanism not offered", inline, "", `"saslMechanism":"AWS_MSK_IAM","saslJaasConfig":"IAMLoginModule required;"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topic := k.Topic(t, 1)
			with := func(sasl string, limits connectors.Limits) *bed {
				return realBed(t, k, topic, `,"security":{"protocol":"SASL_SSL","sasl":{`+sasl+`},`+tc.ssl+`}`, limits)
			}
			if tc.good != "" {
				b := with(tc.good, connectors.Limits{})
				exchangeOne(t, b)
				countOne(t, b)
			}
			refusedBoth(t, with(tc.bad, brief), "check")
		})
	}
	if n := given.Load(); n != 1 {
		t.Errorf("%d tokens were given; the clients of an endpoint share one", n)
	}
}

func TestReal_MutualTLS(t *testing.T) {
	ca, foreign := certs.Authority(t, "test authority"), certs.Authority(t, "foreign authority")
	k := secureKafka(t, ca, "SSL", map[string]string{"ssl.client.auth": "required"})
	us, stranger := ca.Issue(t, "sluice"), foreign.Issue(t, "stranger")
	trust := func(ca *certs.Pair) string {
		return `"trustStore":{"type":"PEM","location":"` + certs.Write(t, "ca.pem", []byte(ca.CertPEM)) + `"}`
	}
	pem := func(p *certs.Pair) string {
		return `,"keyStore":{"type":"PEM","key":` + quoted(p.KeyPEM) + `,"certificateChain":` + quoted(p.CertPEM) + `}`
	}
	stored := func(kind string) string {
		return fmt.Sprintf(`,"keystore":{"type":%q,"location":%q,"password":%q}`, kind, keyBy(t, kind, us), storePassword)
	}
	for _, tc := range []struct{ name, ssl, refused string }{
		{"PEM", trust(ca) + pem(us), ""},
		{"PKCS12", trust(ca) + stored("PKCS12"), ""},
		{"JKS", trust(ca) + stored("JKS"), ""},
		{"no certificate", trust(ca), "keyStore"},
		{"foreign certificate", trust(ca) + pem(stranger), "keyStore"},
		{"broker not trusted", trust(foreign) + pem(us), "trustStore"},
		{"missing file", `"trustStore":{"type":"PEM","location":"/does/not/exist.pem"}` + pem(us), "trustStore"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			with := func(limits connectors.Limits) *bed {
				return realBed(t, k, k.Topic(t, 1), `,"security":{"protocol":"SSL","ssl":{`+tc.ssl+`}}`, limits)
			}
			if tc.refused == "" {
				b := with(connectors.Limits{})
				exchangeOne(t, b)
				countOne(t, b)
				return
			}
			refusedBoth(t, with(brief), tc.refused)
		})
	}
	t.Run("host name", func(t *testing.T) {
		seed := strings.Replace(k.Addr(), "127.0.0.1", "localhost", 1)
		cfg := `{"bootstrapServers":"` + seed + `","topics":["` + k.Topic(t, 1) + `"],"security":{"protocol":"SSL","ssl":{` + trust(ca) + pem(us) + `%s}}}`
		refusedBoth(t, newBed(t, nil, fmt.Sprintf(cfg, ""), brief), "hostnameVerifier")
		exchangeOne(t, newBed(t, nil, fmt.Sprintf(cfg, `,"hostnameVerifier":false`), connectors.Limits{}))
	})
}
