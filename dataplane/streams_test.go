package dataplane_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/mock"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httppost"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
)

// realConfig has real connectors: an API of it posts into and streams out of the mock endpoint.
func realConfig() flow.Config {
	cfg := planetest.Config(nil, nil, nil)
	cfg.Entrypoints = connectors.Entrypoints{"http-post": httppost.Type, "sse": sse.Type}
	cfg.Endpoints = connectors.Endpoints{"mock": mock.Type}
	return cfg
}

func deployed(revision uint64, path string) reactor.Update {
	return reactor.Update{Revision: revision, Changed: []reactor.Deployment{{ID: strings.Trim(path, "/"), Revision: revision,
		Bundle: planetest.Bundle(planetest.API(path, "http-post", "sse"))}}}
}

// stream opens an event stream; read to its end it is the text of all events.
func (n *node) stream(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", n.gateway+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	return http.DefaultClient.Do(req)
}

func TestWorker_RedeployTellsStreamsOfThatAPIOnly(t *testing.T) {
	n := start(t, realConfig(), nil)
	n.Apply(t.Context(), deployed(1, "/a/"))
	n.Apply(t.Context(), deployed(1, "/b/"))
	a, err := n.stream(t.Context(), "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	b, err := n.stream(ctx, "/b")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Body.Close()
	lines := bufio.NewReader(b.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	n.Apply(t.Context(), deployed(2, "/a/"))
	all, err := io.ReadAll(a.Body)
	if err != nil || !strings.Contains(string(all), "reconnect") {
		t.Errorf("the stream ended with %v and said:\n%s", err, all)
	}
	for saw := 0; saw < 2; { // the other stream goes on: it has messages that came after the redeploy
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream of another API ended: %v", err)
		}
		if strings.HasPrefix(line, "data:") {
			saw++
		}
	}
	if st := n.Status(); st.Streams != 1 || st.Connections < 1 {
		t.Errorf("status %+v", st)
	}
}

// TestWorker_RedeployUnderLoad opens streams and posts without a pause while the API is deployed again and again: every
// stream is opened, whatever moment it comes at, and every POST is answered 202.
func TestWorker_RedeployUnderLoad(t *testing.T) {
	n := start(t, realConfig(), nil)
	n.Apply(t.Context(), deployed(1, "/a/"))
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				inner, leave := context.WithCancel(t.Context())
				resp, err := n.stream(inner, "/a")
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("stream: %v %v", resp, err)
					leave()
					return
				}
				leave()
				resp.Body.Close()
			}
		})
		clients.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Post(n.gateway+"/a", "text/plain", strings.NewReader("hello"))
				if err != nil || resp.StatusCode != 202 {
					t.Errorf("POST: %v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	for revision := uint64(2); revision <= 100; revision++ {
		if res := n.Apply(t.Context(), deployed(revision, "/a/")); res[0].State != reactor.Serving {
			t.Fatal(res)
		}
	}
	cancel()
	clients.Wait()
}
