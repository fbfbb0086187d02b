package httppost_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httppost"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

func build(t testing.TB, cfg string, change func(*connectors.Limits)) *httppost.Entrypoint {
	t.Helper()
	env := fake.Env()
	if change != nil {
		change(&env.Limits)
	}
	e, err := httppost.New([]byte(cfg), env)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func post(body, headers string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", headers, len(body), body)
}

func TestEntrypoint_Answers(t *testing.T) {
	t.Parallel()
	fail := func(f *message.Failure) error { return f }
	tests := []struct {
		name, body, headers string
		err                 error
		status              int
		answer, contentType string
		close               bool
	}{
		{"acknowledged", "hello", "", nil, 202, "", "", false},
		{"policy refuses, text", "x", "", fail(&message.Failure{Status: 412, Message: "no"}), 412, "no", "text/plain", false},
		{"policy refuses, JSON", "x", "Accept: application/json\r\n", fail(&message.Failure{Status: 412, Message: `a "b"`}), 412, `{"message":"a \"b\"","http_status_code":412}`, "application/json", false},
		{"any type is JSON", "x", "Accept: text/html, */*;q=0.1\r\n", fail(&message.Failure{Status: 400, Message: "m"}), 400, `{"message":"m","http_status_code":400}`, "application/json", false},
		{"no status is 503", "x", "", fail(&message.Failure{Message: "m"}), 503, "m", "text/plain", true},
		{"outcome unknown is said", "x", "", fail(&message.Failure{Status: 504, Message: "timed out", Unknown: true}), 504, "timed out; it is unknown whether the message was stored", "text/plain", true},
		{"no details of a strange error", "x", "", errors.New("secret"), 500, "Internal Server Error", "text/plain", true},
		{"too large", string(make([]byte, 101)), "", nil, 413, "Request body too large", "text/plain", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := build(t, "", func(l *connectors.Limits) { l.MaxBody = 100 })
			s := fake.Serve(t, e, &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
				if string(m.Content) != tt.body || len(m.Headers) > 0 || m.ID != nil {
					t.Errorf("published %q %v %q", m.Content, m.Headers, m.ID)
				}
				m.Done(tt.err)
			}})
			resp, body := s.Do(post(tt.body, tt.headers))
			if resp.StatusCode != tt.status || body != tt.answer || resp.Header.Get("Content-Type") != tt.contentType || resp.Close != tt.close {
				t.Errorf("%d %q %v close %v, want %+v", resp.StatusCode, body, resp.Header, resp.Close, tt)
			}
		})
	}
}

func TestEntrypoint_NoBodyNoMessage(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, "", nil), &fake.Backend{OnPublish: func(context.Context, *exchange.Exchange, *message.Message) {
		t.Error("published")
	}})
	if resp, body := s.Do(post("", "")); resp.StatusCode != 202 || body != "" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestEntrypoint_RequestHeadersToMessage(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	s := fake.Serve(t, build(t, `{"requestHeadersToMessage":true}`, nil), &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		text := ""
		for _, h := range m.Headers {
			text += h.Name + "=" + string(h.Value) + ";"
		}
		got <- text
		m.Done(nil)
	}})
	s.Do(post("x", "X-A: 1\r\nx-a: 2\r\nContent-Type: text/x\r\n"))
	if text := <-got; text != "Host=h;Content-Length=1;Content-Type=text/x;X-A=1;X-A=2;" {
		t.Error(text)
	}
}

func TestEntrypoint_TimeoutSaysOutcomeUnknown(t *testing.T) {
	t.Parallel()
	published := make(chan *message.Message, 1)
	s := fake.Serve(t, build(t, "", func(l *connectors.Limits) { l.RequestTimeout = time.Millisecond }), &fake.Backend{
		OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { published <- m },
	})
	resp, body := s.Do(post("kept", ""))
	if resp.StatusCode != 504 || body != "Request timeout: no acknowledgement in time; it is unknown whether the message was stored" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	m := <-published
	if string(m.Content) != "kept" { // the message belongs to the endpoint until Done
		t.Errorf("content %q", m.Content)
	}
	m.Done(nil)
}

