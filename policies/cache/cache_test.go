package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// memory is a cache that remembers how long it was to keep the last value.
type memory struct {
	values map[string][]byte
	life   time.Duration
	down   error
}

func (m *memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	v, ok := m.values[key]
	return v, ok, m.down
}

func (m *memory) Put(_ context.Context, key string, value []byte, life time.Duration) error {
	if m.down == nil {
		m.values[key], m.life = value, life
	}
	return m.down
}

func (m *memory) Evict(_ context.Context, key string) error {
	delete(m.values, key)
	return m.down
}

func compiled(t *testing.T, cfg string, resource any) *policy {
	t.Helper()
	made, problems := compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Resource: func(string) any { return resource }})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return made.(*policy)
}

// ask sends a request, which the backend answers with its status, headers and body where it is asked, and renders the answer.
func ask(t *testing.T, p *policy, url, application string, request map[string]string, status int, answer ...string) string {
	t.Helper()
	http := &fasthttp.RequestCtx{}
	http.Request.SetRequestURI(url)
	for k, v := range request {
		if k == ":method" {
			http.Request.Header.SetMethod(v)
			continue
		}
		http.Request.Header.Set(k, v)
	}
	var c policies.Context
	c.Init(&exchange.Exchange{HTTP: http, API: &exchange.API{ID: "api"}, Application: application}, nil)
	err := p.OnRequest(t.Context(), &c)
	switch {
	case errors.Is(err, policies.ErrAnswered):
		return fmt.Sprintf("kept %d %s %s", http.Response.StatusCode(), http.Response.Header.Peek("X-A"), http.Response.Body())
	case err != nil:
		return err.Error()
	}
	http.Response.SetStatusCode(status)
	http.Response.SetBodyString("fresh")
	for i := 0; i+1 < len(answer); i += 2 {
		http.Response.Header.Set(answer[i], answer[i+1])
	}
	c.Answered(t.Context())
	return "asked " + string(http.Request.RequestURI())
}

func TestPolicy_KeepsAnswers(t *testing.T) {
	t.Parallel()
	m := &memory{values: map[string][]byte{}}
	p := compiled(t, `{"cacheName":"c","timeToLiveSeconds":60}`, m)
	for _, c := range []struct {
		what, url, app string
		request        map[string]string
		status         int
		want           string
	}{
		{"the first", "/a?y=2&x=1", "one", nil, 201, "asked /a?y=2&x=1"},
		{"the same", "/a?y=2&x=1", "one", nil, 0, "kept 201 v fresh"},
		{"in another order", "/a?x=1&y=2", "one", nil, 0, "kept 201 v fresh"},
		{"another application", "/a?x=1&y=2", "two", nil, 404, "asked /a?x=1&y=2"},
		{"a failure is not kept", "/a?x=1&y=2", "two", nil, 200, "asked /a?x=1&y=2"},
		{"another query", "/a?x=1", "one", nil, 200, "asked /a?x=1"},
		{"what looks the same", "/a?x=1%26y=2", "one", nil, 200, "asked /a?x=1%26y%3D2"},
		{"another method", "/a?x=1", "one", map[string]string{":method": "POST"}, 200, "asked /a?x=1"},
		{"passed by", "/a?x=1", "one", map[string]string{"X-Gravitee-Cache": "by_pass"}, 202, "asked /a?x=1"},
		{"refreshed", "/a?cache=refresh&x=1", "one", nil, 203, "asked /a?x=1"},
		{"after that", "/a?x=1", "one", nil, 0, "kept 203 v fresh"},
	} {
		if got := ask(t, p, c.url, c.app, c.request, c.status, "X-A", "v", "Connection", "close"); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestPolicy_Conditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cfg string
		answer    []string
		want      time.Duration // 0: not kept
	}{
		{"2xx", ``, nil, time.Minute},
		{"a condition that is met", `,"responseCondition":"{#upstreamResponse.status == 200 and #upstreamResponse.headers['X-K'] == 'y'}"`, []string{"X-K", "y"}, time.Minute},
		{"one that is not", `,"responseCondition":"{#upstreamResponse.headers['X-K'] == 'y'}"`, nil, 0},
		{"one that cannot be evaluated", `,"responseCondition":"{#upstreamResponse.none.x == 1}"`, nil, 0},
		{"a shorter life", `,"useResponseCacheHeaders":true`, []string{"Cache-Control", "public, max-age=7"}, 7 * time.Second},
		{"one of shared caches", `,"useResponseCacheHeaders":true`, []string{"Cache-Control", "s-maxage=5, max-age=7"}, 5 * time.Second},
		{"a longer life", `,"useResponseCacheHeaders":true`, []string{"Cache-Control", "max-age=700"}, time.Minute},
		{"not at all", `,"useResponseCacheHeaders":true`, []string{"Cache-Control", "no-store"}, 0},
		{"for one client", `,"useResponseCacheHeaders":true`, []string{"Cache-Control", "Private"}, 0},
		{"expired", `,"useResponseCacheHeaders":true`, []string{"Expires", "Thu, 01 Jan 1970 00:00:00 GMT"}, 0},
		{"headers that are not asked for", ``, []string{"Cache-Control", "no-store"}, time.Minute},
	} {
		m := &memory{values: map[string][]byte{}}
		p := compiled(t, `{"cacheName":"c","timeToLiveSeconds":60`+c.cfg+`}`, m)
		ask(t, p, "/", "a", nil, 200, c.answer...)
		if m.life != c.want || (len(m.values) == 1) != (c.want > 0) {
			t.Errorf("%s: kept %d for %v, want %v", c.name, len(m.values), m.life, c.want)
		}
	}
}

func TestPolicy_CachesThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	const cfg = `{"cacheName":"c","key":"k{#request.path}","scope":"API"}`
	if got := ask(t, compiled(t, cfg, nil), "/", "", nil, 200); got != "No cache has been defined with name c" {
		t.Errorf("none: %s", got)
	}
	if got := ask(t, compiled(t, cfg, "something else"), "/", "", nil, 200); got != "No cache has been defined with name c" {
		t.Errorf("no cache: %s", got)
	}
	if got := ask(t, compiled(t, cfg, &memory{down: errors.New("down")}), "/", "", nil, 200); got != "asked /" {
		t.Errorf("down: %s", got)
	}
	m := &memory{values: map[string][]byte{}}
	p := compiled(t, cfg, m)
	ask(t, p, "/", "one", nil, 200)
	for key := range m.values {
		m.values[key] = []byte("damaged")
	}
	if got := ask(t, p, "/", "two", nil, 200); got != "asked /" {
		t.Errorf("an entry that cannot be read: %s", got)
	}
	if got := ask(t, p, "/", "three", nil, 200); got != "kept 200  fresh" || len(m.values) != 1 {
		t.Errorf("after that: %s, %d entries", got, len(m.values))
	}
}
