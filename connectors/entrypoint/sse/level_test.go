package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// secure makes a fake server speak TLS.
func secure(t *testing.T) func(net.Listener, *fasthttp.Server) net.Listener {
	t.Helper()
	certificates := httptest.NewTLSServer(nil)
	certificates.Close()
	return func(ln net.Listener, _ *fasthttp.Server) net.Listener {
		return tls.NewListener(ln, &tls.Config{Certificates: certificates.TLS.Certificates})
	}
}

// Under at-least-once what a client has got is delivered, without a word from it, also where a gap comes last.
func TestEntrypoint_AtLeastOnceIsProvenByTCP(t *testing.T) {
	t.Parallel()
	for _, overTLS := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[overTLS], func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			change := func(ln net.Listener, _ *fasthttp.Server) net.Listener { return ln }
			if overTLS {
				change = secure(t)
			}
			s := fake.ServeWith(t, build(t, ""), sub.Backend(), qos.AtLeastOnce, change)
			c := s.Dial()
			if overTLS {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			_, _ = io.WriteString(c, get+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := &parser{t: t, r: bufio.NewReader(resp.Body)}
			for i := range int64(3) {
				sub.Push(data(i, "", "one"))
				if e, ok := p.next(); !ok || e.Data != "one" {
					t.Fatalf("%+v %v", e, ok)
				}
				sub.AwaitDelivered(t, i)
			}
			sub.Push(data(3, "", "one"), message.Message{Kind: message.Gap, Offset: 9, Content: []byte("{}")})
			for range 2 {
				p.next()
			}
			sub.AwaitDelivered(t, 3)
			if got := sub.Delivered(); got != 3 || len(sub.Acknowledged()) > 0 {
				t.Errorf("delivered through %d, acknowledged %v", got, sub.Acknowledged())
			}
		})
	}
}

// What was written and not acknowledged by the client's TCP is not delivered, neither while the client stays nor when it is
// gone; what it takes later is.
func TestEntrypoint_AtLeastOnceWithoutProof(t *testing.T) {
	t.Parallel()
	const messages, size = 16 << 10, 2 << 10 // more than all socket buffers
	const polled = 256                       // messages of one Poll, 512 KiB
	const most = polled * 3 / 4              // more than a client's kernel takes unread, less than is written by the next Poll
	content := strings.Repeat("x", size)
	for _, leaves := range []bool{true, false} {
		t.Run(map[bool]string{true: "leaves", false: "reads at last"}[leaves], func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			for i := range int64(messages) {
				sub.Push(data(i, "", content))
			}
			s := fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtLeastOnce)
			c := s.Dial()
			_, _ = io.WriteString(c, get+"\r\n")
			fake.Within(t, "subscribe", sub.Opened)
			end := time.Now().Add(fake.Patience)
			for messages-sub.Waiting() <= polled {
				if time.Now().After(end) {
					t.Fatalf("only %d messages were taken", messages-sub.Waiting())
				}
				runtime.Gosched()
			}
			if got := sub.Delivered(); got >= most {
				t.Errorf("%d messages are delivered although the client read nothing", got+1)
			}
			if leaves {
				_ = c.Close()
				fake.Within(t, "close", sub.Closed)
				if got := sub.Delivered(); got >= most {
					t.Errorf("%d messages are delivered at the end", got+1)
				}
				return
			}
			r := bufio.NewReader(c)
			for got := 0; got < messages; {
				line, err := r.ReadSlice('\n')
				if err != nil {
					t.Fatal(err)
				}
				if len(line) > size {
					got++
				}
			}
			sub.AwaitDelivered(t, messages-1)
		})
	}
}

// Under at-most-once the endpoint has saved already; a message is written once and nothing is told.
func TestEntrypoint_AtMostOnceTellsNothing(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtMostOnce)
	_, p := open(t, s, get+"\r\n")
	for i := range int64(3) {
		sub.Push(data(i, "", "one"))
		p.next()
	}
	sub.End(io.EOF)
	if e, ok := p.next(); ok {
		t.Errorf("written again: %+v", e)
	}
	fake.Within(t, "close", sub.Closed)
	if sub.Delivered() != -1 || len(sub.Acknowledged()) > 0 {
		t.Errorf("delivered through %d, acknowledged %v", sub.Delivered(), sub.Acknowledged())
	}
}

// A client that comes back gives its last id, which the endpoint takes as the proof.
func TestEntrypoint_LastEventIDIsTheProof(t *testing.T) {
	t.Parallel()
	cursors := make(chan string, 1)
	s := fake.ServeLevel(t, build(t, ""), &fake.Backend{OnSubscribe: func(_ context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		cursors <- x.QoS.String() + " " + o.Cursor
		return fake.NewSubscription(), nil
	}}, qos.AtLeastOnce)
	s.Send(get + "Last-Event-ID: t@0#4\r\n\r\n")
	if got := <-cursors; got != "at-least-once t@0#4" {
		t.Errorf("%q", got)
	}
}

func TestAdvanced_IsTheSame(t *testing.T) {
	t.Parallel()
	if e, err := sse.Advanced.New([]byte(`{"heartbeatIntervalInMs":3000}`), fake.Env()); err != nil || e == nil {
		t.Errorf("%v", err)
	}
	a, b := sse.Advanced, sse.Type
	if a.Name == b.Name || a.Criteria != b.Criteria || a.Modes != b.Modes || a.Listener != b.Listener || len(a.Check([]byte(`{"heartbeatIntervalInMs":1}`)).Errors()) != 1 {
		t.Errorf("%+v", a)
	}
}
