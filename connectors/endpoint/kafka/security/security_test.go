package security

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

func read(t *testing.T, text string) (*Plan, apidef.Problems) {
	t.Helper()
	var cfg Config
	ps := connectors.Decode(json.RawMessage(text), &cfg)
	plan, more := Read(&cfg, "/s")
	return plan, append(ps, more...)
}

func TestRead_Takes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, mechanism string }{
		{"nothing", `{}`, ""},
		{"empty forms", `{"protocol":"PLAINTEXT","sasl":{"mechanism":{"type":"NONE"},"saslMechanism":""},"ssl":{"trustStore":{"type":""},"keystore":{"type":"NONE"}}}`, ""},
		{"system authorities", `{"protocol":"ssl"}`, ""},
		{"plain", `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"PLAIN","username":"a","password":"b"}}}`, "PLAIN"},
		{"scram", `{"protocol":"SASL_PLAINTEXT","sasl":{"mechanism":{"type":"SCRAM-SHA-512","username":"a","password":"b"}}}`, "SCRAM-SHA-512"},
		{"scram in jaas", `{"protocol":"SASL_SSL","sasl":{"saslMechanism":"SCRAM-SHA-256","saslJaasConfig":"x.ScramLoginModule required username=a password=b tokenauth=true;"}}`, "SCRAM-SHA-256"},
		{"jaas in the object", `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"AWS_MSK_IAM","saslJaasConfig":"x.IAMLoginModule required;"}}}`, "AWS_MSK_IAM"},
		{"type as text", `{"protocol":"SASL_SSL","sasl":{"mechanism":"PLAIN","saslJaasConfig":"PlainLoginModule required username=a password=b"}}`, "PLAIN"},
		{"token url", `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"OAUTHBEARER","tokenUrl":"https://h/t","clientId":"a","clientSecret":"b","scopes":["x","y"],
			"saslExtensions":[{"extensionKey":"logicalCluster","extensionValue":"lkc-1"}]}}}`, "OAUTHBEARER"},
		{"token", `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"OAUTHBEARER_TOKEN","token":"a.b.c"}}}`, "OAUTHBEARER"},
		{"token in jaas", `{"protocol":"SASL_SSL","sasl":{"saslMechanism":"OAUTHBEARER","saslJaasConfig":"OAuthBearerLoginModule required access_token='a.b.c=' extension_pool='p';"}}`, "OAUTHBEARER"},
		{"kerberos", `{"protocol":"SASL_SSL","sasl":{"saslMechanism":"GSSAPI","saslJaasConfig":"com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab='/k' principal='a@B';"}}`, "GSSAPI"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			plan, ps := read(t, tc.text)
			if len(ps) > 0 {
				t.Fatal(ps)
			}
			if got := plan.mechanism; got == nil && tc.mechanism != "" || got != nil && got.Name() != tc.mechanism {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestRead_Refuses(t *testing.T) {
	t.Parallel()
	sasl := func(inner string) string { return `{"protocol":"SASL_SSL","sasl":{` + inner + `}}` }
	ssl := func(inner string) string { return `{"protocol":"SSL","ssl":{` + inner + `}}` }
	for _, tc := range []struct {
		name, text string
		pointers   string // in order, with spaces between
	}{
		{"protocol", `{"protocol":"TLS"}`, "/s/protocol"},
		{"no mechanism", `{"protocol":"SASL_SSL"}`, "/s/sasl/mechanism"},
		{"sasl without its protocol", `{"protocol":"SSL","sasl":{"mechanism":{"type":"PLAIN","username":"a","password":"hunter2"}}}`, "/s/sasl"},
		{"ssl without its protocol", `{"ssl":{"trustStore":{"type":"PEM","path":"a"}}}`, "/s/ssl"},
		{"both forms", sasl(`"mechanism":{"type":"PLAIN"},"saslMechanism":"PLAIN"`), "/s/sasl/saslMechanism"},
		{"no jaas", sasl(`"saslMechanism":"PLAIN"`), "/s/sasl/saslJaasConfig"},
		{"jaas alone", sasl(`"saslJaasConfig":"PlainLoginModule required password='hunter2';"`), "/s/sasl/saslMechanism"},
		{"wrong module", sasl(`"saslMechanism":"PLAIN","saslJaasConfig":"ScramLoginModule required username=a password=hunter2;"`), "/s/sasl/saslJaasConfig"},
		{"unknown option", sasl(`"saslMechanism":"PLAIN","saslJaasConfig":"PlainLoginModule required username=a password=b hunter2=c;"`), "/s/sasl/saslJaasConfig"},
		{"missing in jaas", sasl(`"saslMechanism":"PLAIN","saslJaasConfig":"PlainLoginModule required username=hunter2;"`), "/s/sasl/saslJaasConfig"},
		{"missing both", sasl(`"mechanism":{"type":"PLAIN"}`), "/s/sasl/mechanism/username /s/sasl/mechanism/password"},
		{"unknown type", sasl(`"mechanism":{"type":"DIGEST"}`), "/s/sasl/mechanism"},
		{"delegate", sasl(`"mechanism":{"type":"DELEGATE_TO_BROKER"}`), "/s/sasl/mechanism"},
		{"foreign setting", sasl(`"mechanism":{"type":"PLAIN","username":"a","password":"b","token":"hunter2"}`), "/s/sasl/mechanism/token"},
		{"expression", sasl(`"mechanism":{"type":"OAUTHBEARER_TOKEN","token":"{#context.principal.token}"}`), "/s/sasl/mechanism/token /s/sasl/mechanism/token"},
		{"oauth", sasl(`"mechanism":{"type":"OAUTHBEARER","clientId":"a","tokenUrl":"ftp://u:hunter2@h","scopes":{},"saslExtensions":[{"extensionKey":"auth","extensionValue":"x"}]}`),
			"/s/sasl/mechanism/saslExtensions/0 /s/sasl/mechanism/clientSecret /s/sasl/mechanism/tokenUrl /s/sasl/mechanism/scopes"},
		{"client secret in jaas", sasl(`"saslMechanism":"OAUTHBEARER","saslJaasConfig":"OAuthBearerLoginModule required clientId=a clientSecret=hunter2;"`), "/s/sasl/saslJaasConfig"},
		{"aws role", sasl(`"saslMechanism":"AWS_MSK_IAM","saslJaasConfig":"IAMLoginModule required awsRoleArn='hunter2';"`), "/s/sasl/saslJaasConfig"},
		{"aws in the clear", `{"protocol":"SASL_PLAINTEXT","sasl":{"mechanism":{"type":"AWS_MSK_IAM"}}}`, "/s/sasl/mechanism"},
		{"ticket cache", sasl(`"saslMechanism":"GSSAPI","saslJaasConfig":"Krb5LoginModule required useTicketCache=true principal=a;"`), "/s/sasl/saslJaasConfig"},
		{"store type", ssl(`"trustStore":{"type":"BKS"}`), "/s/ssl/trustStore/type"},
		{"no place", ssl(`"trustStore":{"type":"PKCS12","password":"hunter2"}`), "/s/ssl/trustStore/location"},
		{"two places", ssl(`"truststore":{"type":"PKCS12","path":"a","location":"b"}`), "/s/ssl/truststore/path"},
		{"no password", ssl(`"keystore":{"path":"a"}`), "/s/ssl/keystore/password"},
		{"not base64", ssl(`"trustStore":{"type":"PKCS12","content":"?"}`), "/s/ssl/trustStore/content"},
		{"not a store", ssl(`"trustStore":{"type":"PKCS12","content":"aGVsbG8="}`), "/s/ssl/trustStore"},
		{"JKS that lies about lengths", ssl(`"trustStore":{"type":"JKS","password":"hunter2","content":"/u3+7QAAAAIAAAABAAAAAQABYQAAAAAAAAAA/////w=="}`), "/s/ssl/trustStore"},
		{"pem with password", ssl(`"keyStore":{"type":"PEM","path":"a","keyPassword":"hunter2"}`), "/s/ssl/keyStore/keyPassword"},
		{"pem, no certificate", ssl(`"keyStore":{"keyPath":"k"}`), "/s/ssl/keyStore/certificateChain"},
		{"parts of PKCS12", ssl(`"keyStore":{"type":"PKCS12","keyPath":"k"}`), "/s/ssl/keyStore/keyPath"},
		{"both spellings", ssl(`"keyStore":{"type":"NONE"},"keystore":{"type":"NONE"}`), "/s/ssl/keystore"},
		{"trust all", ssl(`"trustAll":true`), "/s/ssl/trustAll"},
		{"everything at once", `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"PLAIN","username":"a"}},"ssl":{"trustStore":{"type":"X"},"keyStore":{"type":"Y"}}}`,
			"/s/sasl/mechanism/password /s/ssl/trustStore/type /s/ssl/keyStore/type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, ps := read(t, tc.text)
			var got []string
			for _, p := range ps.Errors() {
				got = append(got, p.Pointer)
				if strings.Contains(p.Message, "hunter2") {
					t.Errorf("tells a secret: %s", p.Message)
				}
			}
			if want := strings.Fields(tc.pointers); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v: %v", got, want, ps)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"PLAIN"}},"ssl":{"trustStore":{"type":"PEM","content":"aaaa"}}}`))
	f.Add([]byte(`{"ssl":{"keystore":{"type":"JKS","password":"a","content":"/u3+7QAAAAI="}}}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var cfg Config
		connectors.Decode(text, &cfg)
		Read(&cfg, "")
	})
}