func TestEntrypoint_Stopping(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, "", nil), &fake.Backend{})
	s.Stop(nil)
	resp, body := s.Do(post("x", ""))
	if resp.StatusCode != 503 || body != "Stopping, please reconnect" || !resp.Close {
		t.Errorf("%d %q close %v", resp.StatusCode, body, resp.Close)
	}
}

func TestEntrypoint_StoppingWhileWaitingForRoom(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := fake.Serve(t, build(t, "", nil), &fake.Backend{OnPublish: func(ctx context.Context, _ *exchange.Exchange, m *message.Message) {
		close(entered)
		<-ctx.Done()
		m.Done(&message.Failure{Status: 503, Key: message.KeyBufferFull, Message: "full"})
	}})
	r := s.Send(post("x", ""))
	fake.Within(t, "publish", entered)
	s.Stop(nil)
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 503 Service Unavailable\r\n" {
		t.Error(line)
	}
}

func TestEntrypoint_StoppingWaitsForWhatWasHandedOn(t *testing.T) {
	t.Parallel()
	published := make(chan *message.Message, 1)
	s := fake.Serve(t, build(t, "", nil), &fake.Backend{
		OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { published <- m },
	})
	r := s.Send(post("x", ""))
	m := <-published
	s.Stop(nil)
	m.Done(nil)
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 202 Accepted\r\n" {
		t.Error(line)
	}
}

// The message may be released by a late answer while another request already uses the pools.
func TestEntrypoint_LateAnswersDoNotMix(t *testing.T) {
	t.Parallel()
	e := build(t, "", func(l *connectors.Limits) { l.RequestTimeout = 5 * time.Millisecond })
	late := make(chan *message.Message, 1000)
	s := fake.Serve(t, e, &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		if m.Content[0] == 'l' {
			late <- m
			return
		}
		m.Done(nil)
	}})
	slow := s.Send(post("late", ""))
	for range 200 {
		if resp, _ := s.Do(post("now", "")); resp.StatusCode != 202 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	(<-late).Done(errors.New("late"))
	if line, _ := slow.ReadString('\n'); line == "HTTP/1.1 202 Accepted\r\n" {
		t.Error("a message that nobody acknowledged was accepted")
	}
}

func TestEntrypoint_Allocations(t *testing.T) {
	if fake.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	e := build(t, `{"requestHeadersToMessage":true}`, nil)
	var fctx fasthttp.RequestCtx
	fctx.Request.Header.SetMethod("POST")
	fctx.Request.Header.Set("X-Header", "value")
	fctx.Request.SetBodyString("a body")
	x := &exchange.Exchange{HTTP: &fctx}
	ctx := t.Context()
	b := &fake.Backend{}
	got := testing.AllocsPerRun(2000, func() { e.Handle(ctx, x, b) })
	t.Logf("%.2f allocations per POST with headers", got)
	if got > 3 {
		t.Errorf("%.2f allocations per POST, at most 3 are allowed", got)
	}
	plain := build(t, "", nil)
	if got := testing.AllocsPerRun(2000, func() { plain.Handle(ctx, x, b) }); got > 0 {
		t.Errorf("%.2f allocations per POST without headers", got)
	}
}

func TestType_Check(t *testing.T) {
	t.Parallel()
	if p := httppost.Type.Check([]byte(`{"requestHeadersToMessage":[]}`)); len(p.Errors()) != 1 || p[0].Pointer != "/requestHeadersToMessage" {
		t.Errorf("%v", p)
	}
	if _, err := httppost.Type.New([]byte(`{"requestHeadersToMessage":[]}`), fake.Env()); err == nil {
		t.Error("built from a wrong configuration")
	}
}
