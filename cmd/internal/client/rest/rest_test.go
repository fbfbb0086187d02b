package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

func dial(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Config{Server: url, Token: "sesame", TokenSource: "a file", Org: "DEFAULT", Env: "DEFAULT"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// flaky cuts the first n connections without an answer.
func flaky(t *testing.T, n int, then http.HandlerFunc) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if int(asked.Add(1)) <= n {
			panic(http.ErrAbortHandler)
		}
		then(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestClient_RepeatsOnlyWhatChangesNothing(t *testing.T) {
	t.Parallel()
	list := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":[{"id":"a"}]}`) }
	url, asked := flaky(t, 2, list)
	if all, err := dial(t, url).APIs(t.Context()); err != nil || len(all) != 1 || asked.Load() != 3 {
		t.Errorf("list after 2 cuts: %v %v, asked %d times", all, err, asked.Load())
	}
	url, asked = flaky(t, 1, list)
	_, err := dial(t, url).CreatePlan(t.Context(), "a", apidef.Plan{Name: "x"})
	var down *UnreachableError
	if !errors.As(err, &down) || !down.Changed || asked.Load() != 1 {
		t.Errorf("create: %v, asked %d times", err, asked.Load())
	}
}

func TestClient_KnowsWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = dial(t, "http://"+ln.Addr().String()).Stop(t.Context(), "a")
	var down *UnreachableError
	if !errors.As(err, &down) || down.Changed {
		t.Errorf("%v", err)
	}
}

func TestClient_BoundsAnswers(t *testing.T) {
	t.Parallel()
	chunk := strings.Repeat(" ", 1<<20)
	url, _ := flaky(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		for range maxResponse>>20 + 1 {
			_, _ = io.WriteString(w, chunk)
		}
	})
	_, err := dial(t, url).APIs(t.Context())
	var odd *ProtocolError
	if !errors.As(err, &odd) || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("%v", err)
	}
}

func TestClient_ReadsListsWithoutEnd(t *testing.T) {
	t.Parallel()
	url, asked := flaky(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[{"id":"a"}],"pagination":{"pageCount":1000000}}`)
	})
	if all, err := dial(t, url).APIs(t.Context()); err != nil || len(all) != maxPages || asked.Load() != maxPages {
		t.Errorf("%d APIs, %v", len(all), err)
	}
}

func TestClient_TokenStaysAtTheServer(t *testing.T) {
	t.Parallel()
	url, _ := flaky(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed with Authorization %q", r.Header.Get("Authorization"))
	})
	from, _ := flaky(t, 0, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusTemporaryRedirect) })
	var odd *ProtocolError
	if _, err := dial(t, from).APIs(t.Context()); !errors.As(err, &odd) {
		t.Errorf("%v", err)
	}
}

func TestClient_EscapesIDs(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 1)
	url, _ := flaky(t, 0, func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.EscapedPath() })
	if _, err := dial(t, url).API(t.Context(), "../../a b?c#d/e"); err != nil {
		t.Fatal(err)
	}
	if want := "/management/organizations/DEFAULT/environments/DEFAULT/v4/apis/..%2F..%2Fa%20b%3Fc%23d%2Fe"; <-paths != want {
		t.Errorf("asked for another path than %s", want)
	}
}

func TestClient_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := flaky(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := dial(t, url).APIs(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"loopback", Config{Server: "http://127.0.0.1:8083", Token: "x"}, true},
		{"loopback of 127/8", Config{Server: "http://127.0.0.9:8083", Token: "x"}, true},
		{"loopback v6", Config{Server: "http://[::1]:8083", Token: "x"}, true},
		{"localhost", Config{Server: "http://localhost:8083", Token: "x"}, true},
		{"management path", Config{Server: "https://sluice.example/management/", Token: "x"}, true},
		{"plain http", Config{Server: "http://10.0.0.1:8083", Token: "x"}, false},
		{"plain http to a name like it", Config{Server: "http://localhost.example:8083", Token: "x"}, false},
		{"plain http, insecure", Config{Server: "http://10.0.0.1:8083", Token: "x", InsecureHTTP: true}, true},
		{"plain http without a token", Config{Server: "http://10.0.0.1:8083"}, true},
		{"https", Config{Server: "https://10.0.0.1", Token: "x"}, true},
		{"no scheme", Config{Server: "10.0.0.1:8083"}, false},
		{"no host", Config{Server: "http://"}, false},
		{"other scheme", Config{Server: "unix:///x"}, false},
		{"bad CA", Config{Server: "https://x", CA: []byte("no")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(c.cfg); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}
