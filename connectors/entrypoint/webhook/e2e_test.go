//go:build e2e

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/fake"
	"github.com/sluice-gateway/sluice/test/leak"
)

var broker brokers.SharedKafka

func TestMain(m *testing.M) { brokers.Main(m, broker.Close, leak.Check) }

// TestReal_KafkaToWebhook: records of a real Kafka, four partitions, at a receiver that fails one call in ten. All of them arrive,
// each key in order and once, and the message that the receiver does not want becomes a record of another topic.
func TestReal_KafkaToWebhook(t *testing.T) {
	k := broker.Get(t)
	const total, keys, refuses = 2000, 40, 17 // the receiver does not want one message
	topic, dead := k.Topic(t, 4), k.Topic(t, 1)
	in, out := realEndpoint(t, k, topic), realEndpoint(t, k, dead)

	var mu sync.Mutex
	calls, got, ids := 0, map[string][]int{}, map[string]bool{}
	done := make(chan struct{})
	seen := 0
	r := newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
		mu.Lock()
		defer mu.Unlock()
		key, number, _ := strings.Cut(c.body, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Errorf("got %q", c.body)
		}
		calls++
		switch {
		case n == refuses:
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		case calls%10 == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		got[key] = append(got[key], n)
		id := c.header.Get("webhook-id")
		if ids[id] || !strings.HasPrefix(id, topic+"@") {
			t.Errorf("id %q comes twice, or is none", id)
		}
		ids[id] = true
		if seen++; seen == total-1 {
			close(done)
		}
	})
	b := newBed(t, qos.Auto, to(r.URL, retryOften))
	b.env = in.env
	b.env.WebhookAllow, b.env.DeadLetters = loopback, true
	b.backend.OnSubscribe = in.Subscribe
	letters := make(chan error, 1)
	b.backend.OnDeadLetter = func(ctx context.Context, x *exchange.Exchange, m *message.Message) {
		inner := m.Ack()
		m.SetAck(ackFunc(func(m *message.Message, err error) {
			inner.Acked(m, err)
			letters <- err
		}))
		out.Publish(ctx, x, m)
	}
	b.dispatch.From = "earliest"
	publish(t, in, total, keys)
	b.start()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		mu.Lock()
		t.Fatalf("%d of %d came within two minutes", seen, total)
	}
	if err := <-letters; err != nil {
		t.Fatalf("dead letter: %v", err)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	last := map[string]int{}
	for key, numbers := range got {
		for _, n := range numbers {
			if n < last[key] {
				t.Errorf("key %s: %d after %d", key, n, last[key])
			}
			last[key] = n
		}
	}
	if len(got) != keys {
		t.Errorf("%d keys, want %d", len(got), keys)
	}
	if letter := first(t, out); !strings.Contains(letter, "k17 17|sluice-dlq-reason=the receiver answers 422") || !strings.Contains(letter, "sluice-dlq-topic="+topic) {
		t.Errorf("dead letter %q", letter)
	}
}

type ackFunc func(m *message.Message, err error)

func (f ackFunc) Acked(m *message.Message, err error) { f(m, err) }

// realKafka is an endpoint on one topic.
type realKafka struct {
	*kafka.Endpoint
	env connectors.Env
}

func realEndpoint(t *testing.T, k *brokers.Kafka, topic string) *realKafka {
	t.Helper()
	env := fake.Env()
	env.Meter = noop.Meter{}
	env.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := kafka.Type.New(json.RawMessage(fmt.Sprintf(`{"bootstrapServers":%q,"topics":[%q]}`, k.Addr(), topic)), nil, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return &realKafka{e.(*kafka.Endpoint), env}
}

// publish writes "k<key> <number>" under that key, and waits until the broker has all.
func publish(t *testing.T, e *realKafka, total, keys int) {
	t.Helper()
	acks := make(chan error, total)
	x := &exchange.Exchange{API: &exchange.API{ID: "api"}}
	for i := range total {
		m := message.Get()
		m.Key = m.Copy(strconv.AppendInt([]byte("k"), int64(i%keys), 10))
		m.SetContent(fmt.Appendf(nil, "%s %d", m.Key, i))
		m.SetAck(ackFunc(func(m *message.Message, err error) { m.Release(); acks <- err }))
		x.SetAttribute("kafka.recordKey", string(m.Key))
		e.Publish(t.Context(), x, m)
	}
	for range total {
		if err := <-acks; err != nil {
			t.Fatal(err)
		}
	}
}

// first is the first message of an endpoint's topic, with its headers.
func first(t *testing.T, e *realKafka) string {
	t.Helper()
	wake := make(chan struct{}, 1)
	s, err := e.Subscribe(t.Context(), &exchange.Exchange{API: &exchange.API{ID: "api"}, QoS: qos.Auto}, connectors.SubscribeOptions{Cursor: "earliest", Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	limit := time.After(time.Minute)
	for {
		msgs, err := s.Poll(1)
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) > 0 && msgs[0].Kind == message.Data {
			parts := []string{string(msgs[0].Content)}
			for _, h := range msgs[0].Headers {
				parts = append(parts, h.Name+"="+string(h.Value))
			}
			return strings.Join(parts, "|")
		}
		select {
		case <-wake:
		case <-limit:
			t.Fatal("no dead letter within a minute")
		}
	}
}
