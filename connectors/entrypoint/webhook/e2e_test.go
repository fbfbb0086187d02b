//go:build e2e

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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

// TestReal_ReplayBesideLive: a replay gets its range and nothing else, and what is saved for the live delivery, which goes on
// beside it, is what it was.
func TestReal_ReplayBesideLive(t *testing.T) {
	k := broker.Get(t)
	for _, level := range []qos.Level{qos.None, qos.Auto, qos.AtMostOnce, qos.AtLeastOnce} {
		t.Run(level.String(), func(t *testing.T) {
			const before, after = 60, 40
			topic := k.Topic(t, 3)
			e := realEndpoint(t, k, topic)
			live, back := newReceiver(t, nil), newReceiver(t, nil)
			deliver := func(r *receiver, replay bool) *bed {
				b := newBed(t, level, to(r.URL))
				b.env, b.patience = e.env, time.Minute
				b.env.QoS, b.env.WebhookAllow = level, loopback
				b.dispatch.ID, b.dispatch.Instance = topic, "worker-1"
				b.replay = replay
				b.backend.OnSubscribe = func(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
					x.ClientIdentifier = topic
					return e.Subscribe(ctx, x, o)
				}
				return b
			}
			first := deliver(live, false).start()
			group := watchGroup(t, k, topic)
			group.await(func(at map[int32]int64, members int) bool { return members == 1 && len(at) == 3 })
			publish(t, e, before, 6)
			live.await(t, before)
			saved := group.await(func(at map[int32]int64, _ int) bool { return sum(at) == before })

			b := deliver(back, true)
			b.dispatch.From, b.dispatch.Until = "earliest", "@"+time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			if err := b.start().wait(); err != nil {
				t.Fatal(err)
			}
			if n := len(back.got()); n != before {
				t.Errorf("the replay made %d calls, want %d", n, before)
			}
			if now := group.await(func(map[int32]int64, int) bool { return true }); !maps.Equal(now, saved) {
				t.Errorf("%v is saved after the replay, %v was before", now, saved)
			}
			publish(t, e, after, 6)
			live.await(t, after)
			group.await(func(at map[int32]int64, members int) bool { return members == 1 && sum(at) == before+after })
			if err := first.stop(); err != nil {
				t.Fatal(err)
			}
			if n, m := len(live.got()), len(back.got()); n != before+after || m != before {
				t.Errorf("%d live calls and %d of the replay", n, m)
			}
		})
	}
}

func sum(at map[int32]int64) (n int64) {
	for _, offset := range at {
		n += offset
	}
	return n
}

// group is a consumer group, as the broker tells of it.
type group struct {
	t     *testing.T
	admin *kadm.Client
	name  string
}

func watchGroup(t *testing.T, k *brokers.Kafka, name string) *group {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &group{t, kadm.NewClient(cl), name}
}

// await asks for what is saved and how many members there are until that is good.
func (g *group) await(good func(at map[int32]int64, members int) bool) map[int32]int64 {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	for {
		at := map[int32]int64{}
		found, err := g.admin.FetchOffsets(ctx, g.name)
		found.Each(func(o kadm.OffsetResponse) { at[o.Partition] = o.At })
		described, err2 := g.admin.DescribeGroups(ctx, g.name)
		if ctx.Err() != nil {
			g.t.Fatalf("group %s: %v is saved by %d members (%v, %v)", g.name, at, len(described[g.name].Members), err, err2)
		}
		if err == nil && err2 == nil && good(at, len(described[g.name].Members)) {
			return at
		}
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
