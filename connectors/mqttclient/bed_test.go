package mqttclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// within bounds every wait of the tests.
const within = 30 * time.Second

func next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(within):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// config is the 3.20 layout for an address; more is appended to it.
func config(addr, topic, more string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf(`{"serverHost":%q,"serverPort":%s,"topic":%q%s}`, host, port, topic, more)
}

// run makes an endpoint that runs until the test ends.
func run(t testing.TB, cfg string, limits connectors.Limits) *Endpoint {
	t.Helper()
	return runVersion(t, V5, cfg, limits)
}

func runVersion(t testing.TB, v Version, cfg string, limits connectors.Limits) *Endpoint {
	t.Helper()
	e, err := New(json.RawMessage(cfg), nil, connectors.Env{API: &exchange.API{ID: "test"}, Limits: limits}, v)
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, e)
	t.Cleanup(stop)
	return e
}

func start(t testing.TB, e *Endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return sync.OnceFunc(func() { cancel(); <-done })
}

// named is an exchange of a client that can come back.
func named(q qos.Level, client string) *exchange.Exchange {
	return &exchange.Exchange{QoS: q, ClientIdentifier: client, ClientSupplied: true}
}

func level(q qos.Level) *exchange.Exchange { return &exchange.Exchange{QoS: q} }

// ack learns one outcome.
type ack chan error

func (a ack) Acked(m *message.Message, err error) {
	m.Release()
	a <- err
}

// publish sends and waits for the outcome.
func publish(t testing.TB, e *Endpoint, x *exchange.Exchange, content string, change func(*message.Message)) error {
	t.Helper()
	return next(t, send(t.Context(), e, x, content, change))
}

func send(ctx context.Context, e *Endpoint, x *exchange.Exchange, content string, change func(*message.Message)) ack {
	a := make(ack, 1)
	m := message.Get()
	m.SetContent([]byte(content))
	m.SetAck(a)
	if change != nil {
		change(m)
	}
	e.Publish(ctx, x, m)
	return a
}

// failed checks a failure's status and key.
func failed(t testing.TB, err error, status int, key string) *message.Failure {
	t.Helper()
	var f *message.Failure
	if !errors.As(err, &f) || f.Status != status || f.Key != key {
		t.Fatalf("got %v (%+v), want %d %s", err, f, status, key)
	}
	return f
}

// client is a subscriber.
type client struct {
	t     testing.TB
	s     connectors.Subscription
	woken chan struct{}
	ready []message.Message
}

func subscribe(t testing.TB, e *Endpoint, x *exchange.Exchange) *client {
	t.Helper()
	return subscribeAs(t, e, x, connectors.SubscribeOptions{})
}

func subscribeAs(t testing.TB, e *Endpoint, x *exchange.Exchange, o connectors.SubscribeOptions) *client {
	t.Helper()
	c, err := trySubscribe(t, e, x, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trySubscribe(t testing.TB, e *Endpoint, x *exchange.Exchange, o connectors.SubscribeOptions) (*client, error) {
	c := &client{t: t, woken: make(chan struct{}, 1)}
	o.Wake = func() {
		select {
		case c.woken <- struct{}{}:
		default:
		}
	}
	s, err := e.Subscribe(t.Context(), x, o)
	if err != nil {
		return nil, err
	}
	c.s = s
	t.Cleanup(func() { s.Close(context.Background()) })
	return c, nil
}

// any returns the next message of any kind.
func (c *client) any() (message.Message, error) {
	deadline := time.After(within)
	for len(c.ready) == 0 {
		view, err := c.s.Poll(1000)
		if err != nil {
			return message.Message{}, err
		}
		if c.ready = view; len(view) > 0 {
			break
		}
		select {
		case <-c.woken:
		case <-deadline:
			return message.Message{}, errors.New("nothing came")
		}
	}
	m := c.ready[0]
	c.ready = c.ready[1:]
	return m, nil
}

// message returns the next message of a kind, and skips others.
func (c *client) message(kind message.Kind) message.Message {
	c.t.Helper()
	for {
		m, err := c.any()
		if err != nil {
			c.t.Fatal(err)
		}
		if m.Kind == kind {
			return m
		}
	}
}

// want checks the content of the next message, which must be data.
func (c *client) want(content string) message.Message {
	c.t.Helper()
	m, err := c.any()
	if err != nil || m.Kind != message.Data || string(m.Content) != content {
		c.t.Fatalf("got kind %d %q, %v; want %q", m.Kind, m.Content, err, content)
	}
	return m
}

func metadata(m message.Message) string {
	var b strings.Builder
	for _, f := range m.Metadata(nil) {
		switch {
		case f.Name == "sourceTimestamp":
		case f.IsInt:
			fmt.Fprintf(&b, "%s=%d ", f.Name, f.Int)
		default:
			fmt.Fprintf(&b, "%s=%s ", f.Name, f.Text)
		}
	}
	return strings.TrimSpace(b.String())
}
