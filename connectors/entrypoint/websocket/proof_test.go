package websocket_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// numbered returns n messages with the offsets from first on.
func numbered(first, n int64, content string) []message.Message {
	out := make([]message.Message, n)
	for i := range out {
		out[i] = message.Message{Topic: "t", Offset: first + int64(i), Content: []byte(content)}
	}
	return out
}

// watched is a scripted subscription that tells what it is told.
type watched struct {
	*fake.Subscription
	delivered, acknowledged chan int64
}

func watch() (*watched, *fake.Backend) {
	w := &watched{fake.NewSubscription(), make(chan int64, 1<<16), make(chan int64, 1<<16)}
	return w, &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		w.Open(o)
		return w, nil
	}}
}

func (w *watched) DeliveredThrough(m *message.Message) {
	w.Subscription.DeliveredThrough(m)
	w.delivered <- m.Offset
}

func (w *watched) Acknowledge(m *message.Message) {
	w.Subscription.Acknowledge(m)
	w.acknowledged <- m.Offset
}

// until takes what comes from ch until it is want.
func until(t *testing.T, ch <-chan int64, want int64) {
	t.Helper()
	for {
		select {
		case got := <-ch:
			if got == want {
				return
			}
		case <-time.After(fake.Patience):
			t.Fatalf("%d did not come within %v", want, fake.Patience)
		}
	}
}

// proofOf reads n frames, then the ping that asks for proof of them, and returns its payload.
func (c *raw) proofOf(n int) string {
	c.t.Helper()
	for range n {
		if f := c.next(); !strings.HasPrefix(f, "81 ") {
			c.t.Fatalf("%.80q", f)
		}
	}
	ping := c.next()
	if !strings.HasPrefix(ping, "89 proof ") {
		c.t.Fatalf("%.80q", ping)
	}
	return ping[3:]
}

// pongs proves, by a ping of the client's own, that the server has read all that the client sent before.
func (c *raw) pongs() {
	c.t.Helper()
	c.send(frame(0x89, "sync"))
	if f := c.next(); f != "8a sync" {
		c.t.Fatalf("%.80q", f)
	}
}

func TestProof_OnlyThePongProves(t *testing.T) {
	t.Parallel()
	sub, b := watch()
	c := dialRaw(t, fake.ServeLevel(t, build(t, ""), b, qos.AtLeastOnce))
	sub.Push(numbered(1, 3, "x")...)
	first := c.proofOf(3)
	for _, pong := range []string{"", "x", "proof ", "proof x", "proof 1", "proof 3", "proof 18446744073709551615", first + "0"} {
		c.send(frame(0x8a, pong))
	}
	c.pongs()
	if d := sub.Delivered(); d != -1 {
		t.Fatalf("delivered through %d without a proof", d)
	}
	sub.Push(numbered(4, 2, "x")...)
	second := c.proofOf(2)
	sub.Push(numbered(6, 1, "x")...)
	c.proofOf(1)
	c.send(frame(0x8a, second)) // the first ping is passed over, as a client may
	until(t, sub.delivered, 5)
	c.send(frame(0x8a, first)) // late, and nothing new
	c.pongs()
	if d := sub.Delivered(); d != 5 {
		t.Errorf("delivered through %d", d)
	}
	if a := sub.Acknowledged(); len(a) > 0 {
		t.Errorf("acknowledged one by one: %v", a)
	}
}

// A library that answers pings by itself gets everything, and everything is proved in the end.
func TestProof_AnyClient(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtLeastOnce)
	c := dial(t, s, "")
	const total = 20_000 // several times what may be unproved
	sub.Push(numbered(1, total, strings.Repeat("x", 300))...)
	for range total {
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop(nil)
	if got := closeOf(t, c); got != "1013 Try Again Later" {
		t.Errorf("%q", got)
	}
	fake.Within(t, "close", sub.Closed)
	if d := sub.Delivered(); d != total {
		t.Errorf("delivered through %d of %d", d, total)
	}
}

// What is unproved is bounded, in messages and in bytes, and one message of any size goes.
func TestProof_Bound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		content string
		most    int
	}{
		{"messages", "", websocket.MaxUnproven},
		{"bytes", strings.Repeat("x", 64<<10), websocket.MaxUnprovenBytes >> 16},
		{"one message", strings.Repeat("x", websocket.MaxUnprovenBytes+1), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			c := dialRaw(t, fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtLeastOnce))
			sub.Push(numbered(1, int64(3*tt.most), tt.content)...)
			data, last := 0, ""
			read := func(until func(frame string) bool) {
				for f := ""; !until(f); {
					switch f = c.next(); {
					case strings.HasPrefix(f, "81"):
						data++
					case strings.HasPrefix(f, "89 proof"):
						last = f[3:]
					case f != "8a sync":
						t.Fatalf("%.80q", f)
					}
				}
			}
			read(func(string) bool { return data == tt.most })
			for range 2 { // after the first, everything that may be sent is on its way; before the second, it has come
				c.send(frame(0x89, "sync"))
				read(func(f string) bool { return f == "8a sync" })
			}
			if data != tt.most {
				t.Errorf("%d messages are unproved, want %d", data, tt.most)
			}
			c.send(frame(0x8a, last))
			if f := c.next(); !strings.HasPrefix(f, "81") {
				t.Errorf("after the proof: %.80q", f)
			}
		})
	}
}

// Proof that arrives between our close frame and the client's still counts.
func TestProof_AfterTheClose(t *testing.T) {
	t.Parallel()
	e := build(t, "")
	websocket.Proving(e, time.Minute, time.Millisecond)
	sub := fake.NewSubscription()
	s := fake.ServeLevel(t, e, sub.Backend(), qos.AtLeastOnce)
	c := dialRaw(t, s)
	sub.Push(numbered(1, 1, "x")...)
	ping := c.proofOf(1)
	s.Stop(nil)
	if f := c.next(); f != "88 1013 Try Again Later" {
		t.Errorf("%q", f)
	}
	c.send(frame(0x8a, ping), frame(0x88, "\x03\xf5"))
	fake.Within(t, "close", sub.Closed)
	if d := sub.Delivered(); d != 1 {
		t.Errorf("delivered through %d", d)
	}
}

// Under the other levels nothing is asked for; only auto reports what was written.
func TestProof_OtherLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[qos.Level]int64{qos.None: -1, qos.Auto: 2, qos.AtMostOnce: -1} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			c := dialRaw(t, fake.ServeLevel(t, build(t, ""), sub.Backend(), level))
			sub.Push(numbered(1, 2, "x")...)
			for range 2 {
				if f := c.next(); f != "81 x" {
					t.Errorf("%q", f)
				}
			}
			c.pongs()
			c.send(frame(0x88, "\x03\xe8"))
			fake.Within(t, "close", sub.Closed)
			if d := sub.Delivered(); d != want {
				t.Errorf("delivered through %d, want %d", d, want)
			}
		})
	}
}
