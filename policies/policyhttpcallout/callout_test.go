package policyhttpcallout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/policyhttpcallout"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func compiled(t *testing.T, cfg string) any {
	t.Helper()
	made, problems := policyhttpcallout.Type.Compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Publish})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.(io.Closer).Close() })
	return made
}

// echo answers 418 with what it saw.
func echo(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, `{"saw":"%s %s %s %s"}`, r.Method, r.URL, r.Header.Get("X-H"), body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestPolicy_OnMessage(t *testing.T) {
	t.Parallel()
	url := echo(t)
	all := `"method":"POST","url":"` + url + `/{#message.headers['k'][0]}","body":"<{#message.content}>",
		"headers":[{"name":"X-H","value":"{#message.content}"},{"name":" ","value":"x"}]`
	for _, c := range []struct{ name, cfg, want string }{
		{"variables", `{` + all + `,"variables":[{"name":"a","value":"{#jsonPath(#calloutResponse.content,'$.saw')}"},{"name":"gravitee.attribute.s","value":"{#calloutResponse.status}"},
			{"name":"n","value":"{#calloutResponse.status}","evaluateAsString":false},{"name":"h","value":"{#calloutResponse.headers['x-two'][1]}"},{"name":"none","value":"{#calloutResponse.headers['none']}"}]}`,
			`a=POST /v 7 <7> (string) h=2 (string) n=418 (int64) none=<nil> (<nil>) s=418 (string)`},
		{"an error that ends it", `{` + all + `,"exitOnError":true}`, "Request is terminated. (CALLOUT_EXIT_ON_ERROR) 500"},
		{"an error that is told", `{` + all + `,"exitOnError":true,"errorStatusCode":"503","errorContent":"got {#calloutResponse.status}"}`, "got 418 (CALLOUT_EXIT_ON_ERROR) 503"},
		{"no error by the condition", `{` + all + `,"exitOnError":true,"errorCondition":"{#calloutResponse.status == 500}"}`, ""},
		{"no answer", `{"url":"http://127.0.0.1:1/","exitOnError":true,"errorStatusCode":"502"}`, "(CALLOUT_HTTP_ERROR) 502"},
		{"no answer, not asked to end", `{"url":"http://127.0.0.1:1/"}`, "plain"},
		{"an address that is none", `{"url":"{#message.content}","exitOnError":true}`, "(CALLOUT_HTTP_ERROR) 500"},
		{"nobody waits", `{"url":"http://127.0.0.1:1/","fireAndForget":true,"exitOnError":true}`, ""},
	} {
		m := &message.Message{Content: []byte("7"), Headers: []message.Header{{Name: "k", Value: []byte("v")}}}
		var pc policies.Context
		pc.Init(&exchange.Exchange{}, nil)
		pc.SetMessage(m)
		err := compiled(t, c.cfg).(policies.MessagePolicy).OnMessage(t.Context(), &pc, m)
		got := ""
		var f *message.Failure
		switch {
		case errors.As(err, &f):
			got = fmt.Sprintf("%s (%s) %d", f.Message, f.Key, f.Status)
		case err != nil:
			got = "plain"
		}
		for _, name := range []string{"a", "h", "n", "none", "s"} {
			if v, ok := m.Attributes[name]; ok {
				got += fmt.Sprintf(" %s=%v (%T)", name, v, v)
			}
		}
		if want := c.want; !strings.Contains(strings.TrimSpace(got), want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestPolicy_FireAndForget: every call is sent, in bounded connections, also those that wait when the step ends.
func TestPolicy_FireAndForget(t *testing.T) {
	t.Parallel()
	const calls = 20
	var mu sync.Mutex
	var saw []string
	gate := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		saw = append(saw, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	made := compiled(t, `{"url":"`+s.URL+`/{#message.content}","fireAndForget":true,"http":{"maxConcurrentConnections":2}}`)
	if traits := made.(policies.Traited).Traits(); !traits.Shared || !traits.Filter || traits.Blocks {
		t.Errorf("traits %+v", traits)
	}
	for i := range calls {
		m := &message.Message{Content: fmt.Append(nil, "n", i)}
		var c policies.Context
		c.Init(&exchange.Exchange{}, nil)
		c.SetMessage(m)
		if err := made.(policies.MessagePolicy).OnMessage(context.Background(), &c, m); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	_ = made.(io.Closer).Close()
	slices.Sort(saw)
	if len(slices.Compact(saw)) != calls {
		t.Errorf("%d of %d arrived: %v", len(saw), calls, saw)
	}
}

func TestLater_IsBounded(t *testing.T) {
	t.Parallel()
	gate, arrived := make(chan struct{}), make(chan int64, 64)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.ContentLength
		<-gate
	}))
	t.Cleanup(s.Close)
	made := compiled(t, `{"url":"`+s.URL+`","method":"POST","body":"{#message.content}","fireAndForget":true,"http":{"maxConcurrentConnections":1}}`)
	const size, fit = 1 << 20, 7 // 8 MiB hold seven calls of a MiB and a little
	m := &message.Message{Content: make([]byte, size)}
	send := func() {
		var c policies.Context
		c.Init(&exchange.Exchange{}, nil)
		c.SetMessage(m)
		if err := made.(policies.MessagePolicy).OnMessage(context.Background(), &c, m); err != nil {
			t.Fatal(err)
		}
	}
	send()
	<-arrived // the only connection is busy
	for range fit + 5 {
		send()
	}
	close(gate)
	_ = made.(io.Closer).Close()
	if n := len(arrived); n != fit {
		t.Errorf("%d more calls arrived, want %d", n, fit)
	}
}

func TestCompile_Problems(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]string{
		`{}`:                                     "/url",
		`{"url":"ftp://x"}`:                      "/url",
		`{"url":"http://x","method":"GO"}`:       "/method",
		`{"url":"http://x","errorStatusCode":7}`: "/errorStatusCode",
		`{"url":"http://x","headers":[{"name":"a","value":"{#(}"}]}`: "/headers/0/value",
		`{"url":"http://x","variables":[{"value":"x"}]}`:             "/variables/0/name",
		`{"url":"http://x","http":{"readTimeout":0}}`:                "/http/readTimeout",
		`{"url":"http://x","errorCondition":"{#"}`:                   "/errorCondition",
		`{"url":"http://x","ssl":{"trustStore":{"type":"PEM"}}}`:     "/ssl/trustStore",
		`{"url":"http://x","proxy":{"enabled":true,"host":"h"}}`:     "/proxy/port",
		`{"url":"http://x","body":"{#x.}"}`:                          "/body",
	} {
		_, problems := policyhttpcallout.Type.Compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Request})
		if problems.Err() == nil || !strings.HasPrefix(problems[0].Pointer, want) {
			t.Errorf("%s: %v, want %s", cfg, problems, want)
		}
	}
}
