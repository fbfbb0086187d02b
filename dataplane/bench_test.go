package dataplane_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// plane is a reactor with n APIs and a server in front of it that nobody listens to.
func plane(t testing.TB, n int) *server.Server {
	cfg := planetest.Config(&planetest.Entrypoint{HandleFunc: func(_ context.Context, x *exchange.Exchange, _ connectors.Backend) {
		x.HTTP.SetStatusCode(fasthttp.StatusAccepted)
	}}, nil, nil)
	r := reactor.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	r.Apply(ctx, update(n))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s, err := server.New(server.DefaultConfig, []net.Listener{ln}, r, cfg.Counters, cfg.Log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(n int) reactor.Update {
	u := reactor.Update{Revision: 1, Full: true}
	for i := range n {
		u.Changed = append(u.Changed, reactor.Deployment{ID: fmt.Sprint(i), Revision: 1, Bundle: planetest.Bundle(planetest.API(fmt.Sprintf("/api-%d/", i), "http-post"))})
	}
	return u
}

// request is a POST of 1 KiB as a client sends it.
func request(path string) *fasthttp.RequestCtx {
	var r fasthttp.Request
	r.SetRequestURI("http://gateway:8082" + path)
	r.Header.SetMethod("POST")
	r.SetBodyString(strings.Repeat("x", 1024))
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&r, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	ctx.URI().PathOriginal() // a server has parsed it by the time a handler runs
	return ctx
}

// TestRequest_OneAllocation proves what the data plane itself adds to a request: the texts of the exchange. The budget of
// a POST is three in all.
func TestRequest_OneAllocation(t *testing.T) {
	s := plane(t, 100)
	ctx := request("/api-7")
	if n := testing.AllocsPerRun(1000, func() { s.Handle(ctx) }); n > 1 {
		t.Errorf("%v allocations per request, want 1", n)
	}
	ctx.Request.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if n := testing.AllocsPerRun(1000, func() { s.Handle(ctx) }); n > 1 {
		t.Errorf("%v allocations per request with a trace context, want 1", n)
	}
	if ctx.Response.StatusCode() != fasthttp.StatusAccepted {
		t.Errorf("status %d", ctx.Response.StatusCode())
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			s := plane(b, n)
			var requests []*fasthttp.RequestCtx
			for i := range 1000 { // as many in both cases: they cost the processor's cache more than the table does
				requests = append(requests, request(fmt.Sprintf("/api-%d/x", i*7919%n)))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Handle(requests[i%len(requests)])
			}
		})
	}
}

func BenchmarkColdStart(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		u := update(n)
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			for b.Loop() {
				cfg := planetest.Config(nil, nil, nil)
				r := reactor.New(cfg)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				if res := r.Apply(ctx, u); len(res) != n {
					b.Fatal(len(res))
				}
				b.StopTimer()
				cancel()
				<-done
				b.StartTimer()
			}
		})
	}
}

func BenchmarkRedeploy(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			cfg := planetest.Config(nil, nil, nil)
			r := reactor.New(cfg)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			r.Apply(ctx, update(n))
			d := update(1).Changed[0]
			for b.Loop() {
				d.Revision++
				if res := r.Apply(ctx, reactor.Update{Revision: d.Revision, Changed: []reactor.Deployment{d}}); res[0].State != reactor.Serving {
					b.Fatal(res)
				}
			}
			cancel()
			<-done
		})
	}
}
