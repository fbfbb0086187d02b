package sse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

const get = "GET /?a=b HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n"

func build(t testing.TB, cfg string) *sse.Entrypoint {
	t.Helper()
	env := fake.Env()
	env.Loop = fake.Loop(t, 1)
	e, err := sse.New([]byte(cfg), env)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// open sends a request and returns the answer with a parser of its body.
func open(t testing.TB, s *fake.Server, request string) (*http.Response, *parser) {
	t.Helper()
	resp, err := http.ReadResponse(s.Send(request), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, &parser{t: t, r: bufio.NewReader(resp.Body)}
}

func data(offset int64, id, content string) message.Message {
	m := message.Message{Offset: offset, Content: []byte(content)}
	if id != "" {
		m.ID = []byte(id)
	}
	return m
}

func TestEntrypoint_Head(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	r := s.Send(get + "\r\n")
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head.WriteString(line)
	}
	want := "HTTP/1.1 200 OK\r\nServer: sluice\r\nContent-Type: text/event-stream;charset=UTF-8\r\nCache-Control: no-cache\r\n" +
		"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
	if diff := cmp.Diff(want, head.String()); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	size, _ := r.ReadString('\n')
	chunk, _ := r.ReadString('\n')
	blank, _ := r.ReadString('\n')
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(chunk, "retry: "), "\n"))
	if err != nil || n < 1000 || n >= 30000 || blank != "\n" || size != fmt.Sprintf("%x\r\n", len(chunk)+1) {
		t.Errorf("first chunk %q %q %q", size, chunk, blank)
	}
}

func TestEntrypoint_MessagesThenStop(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	_, p := open(t, s, get+"\r\n")
	sub.Push(data(1, "id-1", "one"), data(2, "", "two\r\nlines\r\rend\n"), data(3, "id-3", ""))
	sub.Push(message.Message{Kind: message.Gap, ID: []byte("id-9"), Content: []byte(`{"lost":6}`)})
	sub.Push(message.Message{Kind: message.Notice, Content: []byte(`{"n":1}`)}, data(10, "id-10", "ten"))
	var got []event
	for range 6 {
		e, ok := p.next()
		if !ok {
			t.Fatal("stream ended")
		}
		got = append(got, e)
	}
	s.Stop(nil)
	for e, ok := p.next(); ok; e, ok = p.next() {
		got = append(got, e)
	}
	want := []event{
		{Type: "message", Data: "one", LastID: "id-1"},
		{Type: "message", Data: "two\nlines\n\nend\n", LastID: "id-1"},
		{Type: "message", Data: "", LastID: "id-3"},
		{Type: "gap", Data: `{"lost":6}`, LastID: "id-9"},
		{Type: "notice", Data: `{"n":1}`, LastID: "id-9"},
		{Type: "message", Data: "ten", LastID: "id-10"},
		{Type: "goaway", Data: "Stopping, please reconnect", LastID: "id-10"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(p.retry) != 2 {
		t.Errorf("retry %v", p.retry)
	}
	fake.Within(t, "close", sub.Closed)
	if sub.Delivered() != 10 {
		t.Errorf("delivered through %d", sub.Delivered())
	}
}

func TestEntrypoint_Ends(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cfg, headers string
		end                func(*fake.Server, *fake.Subscription)
		want               []event
	}{
		{"redeploy by context", "", "", func(s *fake.Server, _ *fake.Subscription) { s.Stop(message.ErrRedeploy) },
			[]event{{Type: "reconnect", Data: message.StoppingText, LastID: "at"}}},
		{"redeploy by message", "", "", func(_ *fake.Server, b *fake.Subscription) {
			b.Push(message.Message{Kind: message.GoAway, Reason: message.ReasonRedeploy})
		}, []event{{Type: "reconnect", Data: message.StoppingText, LastID: "at"}}},
		{"stop by message", "", "", func(_ *fake.Server, b *fake.Subscription) { b.Push(message.Message{Kind: message.GoAway}) },
			[]event{{Type: "goaway", Data: message.StoppingText, LastID: "at"}}},
		{"nothing more", "", "", func(_ *fake.Server, b *fake.Subscription) { b.End(io.EOF) }, nil},
		{"failure", "", "", func(_ *fake.Server, b *fake.Subscription) {
			b.End(&message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "Endpoint connection closed"})
		}, []event{{Type: "error", Data: "Endpoint connection closed", LastID: "at"}}},
		{"failure as JSON with comments", `{"metadataAsComment":true,"headersAsComment":true}`, "Accept: */*\r\n", func(_ *fake.Server, b *fake.Subscription) {
			b.End(&message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "closed"})
		}, []event{{Type: "error", Data: `{"message":"closed","http_status_code":500}`, LastID: "at", Comments: []string{
			"Content-Length: 43", "Content-Type: application/json", "key: FAILURE_ENDPOINT_CONNECTION_CLOSED", "statusCode: 500", "reason: Internal Server Error",
		}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			sub.Cursor = func(*message.Message) string { return "at" }
			s := fake.Serve(t, build(t, tt.cfg), sub.Backend())
			request := strings.Replace(get, "Accept: text/event-stream\r\n", "Accept: text/event-stream\r\n"+tt.headers, 1)
			if tt.headers != "" {
				request = strings.Replace(request, "\r\nAccept: */*", ", */*", 1)
			}
			resp, p := open(t, s, request+"\r\n")
			tt.end(s, sub)
			var got []event
			for e, ok := p.next(); ok; e, ok = p.next() {
				got = append(got, e)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("the stream had no terminating chunk: %v", err)
			}
			fake.Within(t, "close", sub.Closed)
		})
	}
}

