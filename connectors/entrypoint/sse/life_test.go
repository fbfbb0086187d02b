package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// Beats come while nothing else does, and messages still pass.
func TestEntrypoint_Heartbeat(t *testing.T) {
	t.Parallel()
	e := build(t, "")
	sse.SetHeartbeat(e, 10*time.Millisecond)
	sub := fake.NewSubscription()
	s := fake.Serve(t, e, sub.Backend())
	resp, _ := open(t, s, get+"\r\n")
	r := bufio.NewReader(resp.Body)
	for beats := 0; beats < 3; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ":\n" {
			beats++
			if blank, _ := r.ReadString('\n'); blank != "\n" {
				t.Errorf("after a beat: %q", blank)
			}
		}
	}
	sub.Push(data(1, "", "one"))
	p := &parser{t: t, r: r}
	if e, ok := p.next(); !ok || e.Data != "one" {
		t.Errorf("%+v %v", e, ok)
	}
}

// A stop does not wait for the end of a backlog: the client goes on from the cursor elsewhere.
func TestEntrypoint_StopInABacklog(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return fake.Endless(data(1, "", "again")), nil
	}})
	_, p := open(t, s, get+"\r\n")
	for range 100 {
		p.next()
	}
	s.Stop(message.ErrRedeploy)
	for {
		e, ok := p.next()
		if !ok {
			t.Fatal("the stream ended without a word")
		}
		if e.Type == "reconnect" {
			return
		}
	}
}

// Over TLS, and on a server that leaves hijacked connections to their handlers, a stream begins, is woken, ends and notices that its client left.
func TestEntrypoint_OtherServers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		tls    bool
		change func(*fasthttp.Server)
	}{
		{"TLS", true, func(*fasthttp.Server) {}},
		{"kept connections", false, func(s *fasthttp.Server) { s.KeepHijackedConns = true }},
		{"little memory, counted per address", false, func(s *fasthttp.Server) { s.ReduceMemoryUsage, s.MaxConnsPerIP = true, 10 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			subs := make(chan *fake.Subscription, 2)
			b := &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
				sub := fake.NewSubscription()
				sub.Open(o)
				subs <- sub
				return sub, nil
			}}
			certificates := httptest.NewTLSServer(nil)
			certificates.Close()
			s := fake.ServeWith(t, build(t, ""), b, qos.Auto, func(ln net.Listener, server *fasthttp.Server) net.Listener {
				if tt.change(server); tt.tls {
					return tls.NewListener(ln, &tls.Config{Certificates: certificates.TLS.Certificates})
				}
				return ln
			})
			dial := func() net.Conn {
				c := s.Dial()
				if tt.tls {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				_, _ = io.WriteString(c, get+"Connection: close\r\n\r\n")
				return c
			}
			leaving := dial()
			left := <-subs
			_ = leaving.Close()
			fake.Within(t, "close", left.Closed)

			c := dial()
			sub := <-subs
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := &parser{t: t, r: bufio.NewReader(resp.Body)}
			for i := range int64(3) { // each wakes a stream that waits
				sub.Push(data(i, "", "one"))
				if e, ok := p.next(); !ok || e.Data != "one" {
					t.Fatalf("%+v %v", e, ok)
				}
			}
			sub.End(io.EOF)
			if _, ok := p.next(); ok {
				t.Error("the stream went on")
			}
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection stayed: %v", err)
			}
		})
	}
}

// A stream that ends keeps what its head says: the connection serves the client's next request, whatever that is.
func TestEntrypoint_ConnectionIsKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, headers string
		kept          bool
	}{
		{"kept", "", true},
		{"client closes", "Connection: close\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			subs := make(chan *fake.Subscription, 1)
			b := &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
				sub := fake.NewSubscription()
				sub.Open(o)
				sub.Push(data(1, "", "one"))
				sub.End(io.EOF)
				subs <- sub
				return sub, nil
			}}
			c := fake.Serve(t, build(t, ""), b).Dial()
			r := bufio.NewReader(c)
			for round := range 3 {
				_, _ = io.WriteString(c, get+tt.headers+"\r\n")
				resp, err := http.ReadResponse(r, nil)
				if round > 0 && !tt.kept {
					if err == nil {
						t.Fatal("the connection was kept")
					}
					return
				}
				if err != nil || resp.Close == tt.kept {
					t.Fatalf("round %d: %v %v", round, resp, err)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "data: one\n") {
					t.Fatalf("round %d: %q %v", round, body, err)
				}
				fake.Within(t, "close", (<-subs).Closed)
			}
			_, _ = io.WriteString(c, "POST /elsewhere HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
			if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 404 {
				t.Fatalf("%v %v", resp, err)
			}
		})
	}
}

// What a client sends while its stream lasts is passed over, and its connection then closed.
func TestEntrypoint_EarlyRequestEndsTheConnection(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	c := s.Dial()
	_, _ = io.WriteString(c, get+"\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /early HTTP/1.1\r\nHost: h\r\n\r\n")
	sub.Push(data(1, "", "one"))
	p := &parser{t: t, r: bufio.NewReader(resp.Body)}
	p.next()
	sub.End(io.EOF)
	for {
		if _, ok := p.next(); !ok {
			break
		}
	}
	if answer, err := http.ReadResponse(r, nil); err == nil {
		t.Errorf("%v", answer)
	}
}
