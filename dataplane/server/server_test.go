package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, planetest.IgnoreFasthttp()...) }

// router is a server.Router made of a function.
type router func(x *exchange.Exchange, host, path []byte) flow.Outcome

func (r router) Serve(x *exchange.Exchange, host, path []byte) flow.Outcome { return r(x, host, path) }

func nowhere(*exchange.Exchange, []byte, []byte) flow.Outcome { return flow.NoEntrypoint }

// port is a server that runs on loopback.
type port struct {
	addr     string
	counters *meter.Registry
	stop     func() error
}

func start(t *testing.T, cfg server.Config, listeners []net.Listener, r router) *port {
	t.Helper()
	counters := meter.NewRegistry()
	s, err := server.New(cfg, listeners, r, counters, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p := &port{addr: listeners[0].Addr().String(), counters: counters}
	p.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func listen(t *testing.T, n int) []net.Listener {
	t.Helper()
	out, err := server.Listen(t.Context(), "127.0.0.1:0", n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// send writes raw bytes on a new connection and reads the answer.
func (p *port) send(t *testing.T, raw string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func TestServer_GatewayLevelAnswers(t *testing.T) {
	cfg := server.DefaultConfig
	cfg.MaxBody, cfg.ReadTimeout = 100, 300*time.Millisecond
	p := start(t, cfg, listen(t, 1), nowhere)
	for _, c := range []struct {
		name, raw   string
		status      int
		contentType string
		body        string
		close       bool
	}{
		{"unknown path", "GET /x HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n", 404, "text/plain", server.DefaultNotFound, false},
		{"unknown method", "BREW /x HTTP/1.1\r\nHost: x\r\n\r\n", 404, "text/plain", server.DefaultNotFound, false},
		{"body by length", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n" + strings.Repeat("x", 101), 413, "text/plain", "Request Entity Too Large", true},
		{"body by chunks", "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 101) + "\r\n0\r\n\r\n", 413, "text/plain", "Request Entity Too Large", true},
		{"body by length, for JSON", "POST /x HTTP/1.1\r\nHost: x\r\nAccept: text/xml, */*\r\nContent-Length: 101\r\n\r\n" + strings.Repeat("x", 101), 413, "application/json",
			`{"message":"Request Entity Too Large","http_status_code":413}`, true},
		{"body announced", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", 413, "", "", true},
		{"headers", "GET /x HTTP/1.1\r\nHost: x\r\nLong: " + strings.Repeat("x", 9000) + "\r\n\r\n", 431, "text/plain", "Request Header Fields Too Large", true},
		{"no HTTP", "hello\r\n\r\n", 400, "text/plain", "Bad Request", true},
		{"half a request", "GET /x HTTP/1.1\r\nHost", 408, "text/plain", "Request Timeout", true},
		{"half a body", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nxx", 408, "text/plain", "Request Timeout", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := p.send(t, c.raw)
			if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.contentType || body != c.body || resp.Close != c.close {
				t.Errorf("got %d %q %q close=%v", resp.StatusCode, resp.Header.Get("Content-Type"), body, resp.Close)
			}
			if resp.Header.Get("Server") != "" {
				t.Errorf("server %q", resp.Header.Get("Server"))
			}
		})
	}
	if n, m := p.counters.Unrouted.Load(), p.counters.Refused.Load(); n != 2 || m != 8 {
		t.Errorf("%d unrouted and %d refused, want 2 and 8", n, m)
	}
}

// TestServer_LargeBodyIsToldWhy sends far more than the buffers of a connection hold: the client must be able to read
// the answer, not find its connection reset.
func TestServer_LargeBodyIsToldWhy(t *testing.T) {
	cfg := server.DefaultConfig
	cfg.MaxBody = 1 << 20
	p := start(t, cfg, listen(t, 1), nowhere)
	resp, err := http.Post("http://"+p.addr+"/x", "", strings.NewReader(strings.Repeat("x", 8<<20)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServer_Identity(t *testing.T) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("127.0.0.1"))
	digest := fmt.Sprintf("%016x", hash.Sum64())
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	var seen exchange.Exchange
	p := start(t, server.DefaultConfig, listen(t, 1), func(x *exchange.Exchange, host, path []byte) flow.Outcome {
		seen.RequestID, seen.TransactionID, seen.ClientIdentifier, seen.ClientSupplied, seen.Subscription = x.RequestID, x.TransactionID, x.ClientIdentifier, x.ClientSupplied, x.Subscription
		return flow.Served
	})
	for _, c := range []struct {
		name, target, headers string
		transaction, client   string // echoed; empty: the request id
		effective             string // empty: the request id
		supplied              bool
	}{
		{"nothing brought", "/x", "", "", "", "", false},
		{"transaction", "/x", "X-Gravitee-Transaction-Id: t1\r\n", "t1", "", "", false},
		{"transaction in the query", "/x?X-Gravitee-Transaction-Id=t2", "", "t2", "", "", false},
		{"request ids are ours", "/x", "X-Gravitee-Request-Id: r1\r\n", "", "", "", false},
		{"client", "/x", "x-gravitee-client-identifier: c1\r\n", "", "c1", "c1-" + digest, true},
		{"client in the query", "/x?X-Gravitee-Client-Identifier=c2", "", "", "c2", "c2-" + digest, true},
		{"client as we made it", "/x", "X-Gravitee-Client-Identifier: c1-" + digest + "\r\n", "", "c1-" + digest, "c1-" + digest, true},
		{"client and transaction", "/x", "X-Gravitee-Client-Identifier: c-t1\r\nX-Gravitee-Transaction-Id: t1\r\n", "t1", "c-t1", "c-t1", true},
		{"blank", "/x", "X-Gravitee-Client-Identifier: \r\n", "", "", "", false},
		{"too long", "/x", "X-Gravitee-Client-Identifier: " + strings.Repeat("c", 201) + "\r\n", "", "", "", false},
		{"not visible", "/x?X-Gravitee-Client-Identifier=a%0Ab", "", "", "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, _ := p.send(t, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\n"+c.headers+"\r\n")
			id := resp.Header.Get("X-Gravitee-Request-Id")
			or := func(s string) string {
				if s == "" {
					return id
				}
				return s
			}
			if !uuid.MatchString(id) || seen.RequestID != id {
				t.Errorf("request id %q, inside %q", id, seen.RequestID)
			}
			if got := resp.Header.Get("X-Gravitee-Transaction-Id"); got != or(c.transaction) || seen.TransactionID != got {
				t.Errorf("transaction %q, inside %q", got, seen.TransactionID)
			}
			if got := resp.Header.Get("X-Gravitee-Client-Identifier"); got != or(c.client) {
				t.Errorf("client %q", got)
			}
			if seen.ClientIdentifier != or(c.effective) || seen.ClientSupplied != c.supplied || seen.Subscription != "127.0.0.1" {
				t.Errorf("inside %+v", &seen)
			}
		})
	}
}

func TestServer_HostAndRawPath(t *testing.T) {
	var host, path string
	p := start(t, server.DefaultConfig, listen(t, 1), func(_ *exchange.Exchange, h, p []byte) flow.Outcome {
		host, path = string(h), string(p)
		return flow.Served
	})
	for raw, want := range map[string]string{
		"GET /a%2Fb/../c?q=/d HTTP/1.1\r\nHost: Example.org:8082\r\n\r\n": "example.org:8082 /a%2Fb/../c",
		"GET http://other.org/x HTTP/1.1\r\nHost: ignored\r\n\r\n":        "other.org /x",
	} {
		p.send(t, raw)
		if got := host + " " + path; !strings.EqualFold(got, want) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestServer_Spans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	cfg := server.DefaultConfig
	cfg.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("t")
	var inside string
	p := start(t, cfg, listen(t, 1), func(x *exchange.Exchange, _, _ []byte) flow.Outcome {
		inside = x.Span.TraceID().String()
		x.API, x.ContextPath, x.Entrypoint = &exchange.API{ID: "a", Revision: 3}, "/a/", "http-post"
		x.HTTP.SetStatusCode(503)
		return flow.Served
	})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	p.send(t, "POST /a HTTP/1.1\r\nHost: x\r\ntraceparent: 00-"+trace+"-b7ad6b7169203331-01\r\nContent-Length: 0\r\n\r\n")
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "POST /a/" || spans[0].Parent().SpanID().String() != "b7ad6b7169203331" || inside != trace {
		t.Fatalf("spans %v, trace inside %s", spans, inside)
	}
	if got := fmt.Sprint(spans[0].Attributes()); !strings.Contains(got, "sluice.api") || spans[0].Status().Code.String() != "Error" {
		t.Errorf("attributes %s, status %v", got, spans[0].Status())
	}
}

func TestServer_TLSAndSharedPort(t *testing.T) {
	other := httptest.NewTLSServer(nil) // for its certificate
	defer other.Close()
	cfg := server.DefaultConfig
	cfg.TLS = &tls.Config{Certificates: other.TLS.Certificates, MinVersion: tls.VersionTLS12}
	p := start(t, cfg, listen(t, 2), nowhere)
	resp, err := other.Client().Get("https://" + p.addr + "/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("status %d", resp.StatusCode)
	}
	other.Client().CloseIdleConnections()
}

// TestServer_UnusedConnections: a connection that a client opened ahead of its request does not hold the server up.
func TestServer_UnusedConnections(t *testing.T) {
	cfg := server.DefaultConfig
	cfg.Grace = 3 * time.Second // less than fasthttp leaves such a connection
	listeners := listen(t, 1)
	s, err := server.New(cfg, listeners, router(nowhere), meter.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	c, err := net.Dial("tcp", listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for s.Connections() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServer_NamesWhatDidNotEnd(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	cfg := server.DefaultConfig
	cfg.Grace = 10 * time.Millisecond
	listeners := listen(t, 1)
	s, err := server.New(cfg, listeners, router(func(*exchange.Exchange, []byte, []byte) flow.Outcome {
		close(entered)
		<-leave
		return flow.Served
	}), meter.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	c, err := net.Dial("tcp", listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	cancel()
	select {
	case err := <-done: // the workers of fasthttp do not end before their handlers, so Run may wait for this one
		if err == nil || !strings.Contains(err.Error(), "1 connections left") {
			t.Errorf("error %v", err)
		}
		close(leave)
	case <-time.After(5 * time.Second):
		t.Error("Run waits although the grace is over")
		close(leave)
		<-done
	}
}

func TestServer_EndsWhereItWasNeverWanted(t *testing.T) {
	for range 20 {
		s, err := server.New(server.DefaultConfig, listen(t, 2), router(nowhere), meter.NewRegistry(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestServer_PassesTraceOn: a worker that makes no spans leaves the client's context to what the exchange publishes.
func TestServer_PassesTraceOn(t *testing.T) {
	const ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
	const parent = "traceparent: 00-" + ids + "-01\r\n"
	var inside string
	p := start(t, server.DefaultConfig, listen(t, 1), func(x *exchange.Exchange, _, _ []byte) flow.Outcome {
		inside = ""
		if x.Span.IsValid() {
			inside = string(tracecontext.Append(nil, x.Span)) + " " + x.Span.TraceState().String()
		}
		return flow.Served
	})
	for _, c := range []struct{ name, headers, want string }{
		{"none", "", ""},
		{"sampled", parent, "00-" + ids + "-01 "},
		{"not sampled", "Traceparent: 00-" + ids + "-00\r\n", "00-" + ids + "-00 "},
		{"malformed", "traceparent: 00-" + ids + "\r\n", ""},
		{"several", parent + parent, ""},
		{"state", parent + "tracestate: a=1\r\n", "00-" + ids + "-01 a=1"},
		{"state in several lines", parent + "tracestate: a=1\r\ntracestate: b=2,c=3\r\n", "00-" + ids + "-01 a=1,b=2,c=3"},
		{"malformed state", parent + "tracestate: =\r\n", "00-" + ids + "-01 "},
		{"state alone", "tracestate: a=1\r\n", ""},
	} {
		p.send(t, "GET /a HTTP/1.1\r\nHost: x\r\n"+c.headers+"\r\n")
		if inside != c.want {
			t.Errorf("%s: %q, want %q", c.name, inside, c.want)
		}
	}
}