func TestEntrypoint_FailureBeforeTheStream(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, ""), &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return nil, &message.Failure{Status: 400, Key: message.KeyInvalidCursor, Message: "Invalid cursor"}
	}})
	resp, body := s.Do(get + "\r\n")
	if resp.StatusCode != 400 || body != "Invalid cursor" || resp.Close {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestEntrypoint_Cursor(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, request, want string }{
		{"none", get + "\r\n", ""},
		{"header", get + "Last-Event-ID: abc=\r\n\r\n", "abc="},
		{"query", strings.Replace(get, "?a=b", "?from=earliest", 1) + "\r\n", "earliest"},
		{"query, long name", strings.Replace(get, "?a=b", "?lastEventId=x%3D", 1) + "\r\n", "x="},
		{"query, as http-get has it", strings.Replace(get, "?a=b", "?cursor=@2026-11-22T10:00:00Z", 1) + "\r\n", "@2026-11-22T10:00:00Z"},
		{"header wins", strings.Replace(get, "?a=b", "?from=earliest", 1) + "Last-Event-ID: abc\r\n\r\n", "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			s := fake.Serve(t, build(t, ""), sub.Backend())
			s.Send(tt.request)
			fake.Within(t, "subscribe", sub.Opened)
			if got := sub.Options().Cursor; got != tt.want {
				t.Errorf("cursor %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEntrypoint_Match(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		status        int
	}{
		{"post", strings.Replace(get, "GET", "POST", 1) + "Content-Length: 0\r\n\r\n", 404},
		{"head", strings.Replace(get, "GET", "HEAD", 1) + "\r\n", 404},
		{"other type", strings.Replace(get, "text/event-stream", "application/json, */*", 1) + "\r\n", 404},
		{"among others", strings.Replace(get, "text/event-stream", "text/html;q=0.9, Text/Event-Stream;q=0.1", 1) + "\r\n", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fake.Serve(t, build(t, ""), &fake.Backend{})
			line, _ := s.Send(tt.request).ReadString('\n')
			if !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", tt.status)) {
				t.Error(line)
			}
		})
	}
}

// A client of HTTP/1.0, or one that says "Connection: close", still gets its stream.
func TestEntrypoint_OldClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		chunked       bool
	}{
		{"1.0", strings.Replace(get, "1.1", "1.0", 1) + "\r\n", false},
		{"close", get + "Connection: close\r\n\r\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			s := fake.Serve(t, build(t, ""), sub.Backend())
			resp, p := open(t, s, tt.request)
			if !resp.Close || (len(resp.TransferEncoding) > 0) != tt.chunked {
				t.Errorf("close %v, transfer encoding %v", resp.Close, resp.TransferEncoding)
			}
			sub.Push(data(1, "", "one"))
			if e, ok := p.next(); !ok || e.Data != "one" {
				t.Errorf("%v %v", e, ok)
			}
			sub.End(io.EOF)
			if e, ok := p.next(); ok {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestEntrypoint_ClientLeaves(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	c := s.Dial()
	_, _ = io.WriteString(c, get+"\r\n")
	fake.Within(t, "subscribe", sub.Opened)
	_ = c.Close()
	fake.Within(t, "close", sub.Closed) // at once, long before a heartbeat
}

func TestEntrypoint_ClientTalksTooMuch(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, ""), sub.Backend())
	c := s.Dial()
	_, _ = io.WriteString(c, get+"\r\n")
	junk := make([]byte, 4096)
	for {
		if _, err := c.Write(junk); err != nil {
			break
		}
	}
	fake.Within(t, "close", sub.Closed)
}

// A client that reads nothing is cut after the write timeout, and costs no more memory than one write until then.
func TestEntrypoint_ClientStopsReading(t *testing.T) {
	t.Parallel()
	env := fake.Env()
	env.Loop = fake.Loop(t, 1)
	env.Limits.WriteTimeout = 50 * time.Millisecond
	e, err := sse.New(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	sub := fake.NewSubscription()
	content := strings.Repeat("x", 1<<10)
	for i := range int64(64 << 10) {
		sub.Push(data(i, "", content))
	}
	s := fake.Serve(t, e, sub.Backend())
	c := s.Dial()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	_, _ = io.WriteString(c, get+"\r\n")
	fake.Within(t, "close", sub.Closed)
	if sub.Waiting() == 0 {
		t.Error("everything was taken from the subscription although the client read nothing")
	}
}

func TestEntrypoint_DrainCutsWhoDoesNotLeave(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	sub.Push(data(1, "", strings.Repeat("x", 64<<20))) // more than any socket buffer
	s := fake.Serve(t, build(t, ""), sub.Backend())
	_, _ = io.WriteString(s.Dial(), get+"\r\n")
	for sub.Waiting() > 0 {
		runtime.Gosched()
	}
	s.Stop(nil)
	if cut := s.Drain(20 * time.Millisecond); cut != 1 {
		t.Errorf("cut %d", cut)
	}
	fake.Within(t, "close", sub.Closed)
}

func TestEntrypoint_NoneReportsNothing(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.None)
	_, p := open(t, s, get+"\r\n")
	sub.Push(data(1, "", "one"))
	p.next()
	sub.End(errors.New("odd"))
	if e, _ := p.next(); e.Type != "error" || e.Data != "Internal Server Error" {
		t.Errorf("%+v", e)
	}
	if sub.Delivered() != -1 {
		t.Errorf("delivered through %d", sub.Delivered())
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
		_, _ = io.WriteString(c, get+"\r\n")
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
