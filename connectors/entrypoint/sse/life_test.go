package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
				_, _ = io.WriteString(c, get+"\r\n")
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
