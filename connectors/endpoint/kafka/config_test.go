package kafka

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestCheck_Layouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, cfg, shared string
		read, write       string
		consume, produce  bool
	}{
		{"3.20 ingestion of the seed", `{"bootstrapServers":"kafka:9092","topics":["demo"],"consumer":{"enabled":false},"producer":{"enabled":true}}`,
			``, "demo", "demo", false, true},
		{"4.x of the seed", `{"bootstrapServers":"localhost:8082"}`,
			`{"security":{"protocol":"PLAINTEXT"},"consumer":{"encodeMessageId":true,"checkTopicExistence":false,
			"removeConfluentHeader":false,"topics":["test"],"enabled":true,"autoOffsetReset":"latest"}}`, "test", "", true, true},
		{"4.x both", `{"bootstrapServers":"a:1,b:2"}`, `{"consumer":{"enabled":true,"topics":["in"]},
			"producer":{"enabled":true,"topics":["out","out","more"],"compressionType":"zstd"}}`, "in", "out,more", true, true},
		{"topics at the root", `{"bootstrapServers":"a:1","topics":["t"]}`, `null`, "t", "t", true, true},
		{"shared topics win", `{"bootstrapServers":"a:1","topics":["t"]}`, `{"consumer":{"topics":["u"]}}`, "u", "t", true, true},
		{"empty security forms", `{"bootstrapServers":"a:1","topics":["t"]}`,
			`{"security":{"protocol":"PLAINTEXT","sasl":{"mechanism":{"type":"NONE"}},"ssl":{"trustStore":{"type":""},"keyStore":{"type":""}}}}`,
			"t", "t", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, ps := read(json.RawMessage(tc.cfg), json.RawMessage(tc.shared))
			if len(ps) > 0 {
				t.Fatal(ps)
			}
			if got := strings.Join(s.topics, ","); got != tc.read || s.consume != tc.consume {
				t.Errorf("reads %s, %t", got, s.consume)
			}
			if got := strings.Join(s.outTopics, ","); got != tc.write || s.produce != tc.produce {
				t.Errorf("writes %s, %t", got, s.produce)
			}
		})
	}
}

func TestCheck_Refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, cfg, shared, pointer string }{
		{"no bootstrap", `{}`, ``, "/bootstrapServers"},
		{"protocol without mechanism", `{"bootstrapServers":"a:1"}`, `{"security":{"protocol":"SASL_SSL"}}`, "/shared/security/sasl/mechanism"},
		{"unknown protocol", `{"bootstrapServers":"a:1"}`, `{"security":{"protocol":"TLS"}}`, "/shared/security/protocol"},
		{"sasl", `{"bootstrapServers":"a:1"}`, `{"security":{"sasl":{"saslMechanism":"PLAIN"}}}`, "/shared/security/sasl/saslJaasConfig"},
		{"trust store", `{"bootstrapServers":"a:1"}`, `{"security":{"ssl":{"trustStore":{"type":"PEM","path":"ca.pem"}}}}`, "/shared/security/ssl"},
		{"pattern", `{"bootstrapServers":"a:1"}`, `{"consumer":{"topicPattern":"(?!a).*"}}`, "/shared/consumer/topicPattern"},
		{"pattern, documented key", `{"bootstrapServers":"a:1"}`, `{"consumer":{"topics.pattern":"a(.*"}}`, "/shared/consumer/topics.pattern"},
		{"pattern beside topics", `{"bootstrapServers":"a:1"}`, `{"consumer":{"topicPattern":"a.*","topics":["b"]}}`, "/shared/consumer/topicPattern"},
		{"reset", `{"bootstrapServers":"a:1","consumer":{"autoOffsetReset":"newest"}}`, ``, "/consumer/autoOffsetReset"},
		{"compression", `{"bootstrapServers":"a:1"}`, `{"producer":{"compressionType":"brotli"}}`, "/shared/producer/compressionType"},
		{"topic name", `{"bootstrapServers":"a:1","topics":["ok","not ok"]}`, ``, "/topics/1"},
		{"type", `{"bootstrapServers":"a:1","topics":"t"}`, ``, "/topics"},
		{"nothing enabled", `{"bootstrapServers":"a:1","consumer":{"enabled":false},"producer":{"enabled":false}}`, ``, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ps := Type.Check(json.RawMessage(tc.cfg), json.RawMessage(tc.shared)).Errors()
			if len(ps) != 1 || ps[0].Pointer != tc.pointer {
				t.Fatalf("got %+v", ps)
			}
		})
	}
}

func TestCheck_UnknownFieldIsAWarning(t *testing.T) {
	t.Parallel()
	ps := Check(json.RawMessage(`{"bootstrapServers":"a:1","colour":1}`), json.RawMessage(`{"consumer":{"taste":1}}`))
	if ps.Err() != nil || len(ps.Warnings()) != 2 || ps[1].Pointer != "/shared/consumer/taste" {
		t.Fatal(ps)
	}
}

func TestNew_RefusesUnparsableBootstrap(t *testing.T) {
	t.Parallel()
	cfg := json.RawMessage(`{"bootstrapServers":"wrong","topics":["t"]}`)
	if ps := Check(cfg, nil); len(ps) > 0 {
		t.Fatalf("it decodes: %v", ps)
	}
	_, err := New(cfg, nil, connectors.Env{})
	var f *message.Failure
	if !errors.As(err, &f) || f.Key != message.KeyConfigurationInvalid {
		t.Fatal(err)
	}
}

func TestNew_MapsBrokers(t *testing.T) {
	t.Parallel()
	e, err := New(json.RawMessage(`{"bootstrapServers":" kafka:9092 , other:1,"}`), nil,
		connectors.Env{Brokers: map[string]string{"kafka:9092": "127.0.0.1:7"}})
	if err != nil || !slices.Equal(e.seeds, []string{"127.0.0.1:7", "other:1"}) {
		t.Fatalf("%v, %v", e, err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"bootstrapServers":"a:1","topics":["t"]}`), []byte(`{"consumer":{"topics":["in"]}}`))
	f.Add([]byte(`{"bootstrapServers":["a:1"],"topics":{}}`), []byte(`{"security":{"sasl":[]}}`))
	f.Fuzz(func(_ *testing.T, cfg, shared []byte) { Check(cfg, shared) })
}
