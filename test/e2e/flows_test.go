//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
)

// seedFilter is the filter of the user guide.
const seedFilter = "{#message.headers.foo == #subscription.metadata['bar']}"

// produceWithHeader produces n records whose header foo is "yes" for every third and "no" for the others, and whose value is
// their number.
func produceWithHeader(t *testing.T, kafka *brokers.Kafka, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		foo := "no"
		if i%3 == 0 {
			foo = "yes"
		}
		records[i] = &kgo.Record{Key: []byte("one lane"), Value: fmt.Append(nil, i), Headers: []kgo.RecordHeader{{Key: "foo", Value: []byte(foo)}}}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestReal_FilterOverSSE filters a real topic for streams, by a filter that all share and by one of each client, and posts
// through a filter and a validation. A stream that comes back with its last id misses nothing.
func TestReal_FilterOverSSE(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 1)
	def := decode(t, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("sse", "AUTO", object{"headersAsComment": true}), entrypoint("http-post", "AUTO", nil)))
	def["flows"] = []object{{
		"name": "in", "selectors": []object{{"type": "CHANNEL", "operations": []string{"PUBLISH"}}},
		"publish": []object{
			{"policy": "message-filtering", "configuration": object{"filter": "{#message.content != 'secret'}"}},
			{"policy": "json-validation", "configuration": object{"schema": `{"type":"integer"}`}}},
	}, {
		"name": "out", "selectors": []object{{"type": "CHANNEL", "operations": []string{"SUBSCRIBE"}}},
		"response": []object{{"policy": "transform-headers", "configuration": object{"addHeaders": []object{{"name": "X-Topic", "value": "{#context.attributes['context-path']}"}}}}},
		"subscribe": []object{
			{"policy": "message-filtering", "configuration": object{"filter": "{#message.headers.foo == 'yes'}"}},
			{"policy": "message-filtering", "condition": "{#request.params['even'] != null}", "configuration": object{"filter": "{T(java.lang.Integer).parseInt(#message.content) % 2 == 0}"}},
		},
	}}
	deploy(t, dev, encode(t, def))
	const n = 3_000
	produceWithHeader(t, kafka, topic, n)
	for query, step := range map[string]int{"?from=earliest": 3, "?from=earliest&even=1": 6} {
		s := openSSE(t.Context(), t, dev.Gateway+"/"+topic+query)
		for i := 0; i < n; i += step {
			e, err := s.nextMessage()
			if err != nil || e.data != fmt.Sprint(i) {
				t.Fatalf("%s: %q, want %d; %v", query, e.data, i, err)
			}
			if i == n/2 {
				s.body.Close()
				s = openSSE(t.Context(), t, dev.Gateway+"/"+topic+query, "Last-Event-ID", e.id)
			}
		}
		s.body.Close()
	}
	for body, want := range map[string]int{"secret": http.StatusAccepted, "7": http.StatusAccepted, "no number": http.StatusBadRequest} {
		if status, answer, err := post(t.Context(), dev.Gateway+"/"+topic, body); err != nil || status != want {
			t.Errorf("POST %s: %d %s %v, want %d", body, status, answer, err, want)
		}
	}
	stored := readAll(t, kafka, topic, n+1)
	if len(stored) != n+1 || string(stored[n].Value) != "7" {
		t.Errorf("%d records, the last one %q", len(stored), stored[len(stored)-1].Value)
	}
}

// TestReal_FilterOfASubscription is the example of the user guide: each webhook gets what its subscription's metadata asks for,
// and what is dropped is acknowledged, so that a checkpoint passes it.
func TestReal_FilterOfASubscription(t *testing.T) {
	kafka := sharedKafka(t)
	dev := startDev(t, "--no-samples", "--webhook-allow-cidr", "127.0.0.0/8")
	topic := kafka.Topic(t, 1)
	def := decode(t, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic))
	def["listeners"] = []object{{"type": "SUBSCRIPTION", "entrypoints": []object{entrypoint("webhook", "AT_LEAST_ONCE", nil)}}}
	def["plans"] = []object{{"id": t.Name(), "name": "push", "status": "PUBLISHED", "mode": "PUSH", "validation": "AUTO"}}
	def["flows"] = []object{{"subscribe": []object{{"name": "Message filtering", "enabled": true, "policy": "message-filtering",
		"configuration": object{"filter": seedFilter}}}}}
	group := def["endpointGroups"].([]any)[0].(object)["sharedConfiguration"].(object)["consumer"].(object)
	group["autoOffsetReset"] = "earliest"
	id := deploy(t, dev, encode(t, def))
	const n = 300
	produceWithHeader(t, kafka, topic, n)
	for bar, keep := range map[string]func(i int) bool{"yes": func(i int) bool { return i%3 == 0 }, "no": func(i int) bool { return i%3 != 0 }} {
		got := make(chan string, n)
		to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			got <- string(body)
		}))
		t.Cleanup(to.Close)
		a, err := dev.Do(t.Context(), "POST", "/v4/apis/"+id+"/subscriptions", encode(t, object{"id": "s-" + bar, "planId": t.Name(),
			"metadata": object{"bar": bar}, "consumerConfiguration": object{
				"entrypointId": "webhook", "entrypointConfiguration": object{"callbackUrl": to.URL}}}))
		if err != nil || a.Status != http.StatusCreated {
			t.Fatalf("subscribe: %d %s %v", a.Status, a.Body, err)
		}
		for i := range n {
			if !keep(i) {
				continue
			}
			select {
			case body := <-got:
				if body != fmt.Sprint(i) {
					t.Fatalf("subscription %s got %q, want %d", bar, body, i)
				}
			case <-time.After(60 * time.Second):
				t.Fatalf("subscription %s: %d did not come", bar, i)
			}
		}
	}
}

// decode reads a definition back, to change it.
func decode(t *testing.T, text []byte) object {
	t.Helper()
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
