package mqttclient

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

func TestCheck_AllProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cfg, shared string
		want              []string // pointers of errors
	}{
		{"3.20", `{"serverHost":"h","serverPort":1883,"topic":"t","reconnectAttempts":2,"consumer":{"enabled":true},"producer":{"retained":true,"responseTopic":"r"}}`, ``, nil},
		{"4.x", `{"serverHost":"h","serverPort":"1883"}`, `{"reconnectAttempt":3,"sessionExpiryInterval":3600,"consumer":{"enabled":true,"topic":"a/+"},"producer":{"enabled":true,"topic":"b","messageExpiryInterval":-1},"security":{"auth":{"username":"u","password":"p"}}}`, nil},
		{"nothing", `{}`, ``, []string{"/serverHost", "/serverPort"}},
		{"shared subscription", `{"serverHost":"h","serverPort":1}`, `{"consumer":{"topic":"$share/g/a/#"}}`, nil},
		{"everything", `{"serverHost":"h","serverPort":70000,"reconnectAttempts":11}`,
			`{"consumer":{"topic":"a#"},"producer":{"topic":"a/+","responseTopic":"#","messageExpiryInterval":4294967296},"security":{"ssl":{"trustStore":{"type":"JKS"},"keyStore":{"type":"X509"}}}}`,
			[]string{"/reconnectAttempts", "/serverPort", "/shared/consumer/topic", "/shared/producer/messageExpiryInterval", "/shared/producer/responseTopic",
				"/shared/producer/topic", "/shared/security/ssl/keyStore/type", "/shared/security/ssl/trustStore/location", "/shared/security/ssl/trustStore/password"}},
		{"wildcard in what is published to", `{"serverHost":"h","serverPort":1,"topic":"a/#","producer":{"enabled":true}}`, ``, []string{"/topic"}},
		{"wildcard in what is read", `{"serverHost":"h","serverPort":1,"topic":"a/#"}`, ``, nil},
		{"bad share", `{"serverHost":"h","serverPort":1,"topic":"$share/g"}`, ``, []string{"/topic"}},
		{"nothing enabled", `{"serverHost":"h","serverPort":1}`, `{"consumer":{"enabled":false},"producer":{"enabled":false}}`, []string{""}},
		{"PEM without content", `{"serverHost":"h","serverPort":1}`, `{"security":{"ssl":{"trustStore":{"type":"PEM"}}}}`, []string{"/shared/security/ssl/trustStore/location"}},
	} {
		var got []string
		for _, p := range Check(json.RawMessage(c.cfg), json.RawMessage(c.shared), V5) {
			if p.Severity == apidef.Error {
				got = append(got, p.Pointer)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestCheck_UnknownFieldIsAWarning(t *testing.T) {
	t.Parallel()
	ps := Check([]byte(`{"serverHost":"h","serverPort":1,"x":1}`), nil, V5)
	if len(ps) != 1 || ps[0].Severity == apidef.Error || ps[0].Pointer != "/x" {
		t.Errorf("%v", ps)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "é": "é", "\xe9": "é", "a\tb": "a b", "\x00\x7f": "\uFFFD\uFFFD", "\uFFFE": "\uFFFD", "": "",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if long := strings.Repeat("a", 10); clean(long) != long {
		t.Error("changed")
	}
}
