package websocket_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	lib "github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

func TestEntrypoint_Handshake(t *testing.T) {
	t.Parallel()
	const version, key = "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	down := &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return nil, &message.Failure{Status: 503, Message: "no broker"}
	}}
	tests := []struct {
		name, request string
		b             connectors.Backend
		want          string
	}{
		{"accepted", upgrade + version + key + "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://elsewhere\r\n", &fake.Backend{},
			"HTTP/1.1 101 Switching Protocols\r\nServer: sluice\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
		{"version", upgrade + key + "Sec-WebSocket-Version: 8\r\n", &fake.Backend{}, "HTTP/1.1 426 Upgrade Required\r\n"},
		{"no key", upgrade + version, &fake.Backend{}, "HTTP/1.1 400 Bad Request\r\n"},
		{"bad key", upgrade + version + "Sec-WebSocket-Key: short\r\n", &fake.Backend{}, "HTTP/1.1 400 Bad Request\r\n"},
		{"broker down", upgrade + version + key, down, "HTTP/1.1 503 Service Unavailable\r\n"},
		{"no upgrade", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n", &fake.Backend{}, "HTTP/1.1 404 Not Found\r\n"},
		{"1.0", strings.Replace(upgrade, "1.1", "1.0", 1) + version + key, &fake.Backend{}, "HTTP/1.1 404 Not Found\r\n"},
		{"post", strings.Replace(upgrade, "GET", "POST", 1) + version + key + "Content-Length: 0\r\n", &fake.Backend{}, "HTTP/1.1 404 Not Found\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := fake.Serve(t, build(t, ""), tt.b).Send(tt.request + "\r\n")
			got := make([]byte, len(tt.want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != tt.want {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

// published is a backend that acknowledges everything and gives what it got to a channel.
func published() (*fake.Backend, <-chan string) {
	got := make(chan string, 100)
	return &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		text := string(m.Content)
		for _, h := range m.Headers {
			text += " " + h.Name + "=" + string(h.Value)
		}
		m.Done(nil)
		got <- text
	}}, got
}

func TestEntrypoint_Publishes(t *testing.T) {
	t.Parallel()
	b, got := published()
	c := dialRaw(t, fake.Serve(t, build(t, ""), b))
	c.send(frame(0x81, "text"), frame(0x82, "\xff\xfe"), frame(0x82, "as text"), frame(0x81, ""),
		frame(0x01, "in "), frame(0x89, "ping"), frame(0x00, "three "), frame(0x80, "parts"), frame(0x81, strings.Repeat("x", 65000)))
	want := []string{"text", "\xff\xfe", "as text Content-Type=application/octet-stream", "", "in three parts", strings.Repeat("x", 65000)}
	for _, w := range want {
		if g := <-got; g != w {
			t.Errorf("published %.80q, want %.80q", g, w)
		}
	}
	if f := c.next(); f != "8a ping" {
		t.Errorf("%q", f)
	}
	c.send(frame(0x88, "\x03\xe8done"))
	if f := c.next(); f != "88 1000 " {
		t.Errorf("%q", f)
	}
	if f := c.next(); f != "EOF" {
		t.Errorf("after the close: %q", f)
	}
}

func TestEntrypoint_BreaksOfTheProtocol(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, send, want string }{
		{"reserved bit", frame(0xc1, "x"), "88 1002 reserved bit is set"},
		{"reserved opcode", frame(0x83, "x"), "88 1002 opcode is reserved"},
		{"reserved control opcode", frame(0x8b, "x"), "88 1002 opcode is reserved"},
		{"not masked", "\x81\x01x", "88 1002 frame is not masked"},
		{"fragmented ping", frame(0x09, "x"), "88 1002 control frame is fragmented"},
		{"long ping", frame(0x89, strings.Repeat("x", 126)), "88 1002 control frame is too long"},
		{"continuation of nothing", frame(0x80, "x"), "88 1002 continuation of nothing"},
		{"begins inside another", frame(0x01, "x") + frame(0x81, "x"), "88 1002 message begins inside another"},
		{"too big", frame(0x81, strings.Repeat("x", 64<<10+1)), "88 1009 message is too big"},
		{"too big in parts", frame(0x01, strings.Repeat("x", 64<<10)) + frame(0x00, "x"), "88 1009 message is too big"},
		{"absurd length", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", "88 1009 message is too big"},
		{"not UTF-8", frame(0x81, "a\xffb"), "88 1007 text is not UTF-8"},
		{"ends inside a character", frame(0x81, "a\xc3"), "88 1007 text is not UTF-8"},
		{"wrong at once, though unfinished", frame(0x01, "a\xf4\x90"), "88 1007 text is not UTF-8"},
		{"stray continuation bytes", frame(0x01, "a\x80"), "88 1007 text is not UTF-8"},
		{"close without code", frame(0x88, ""), "88 "},
		{"close with half a code", frame(0x88, "\x03"), "88 1002 "},
		{"close with a reserved code", frame(0x88, "\x03\xed"), "88 1002 "},
		{"close with an unknown code", frame(0x88, "\x07\xd0"), "88 1002 "},
		{"close with a code of an application", frame(0x88, "\x0b\xb8"), "88 3000 "},
		{"close with a bad reason", frame(0x88, "\x03\xe8\xff"), "88 1007 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, fake.Serve(t, build(t, ""), &fake.Backend{}))
			c.send(tt.send)
			if got := c.next(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := c.next(); got != "EOF" {
				t.Errorf("after the close: %q", got)
			}
		})
	}
}

// A character may be split between frames and between packets.
func TestEntrypoint_SplitCharacters(t *testing.T) {
	t.Parallel()
	b, got := published()
	c := dialRaw(t, fake.Serve(t, build(t, ""), b))
	text := "κόσμε 😀 €"
	for i := range len(text) {
		first := byte(0x00)
		if i == 0 {
			first = 0x01
		}
		if i == len(text)-1 {
			first |= 0x80
		}
		for _, b := range []byte(frame(first, text[i:i+1])) {
			_, _ = c.Write([]byte{b})
		}
	}
	if g := <-got; g != text {
		t.Errorf("%q", g)
	}
}

func TestEntrypoint_Subscribes(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	c := dialRaw(t, s)
	if o := sub.Options(); o.Cursor != "here" {
		t.Errorf("cursor %q", o.Cursor)
	}
	octets := []message.Header{{Name: "content-type", Value: []byte("application/octet-stream")}}
	sub.Push(
		message.Message{Offset: 1, Content: []byte("text")},
		message.Message{Offset: 2, Content: []byte("\xff")},
		message.Message{Offset: 3, Content: []byte("bytes"), Headers: octets},
		message.Message{Offset: 4},
		message.Message{Offset: 5, Content: []byte(strings.Repeat("x", 300))},
		message.Message{Offset: 6, Content: []byte(strings.Repeat("y", 70000))},
		message.Message{Kind: message.Gap, Content: []byte(`{"lost":7}`)},
		message.Message{Kind: message.Notice, Content: []byte(strings.Repeat("n", 200))},
	)
	for _, want := range []string{"81 text", "82 \xff", "82 bytes", "81 ", "81 " + strings.Repeat("x", 300), "81 " + strings.Repeat("y", 70000),
		`89 gap {"lost":7}`, "89 notice " + strings.Repeat("n", 125-len("notice "))} {
		if got := c.next(); got != want {
			t.Errorf("%.100q, want %.100q", got, want)
		}
	}
	c.send(frame(0x88, "\x03\xe8"))
	fake.Within(t, "close", sub.Closed)
	if sub.Delivered() != 6 { // the last message; gaps and notices have no place
		t.Errorf("delivered through %d", sub.Delivered())
	}
}

func TestEntrypoint_Ends(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cfg string
		end       func(*fake.Server, *fake.Subscription)
		want      string
	}{
		{"stop", "", func(s *fake.Server, _ *fake.Subscription) { s.Stop(nil) }, "1013 Try Again Later"},
		{"redeploy", "", func(s *fake.Server, _ *fake.Subscription) { s.Stop(message.ErrRedeploy) }, "1012 Service Restart"},
		{"goaway", "", func(_ *fake.Server, b *fake.Subscription) { b.Push(message.Message{Kind: message.GoAway}) }, "1013 Try Again Later"},
		{"goaway for a redeploy", "", func(_ *fake.Server, b *fake.Subscription) {
			b.Push(message.Message{Kind: message.GoAway, Reason: message.ReasonRedeploy})
		}, "1012 Service Restart"},
		{"failure", "", func(_ *fake.Server, b *fake.Subscription) { b.End(&message.Failure{Status: 500, Message: "secret"}) }, "1011 Server error"},
		{"both done", `{"publisher":{"enabled":false}}`, func(_ *fake.Server, b *fake.Subscription) { b.End(io.EOF) }, "1000 Bye"},
		{"stop without subscriber", `{"subscriber":{"enabled":false}}`, func(s *fake.Server, _ *fake.Subscription) { s.Stop(nil) }, "1013 Try Again Later"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			s := fake.Serve(t, build(t, tt.cfg), sub.Backend())
			c := dial(t, s, "")
			tt.end(s, sub)
			if got := closeOf(t, c); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A publisher goes on when the endpoint has nothing more to give, and a client that may not publish is not heard.
func TestEntrypoint_Directions(t *testing.T) {
	t.Parallel()
	b, got := published()
	sub := fake.NewSubscription()
	b.OnSubscribe = sub.Backend().OnSubscribe
	c := dial(t, fake.Serve(t, build(t, ""), b), "")
	sub.End(io.EOF)
	_ = c.WriteMessage(lib.TextMessage, []byte("still here"))
	if g := <-got; g != "still here" {
		t.Error(g)
	}

	quiet := fake.NewSubscription()
	only := &fake.Backend{OnSubscribe: quiet.Backend().OnSubscribe, OnPublish: func(context.Context, *exchange.Exchange, *message.Message) {
		t.Error("published")
	}}
	c = dial(t, fake.Serve(t, build(t, `{"publisher":{"enabled":false}}`), only), "")
	_ = c.WriteMessage(lib.TextMessage, []byte("ignored"))
	quiet.Push(message.Message{Content: []byte("heard")})
	if _, m, err := c.ReadMessage(); err != nil || string(m) != "heard" {
		t.Errorf("%q %v", m, err)
	}
}

// Both directions at once, through the library: what goes in comes out, in order.
func TestEntrypoint_Echo(t *testing.T) {
	t.Parallel()
	c := dial(t, fake.Serve(t, build(t, ""), echo()), "")
	const total = 5000
	go func() {
		for i := range total {
			_ = c.WriteMessage(lib.TextMessage, []byte(fmt.Sprint(i)))
		}
	}()
	for i := range total {
		kind, m, err := c.ReadMessage()
		if err != nil || kind != lib.TextMessage || string(m) != fmt.Sprint(i) {
			t.Fatalf("%d: %d %q %v", i, kind, m, err)
		}
	}
}

// echo is a backend whose every subscriber gets what it publishes.
func echo() *fake.Backend {
	var mu sync.Mutex
	subs := map[*exchange.Exchange]*fake.Subscription{}
	return &fake.Backend{
		OnSubscribe: func(_ context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
			sub := fake.NewSubscription()
			sub.Open(o)
			mu.Lock()
			defer mu.Unlock()
			subs[x] = sub
			return sub, nil
		},
		OnPublish: func(_ context.Context, x *exchange.Exchange, m *message.Message) {
			mu.Lock()
			sub := subs[x]
			mu.Unlock()
			out := message.Message{Content: append([]byte{}, m.Content...)}
			out.Headers = append(out.Headers, m.Headers...)
			m.Done(nil)
			sub.Push(out)
		},
	}
}

func TestAppendMessage_Allocations(t *testing.T) {
	m := message.Message{Content: []byte(strings.Repeat("x", 1000)), Headers: []message.Header{{Name: "a", Value: []byte("b")}}}
	buf := make([]byte, 0, 2048)
	if got := testing.AllocsPerRun(100, func() { buf = websocket.AppendMessage(buf[:0], &m) }); got > 0 {
		t.Errorf("%v allocations per frame", got)
	}
}
