package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	lib "github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// The answer to a close tells the truth about what was published before it.
func TestEntrypoint_CloseWaitsForAcknowledgements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		err        error
	}{
		{"stored", "88 1000 ", nil},
		{"refused", "88 1011 Server error", &message.Failure{Status: 500, Message: "no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pending := make(chan *message.Message, 1)
			c := dialRaw(t, fake.Serve(t, build(t, ""), &fake.Backend{
				OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { pending <- m },
			}))
			c.send(frame(0x81, "x"), frame(0x88, "\x03\xe8"), frame(0x89, "after the close"))
			m := <-pending
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if got := c.next(); !strings.Contains(got, "timeout") {
				t.Errorf("answered before the acknowledgement: %q", got)
			}
			_ = c.SetReadDeadline(time.Now().Add(fake.Patience))
			m.Done(tt.err)
			if got := c.next(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A stopping API closes only after the broker has what was published, and what comes later is not published.
func TestEntrypoint_StopWaitsForAcknowledgements(t *testing.T) {
	t.Parallel()
	pending := make(chan *message.Message, 2)
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { pending <- m }})
	c := dialRaw(t, s)
	c.send(frame(0x81, "before"))
	m := <-pending
	s.Stop(nil)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if got := c.next(); !strings.Contains(got, "timeout") {
		t.Errorf("closed before the acknowledgement: %q", got)
	}
	_ = c.SetReadDeadline(time.Now().Add(fake.Patience))
	c.send(frame(0x81, "after"))
	m.Done(nil)
	if got := c.next(); got != "88 1013 Try Again Later" {
		t.Errorf("%q", got)
	}
	if len(pending) > 0 {
		t.Error("published after the stop")
	}
}

func TestEntrypoint_UnacknowledgedAtTheEnd(t *testing.T) {
	t.Parallel()
	pending := make(chan *message.Message, 1)
	e := build(t, "")
	websocket.Impatient(e, 50*time.Millisecond)
	s := fake.Serve(t, e, &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { pending <- m }})
	c := dialRaw(t, s)
	c.send(frame(0x81, "x"))
	m := <-pending
	s.Stop(nil)
	if got := c.next(); got != "88 1011 Server error" {
		t.Errorf("%q", got)
	}
	m.Done(nil) // too late, and harmless
}

// What one client has in flight is bounded: no more is read until the broker answers.
func TestEntrypoint_BackPressure(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var held []*message.Message
	arrived := make(chan struct{}, 1000)
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		mu.Lock()
		held = append(held, m)
		mu.Unlock()
		arrived <- struct{}{}
	}})
	c := dialRaw(t, s)
	const total = 400
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		f := frame(0x82, strings.Repeat("\xff", 60<<10))
		for range total {
			c.send(f)
		}
		c.send(frame(0x88, "\x03\xe8"))
	}()
	for n := 0; n < total; {
		<-arrived
		n++
		mu.Lock()
		size := 0
		for _, m := range held {
			size += len(m.Content)
		}
		if size > 1<<20 {
			t.Fatalf("%d bytes in flight", size)
		}
		if size > 1<<20-128<<10 || n == total {
			for i, m := range held {
				_ = i
				m.Done(nil)
			}
			held = held[:0]
		}
		mu.Unlock()
	}
	if got := c.next(); got != "88 1000 " {
		t.Errorf("%q", got)
	}
	fake.Within(t, "send", sent)
}

func TestEntrypoint_PublishFails(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		m.Done(errors.New("secret"))
	}})
	c := dial(t, s, "")
	_ = c.WriteMessage(lib.TextMessage, []byte("x"))
	if got := closeOf(t, c); got != "1011 Server error" {
		t.Error(got)
	}
}

func TestEntrypoint_SilentClientIsCut(t *testing.T) {
	t.Parallel()
	e := build(t, "")
	websocket.Impatient(e, 20*time.Millisecond)
	sub := fake.NewSubscription()
	c := dialRaw(t, fake.Serve(t, e, sub.Backend()))
	if got := c.next(); got != "89 " {
		t.Errorf("%q", got)
	}
	fake.Within(t, "close", sub.Closed)
}

func TestEntrypoint_ClientThatAnswersPingsStays(t *testing.T) {
	t.Parallel()
	e := build(t, "")
	websocket.Pinging(e, 20*time.Millisecond, 300*time.Millisecond)
	sub := fake.NewSubscription()
	c := dial(t, fake.Serve(t, e, sub.Backend()), "")
	pings := 0
	c.SetPingHandler(func(string) error {
		if pings++; pings == 3 {
			sub.Push(message.Message{Content: []byte("still here")})
		}
		return c.WriteControl(lib.PongMessage, nil, time.Now().Add(time.Second))
	})
	if _, m, err := c.ReadMessage(); err != nil || string(m) != "still here" {
		t.Errorf("%q %v", m, err)
	}
}

// A client that reads nothing is cut, having cost no more than one write.
func TestEntrypoint_ClientStopsReading(t *testing.T) {
	t.Parallel()
	e := build(t, "")
	websocket.Impatient(e, 100*time.Millisecond)
	sub := fake.NewSubscription()
	content := []byte(strings.Repeat("x", 1<<10))
	for range 64 << 10 {
		sub.Push(message.Message{Content: content})
	}
	dialRaw(t, fake.Serve(t, e, sub.Backend()))
	fake.Within(t, "close", sub.Closed)
	if sub.Waiting() == 0 {
		t.Error("everything was taken from the subscription although the client read nothing")
	}
}

func TestEntrypoint_DrainCutsWhoDoesNotLeave(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	sub.Push(message.Message{Content: make([]byte, 64<<20)}) // more than any socket buffer
	s := fake.Serve(t, build(t, ""), sub.Backend())
	dialRaw(t, s)
	for sub.Waiting() > 0 {
		runtime.Gosched()
	}
	s.Stop(nil)
	if cut := s.Drain(20 * time.Millisecond); cut != 1 {
		t.Errorf("cut %d", cut)
	}
}

func TestEntrypoint_ComingAndGoingLeavesNothing(t *testing.T) {
	subs := make(chan *fake.Subscription, 1)
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		sub := fake.NewSubscription()
		sub.Open(o)
		subs <- sub
		return sub, nil
	}})
	round := func() {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, upgrade+"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		sub := <-subs
		_ = c.Close()
		fake.Within(t, "close", sub.Closed)
	}
	round()
	before := runtime.NumGoroutine()
	for range 2000 {
		round()
	}
	deadline := time.Now().Add(fake.Patience)
	for runtime.NumGoroutine() > before+5 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
