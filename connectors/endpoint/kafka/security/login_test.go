package security

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/certs"
)

const awsBroker = "b-1.demo.abc.c1.kafka.eu-west-1.amazonaws.com:9098"

func TestAWS_Credentials(t *testing.T) {
	t.Parallel()
	file := certs.Write(t, "credentials", []byte("[default]\naws_access_key_id = d\naws_secret_access_key = e\n# [other]\n"+
		"[work]\naws_access_key_id=w\naws_secret_access_key=x\naws_session_token=y\n[broken]\n"))
	for _, tc := range []struct {
		name, profile string
		env           map[string]string
		want          string // access key, secret, session token
	}{
		{"environment", "", map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}, "a b c"},
		{"default profile", "", nil, "d e "},
		{"named in the environment", "", map[string]string{"AWS_PROFILE": "work"}, "w x y"},
		{"named, beside the environment", "work", map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "w x y"},
		{"no such profile", "nobody", nil, ""},
		{"empty profile", "broken", nil, ""},
		{"no file", "", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none")}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			auth, err := awsCredentials(tc.profile, func(name string) string {
				if v, ok := tc.env[name]; ok || name != "AWS_SHARED_CREDENTIALS_FILE" {
					return v
				}
				return file
			})
			var r *Refused
			if tc.want == "" {
				if !errors.As(err, &r) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if got := auth.AccessKey + " " + auth.SecretKey + " " + auth.SessionToken; err != nil || got != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestAWS_SignsForTheBroker(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	plan, ps := read(t, `{"protocol":"SASL_SSL","sasl":{"mechanism":{"type":"AWS_MSK_IAM"}}}`)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	_, first, err := mechanism{plan.mechanism}.Authenticate(t.Context(), awsBroker)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(first); !strings.Contains(text, "AKID") || !strings.Contains(text, "eu-west-1") || strings.Contains(text, "hunter2") {
		t.Errorf("sends %s", text)
	}
	_, _, err = mechanism{plan.mechanism}.Authenticate(t.Context(), "127.0.0.1:9092")
	if _, ok := Advice(err); !ok {
		t.Errorf("a broker without a region: %v", err)
	}
}

func TestKerberos_ToldWhatIsMissing(t *testing.T) {
	conf := certs.Write(t, "krb5.conf", []byte("[libdefaults]\n default_realm = EXAMPLE.COM\n"))
	for _, tc := range []struct{ name, conf string }{
		{"no configuration", filepath.Join(t.TempDir(), "none")},
		{"no key tab", conf},
	} {
		t.Setenv("KRB5_CONFIG", tc.conf)
		plan, ps := read(t, `{"protocol":"SASL_PLAINTEXT","sasl":{"saslMechanism":"GSSAPI","saslJaasConfig":
			"com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab='/does/not/exist' principal=me serviceName=kafka;"}}`)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		_, _, err := mechanism{plan.mechanism}.Authenticate(t.Context(), "broker:9092")
		if _, ok := Advice(err); !ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
