package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// bed is a fake cluster with an endpoint on it that runs.
type bed struct {
	t       testing.TB
	cluster *kfake.Cluster
	e       *Endpoint
	stop    func() // ends the endpoint and waits
}

// cluster makes a fake cluster of one broker.
func cluster(t testing.TB, partitions int32, topics ...string) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newBed(t testing.TB, c *kfake.Cluster, cfg string, limits connectors.Limits) *bed {
	t.Helper()
	b := &bed{t: t, cluster: c}
	addrs := ""
	if c != nil {
		addrs = strings.Join(c.ListenAddrs(), ",")
	}
	b.e = endpoint(t, strings.ReplaceAll(cfg, "$B", addrs), limits)
	b.stop = run(t, b.e)
	return b
}

func endpoint(t testing.TB, cfg string, limits connectors.Limits) *Endpoint {
	t.Helper()
	e, err := New(json.RawMessage(cfg), nil, connectors.Env{API: &exchange.API{ID: "test"}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func run(t testing.TB, e *Endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// acks collects outcomes.
type acks struct {
	mu   sync.Mutex
	errs []error
	n    int
	more chan struct{}
}

func newAcks() *acks { return &acks{more: make(chan struct{}, 1)} }

func (a *acks) Acked(m *message.Message, err error) {
	m.Release()
	a.mu.Lock()
	a.n++
	if err != nil {
		a.errs = append(a.errs, err)
	}
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

func (a *acks) count() (int, []error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n, a.errs
}

// wait waits until n outcomes are there.
func (a *acks) wait(t testing.TB, n int) []error {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if have, errs := a.count(); have >= n {
			return errs
		}
		select {
		case <-a.more:
		case <-deadline:
			have, _ := a.count()
			t.Fatalf("%d of %d outcomes", have, n)
		}
	}
}

func auto() *exchange.Exchange { return &exchange.Exchange{QoS: qos.Auto} }
func none() *exchange.Exchange { return &exchange.Exchange{QoS: qos.None} }

// publish sends contents and returns their outcomes.
func (b *bed) publish(x *exchange.Exchange, contents ...string) *acks {
	a := newAcks()
	for _, c := range contents {
		m := message.Get()
		m.SetContent([]byte(c))
		m.SetAck(a)
		b.e.Publish(context.Background(), x, m)
	}
	return a
}

func (b *bed) mustPublish(contents ...string) {
	b.t.Helper()
	if errs := b.publish(auto(), contents...).wait(b.t, len(contents)); errs != nil {
		b.t.Fatal(errs)
	}
}

// client is a subscriber.
type client struct {
	t    testing.TB
	sub  connectors.Subscription
	wake chan struct{}
}

func (b *bed) subscribe(x *exchange.Exchange, cursor string) *client {
	b.t.Helper()
	c, err := b.trySubscribe(x, cursor)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.sub.Close(context.Background()) })
	return c
}

func (b *bed) trySubscribe(x *exchange.Exchange, cursor string) (*client, error) {
	c := &client{t: b.t, wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sub, err := b.e.Subscribe(ctx, x, connectors.SubscribeOptions{Cursor: cursor, Wake: func() {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}})
	c.sub = sub
	return c, err
}

// take returns the next n messages of any kind.
func (c *client) take(n int) []message.Message {
	c.t.Helper()
	var out []message.Message
	deadline := time.After(20 * time.Second)
	for len(out) < n {
		view, err := c.sub.Poll(n - len(out))
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, view...)
		if len(view) > 0 {
			continue
		}
		select {
		case <-c.wake:
		case <-deadline:
			c.t.Fatalf("%d of %d messages", len(out), n)
		}
	}
	return out
}

func contents(ms []message.Message) []string {
	var out []string
	for _, m := range ms {
		out = append(out, string(m.Content))
	}
	return out
}

func numbers(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

const oneTopic = `{"bootstrapServers":"$B","topics":["orders"]}`
const oneTopicEarliest = `{"bootstrapServers":"$B","topics":["orders"],"consumer":{"autoOffsetReset":"earliest"}}`

func TestEndpoint_PublishedMessageReachesLiveSubscriber(t *testing.T) {
	b := newBed(t, cluster(t, 3, "orders"), oneTopic, connectors.Limits{})
	c := b.subscribe(auto(), "")
	n := b.subscribe(none(), "")
	b.mustPublish("hello")
	for _, c := range []*client{c, n} {
		got := c.take(1)[0]
		if string(got.Content) != "hello" || got.Topic != "orders" || got.Kind != message.Data {
			t.Fatalf("got %+v", got)
		}
	}
}

func TestEndpoint_EarliestReadsBacklogThenLive(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopicEarliest, connectors.Limits{})
	b.mustPublish(numbers(0, 1000)...)
	c := b.subscribe(auto(), "")
	got := contents(c.take(1000))
	b.mustPublish(numbers(1000, 1100)...)
	got = append(got, contents(c.take(100))...)
	for i, v := range got {
		if v != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, v)
		}
	}
}
