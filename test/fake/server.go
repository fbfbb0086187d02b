package fake

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Patience bounds every wait of a test for something that must happen.
const Patience = 20 * time.Second

// Server serves one entrypoint over one backend on a loopback address.
type Server struct {
	Addr       string
	Entrypoint connectors.Entrypoint

	t      testing.TB
	cancel context.CancelCauseFunc
	server *fasthttp.Server
	once   sync.Once
	done   chan struct{}

	mu sync.Mutex
	// guards the following
	closed bool
	reused sync.WaitGroup
}

// Env returns what connectors get in tests. Change the limits before building the connector.
func Env() connectors.Env {
	return connectors.Env{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), API: &exchange.API{ID: "api"}, QoS: qos.Auto, Limits: connectors.DefaultLimits,
	}
}

// Loop runs an event loop with so many pollers until the test ends; none: every connection has a goroutine.
func Loop(t testing.TB, pollers int) *eventloop.Loop {
	t.Helper()
	loop, err := eventloop.New(pollers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("event loop: %v", err)
		}
	})
	return loop
}

// Serve starts a server under the default level, which is closed when the test ends.
func Serve(t testing.TB, e connectors.Entrypoint, b connectors.Backend) *Server {
	t.Helper()
	return ServeLevel(t, e, b, qos.Auto)
}

// ServeLevel is Serve under a level.
func ServeLevel(t testing.TB, e connectors.Entrypoint, b connectors.Backend, level qos.Level) *Server {
	t.Helper()
	return ServeWith(t, e, b, level, func(ln net.Listener, _ *fasthttp.Server) net.Listener { return ln })
}

// ServeWith is ServeLevel with a server or a listener (TLS) that change makes its own.
func ServeWith(t testing.TB, e connectors.Entrypoint, b connectors.Backend, level qos.Level, change func(net.Listener, *fasthttp.Server) net.Listener) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &Server{Addr: ln.Addr().String(), Entrypoint: e, t: t, cancel: cancel, done: make(chan struct{})}
	s.server = &fasthttp.Server{
		Name: "sluice", NoDefaultDate: true, NoDefaultContentType: true, MaxRequestBodySize: 64 << 20, KeepHijackedConns: true,
		Handler: func(fctx *fasthttp.RequestCtx) {
			if !e.Match(fctx) {
				fctx.Error("no entrypoint", fasthttp.StatusNotFound)
				return
			}
			x := &exchange.Exchange{API: &exchange.API{ID: "api"}, QoS: level, HTTP: fctx, RemoteAddr: fctx.RemoteAddr()}
			x.OnReuse(s.reuse)
			e.Handle(ctx, x, b)
		},
	}
	ln = change(ln, s.server)
	go func() {
		defer close(s.done)
		_ = s.server.Serve(ln)
	}()
	t.Cleanup(s.Close)
	return s
}

// reuse serves more requests on a connection, as the data plane does, until the server is closed.
func (s *Server) reuse(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.reused.Go(func() { _ = s.server.ServeConn(c) })
	return true
}

// Stop ends the context of the API, as a stop or, with message.ErrRedeploy as the cause, a redeploy does.
func (s *Server) Stop(cause error) { s.cancel(cause) }

// Drain waits for the streams of the entrypoint and returns how many had to be cut.
func (s *Server) Drain(grace time.Duration) int {
	d, ok := s.Entrypoint.(connectors.Drainer)
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return d.Drain(ctx)
}

// Close stops the API, drains it and ends the server.
func (s *Server) Close() {
	s.once.Do(func() {
		s.Stop(nil)
		s.Drain(Patience)
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		if err := s.server.Shutdown(); err != nil {
			s.t.Errorf("shutdown: %v", err)
		}
		<-s.done
		s.reused.Wait()
	})
}

// Dial opens a connection with a deadline, closed when the test ends.
func (s *Server) Dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return c
}

// Send writes a raw request on a connection of its own and returns what reads the answer.
func (s *Server) Send(request string) *bufio.Reader {
	s.t.Helper()
	c := s.Dial()
	if _, err := io.WriteString(c, request); err != nil {
		s.t.Fatal(err)
	}
	return bufio.NewReader(c)
}

// Do sends a request on a connection of its own and returns the answer with its body.
func (s *Server) Do(request string) (*http.Response, string) {
	s.t.Helper()
	resp, err := http.ReadResponse(s.Send(request), nil)
	if err != nil {
		s.t.Fatalf("read answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("read body: %v", err)
	}
	return resp, string(body)
}

// Within fails the test where done is not closed in time.
func Within(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(Patience):
		t.Fatalf("%s did not happen within %v", what, Patience)
	}
}
