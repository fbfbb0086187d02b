//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// receiver takes webhooks: "<key> <number>" and "poison", which it refuses for good. Every tenth call fails first.
type receiver struct {
	*httptest.Server
	t        *testing.T
	verifier *standardwebhooks.Webhook

	mu       sync.Mutex // guards the following
	calls    int
	next     map[string]int // per key
	taken    int
	again    int
	unsigned int
	unknown  bool // answers 401
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newReceiver(t *testing.T) *receiver {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, verifier: verifier, next: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verifier.Verify(body, req.Header) != nil {
		r.unsigned++
	}
	r.calls++
	key, number, _ := strings.Cut(string(body), " ")
	n, err := strconv.Atoi(number)
	switch {
	case r.unknown:
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case r.calls%10 == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	case n == r.next[key]:
		r.next[key]++
		r.taken++
	case n < r.next[key]:
		r.again++ // at-least-once may
	default:
		r.t.Errorf("key %s: number %d before %d", key, n, r.next[key])
	}
}

func (r *receiver) count() (taken, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken, r.again
}

// TestWebhook_AtLeastOnceThroughRedeploys delivers from a real Kafka to a receiver that fails every tenth call, while the
// API is redeployed: nothing is lost, every key keeps its order, what is refused becomes a dead letter, every call bears a
// signature that the official library verifies, and an unauthorised delivery stops until it is resumed.
func TestWebhook_AtLeastOnceThroughRedeploys(t *testing.T) {
	kafka := sharedKafka(t)
	dev := startDev(t, "--no-samples", "--webhook-allow-cidr", "127.0.0.0/8")
	topic, dead := kafka.Topic(t, 3), kafka.Topic(t, 1)
	to := newReceiver(t)
	endpoint := func(name, topic string) object {
		return object{"name": name, "type": "kafka", "endpoints": []object{{
			"name": name, "type": "kafka", "configuration": object{"bootstrapServers": kafka.Addr()},
			"sharedConfigurationOverride": object{
				"consumer": object{"enabled": true, "topics": []string{topic}, "autoOffsetReset": "earliest"},
				"producer": object{"enabled": true, "topics": []string{topic}},
			},
		}}}
	}
	id := deploy(t, dev, encode(t, object{
		"name": t.Name(), "apiVersion": "1.0", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{{"type": "SUBSCRIPTION", "entrypoints": []object{
			{"type": "webhook", "qos": "AT_LEAST_ONCE", "dlq": object{"endpoint": "dead"}, "configuration": object{}}}}},
		"endpointGroups": []object{endpoint("orders", topic), endpoint("dead", dead)},
		"plans":          []object{{"id": t.Name(), "name": "push", "status": "PUBLISHED", "mode": "PUSH", "validation": "AUTO"}},
	}))
	api := "/v4/apis/" + id
	do := func(want int, method, path string, body any) {
		t.Helper()
		var text []byte
		if body != nil {
			text = encode(t, body)
		}
		if a, err := dev.Do(t.Context(), method, api+path, text); err != nil || a.Status != want {
			t.Fatalf("%s %s: %d %s %v", method, path, a.Status, a.Body, err)
		}
	}
	do(http.StatusCreated, "POST", "/subscriptions", object{"id": "s", "planId": t.Name(), "consumerConfiguration": object{
		"entrypointId": "webhook", "entrypointConfiguration": object{"callbackUrl": to.URL + "/hook",
			"retry":     object{"retryOption": "Retry On Fail", "retryStrategy": "LINEAR", "maxAttempts": 5, "initialDelaySeconds": 1, "maxDelaySeconds": 1},
			"signature": object{"secrets": []string{secret}}}}})

	producer, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	send := func(key, value string) {
		t.Helper()
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	const keys, each = 40, 25
	for n := range each {
		for key := range keys {
			send(fmt.Sprint(key), fmt.Sprintf("%d %d", key, n))
		}
		if n%8 == 4 {
			do(http.StatusOK, "POST", "/deploy?wait=20s", nil)
		}
	}
	send("poison", "poison")
	eventually(t, "everything is delivered", func() bool { taken, _ := to.count(); return taken == keys*each })
	eventually(t, "what was refused is a dead letter", func() bool {
		ends, err := kafka.EndOffsets(t.Context(), dead)
		return err == nil && ends[0] == 1
	})

	to.mu.Lock()
	to.unknown = true
	to.mu.Unlock()
	send("late", "late 0")
	status := func() string {
		return call(t, dev.Management, http.StatusOK, "GET", api+"/subscriptions/s", nil)["consumerStatus"].(string)
	}
	eventually(t, "the subscription has failed", func() bool { return status() == "FAILURE" })
	to.mu.Lock()
	to.unknown = false
	to.mu.Unlock()
	do(http.StatusOK, "POST", "/subscriptions/s/_changeConsumerStatus?status=STARTED", nil)
	eventually(t, "the message that was refused is delivered", func() bool { taken, _ := to.count(); return taken == keys*each+1 })

	_, again := to.count()
	t.Logf("%d calls for %d messages, %d delivered again", to.calls, keys*each+1, again)
	if to.unsigned > 0 {
		t.Errorf("%d calls were not signed as the standard says", to.unsigned)
	}
}
