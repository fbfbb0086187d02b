package mqtt5

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// within bounds every wait of the tests.
const within = 30 * time.Second

// broker is a mochi broker in this process.
type broker struct {
	*mochi.Server
	addr string
	end  func()
}

// startBroker serves on addr, or on a free port where that is empty.
func startBroker(t testing.TB, addr string, opts *mochi.Options) *broker {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var ln net.Listener
	var err error
	for deadline := time.Now().Add(within); ; { // the port of a broker that has just ended
		if ln, err = net.Listen("tcp", addr); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = &mochi.Options{}
	}
	if opts.Capabilities == nil {
		opts.Capabilities = mochi.NewDefaultServerCapabilities()
	}
	opts.Capabilities.MaximumMessageExpiryInterval = 0 // it would give every message one
	opts.InlineClient = true
	opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	b := &broker{Server: mochi.New(opts), addr: ln.Addr().String()}
	if err := errors.Join(b.AddHook(new(auth.AllowHook), nil), b.AddListener(listeners.NewNet("t", ln)), b.Serve()); err != nil {
		t.Fatal(err)
	}
	b.end = sync.OnceFunc(func() { b.Close() })
	t.Cleanup(b.end)
	return b
}

// received is what the broker got on a filter.
func (b *broker) received(t testing.TB, filter string) <-chan mochipackets.Packet {
	t.Helper()
	got := make(chan mochipackets.Packet, 1<<16)
	if err := b.Subscribe(filter, 1, func(_ *mochi.Client, _ mochipackets.Subscription, p mochipackets.Packet) { got <- p }); err != nil {
		t.Fatal(err)
	}
	return got
}

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
	e, err := New(json.RawMessage(cfg), nil, connectors.Env{API: &exchange.API{ID: "test"}, Limits: limits})
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
	c, err := trySubscribe(t, e, x, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trySubscribe(t testing.TB, e *Endpoint, x *exchange.Exchange, cursor string) (*client, error) {
	c := &client{t: t, woken: make(chan struct{}, 1)}
	s, err := e.Subscribe(t.Context(), x, connectors.SubscribeOptions{Cursor: cursor, Wake: func() {
		select {
		case c.woken <- struct{}{}:
		default:
		}
	}})
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
