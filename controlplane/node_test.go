package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "0123456789abcdef0123456789abcdef"
	root  = "/management/organizations/DEFAULT/environments/DEFAULT/v4/apis"
	// patience bounds every wait of these tests.
	patience = 30 * time.Second
)

// testNode is a running node.
type testNode struct {
	*Node
	url    string
	client *http.Client
	stop   context.CancelFunc
	done   chan error
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// launch runs n nodes of one cluster.
func launch(t *testing.T, n int) []*testNode {
	t.Helper()
	var peers []store.Peer
	var lns []net.Listener
	for i := range n {
		lns = append(lns, listen(t))
		peers = append(peers, store.Peer{ID: fmt.Sprint("n", i), Address: lns[i].Addr().String()})
	}
	var nodes []*testNode
	for i := range n {
		id, err := identity.New(identity.Secret{7}, identity.Config{Node: peers[i].ID})
		if err != nil {
			t.Fatal(err)
		}
		ln := listen(t)
		node, err := New(Config{Store: store.Config{NodeID: peers[i].ID, DataDir: t.TempDir(), Peers: peers}, REST: rest.Config{Token: token, AutoKeylessPlan: true}}, Deps{
			Identity: id, Peers: lns[i], Management: ln, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Meter: noop.Meter{},
			Validate:          func(d *apidef.Document) apidef.Problems { return d.Validate(apidef.Validation{}) },
			Deployable:        func(*apidef.API) apidef.Problems { return nil },
			CheckSubscription: func(typ string, _ json.RawMessage) (apidef.Problems, bool) { return nil, typ == "webhook" },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		run := &testNode{Node: node, url: "http://" + ln.Addr().String(), client: &http.Client{Transport: &http.Transport{}}, stop: cancel, done: make(chan error, 1)}
		go func() { run.done <- node.Run(ctx) }()
		t.Cleanup(func() { run.halt(t) })
		nodes = append(nodes, run)
	}
	return nodes
}

func (n *testNode) halt(t *testing.T) {
	t.Helper()
	n.client.CloseIdleConnections()
	n.stop()
	if err, open := <-n.done; open {
		close(n.done)
		if err != nil {
			t.Errorf("node stopped: %v", err)
		}
	}
}

// call sends a request and returns the status and the body.
func (n *testNode) call(ctx context.Context, method, path, body string) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	_ = json.Unmarshal(b, &out) // 204 has none
	return resp.StatusCode, out, nil
}

func definition(id string) string {
	return fmt.Sprintf(`{"id": %q, "name": %q, "apiVersion": "1", "definitionVersion": "4.0.0", "type": "message",
		"listeners": [{"type": "http", "paths": [{"path": "/%s"}], "entrypoints": [{"type": "http-post"}]}],
		"endpointGroups": [{"name": "default", "type": "mock", "endpoints": [{"name": "one", "type": "mock"}]}]}`, id, id, id)
}

// must calls until the cluster has a leader, and wants this status.
func (n *testNode) must(t *testing.T, want int, method, path, body string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		status, out, err := n.call(ctx, method, path, body)
		switch {
		case err != nil:
			t.Fatal(err)
		case status == want:
			return out
		case status != http.StatusServiceUnavailable:
			t.Fatalf("%s %s: %d %v", method, path, status, out)
		}
	}
}

func TestNode_AnyNodeTakesAnyRequest(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3)
	for i := range 9 {
		id := fmt.Sprint("api", i)
		nodes[i%3].must(t, 201, "POST", root, definition(id))
		nodes[(i+1)%3].must(t, 200, "GET", root+"/"+id, "") // at once, on another node: linearizable
		nodes[(i+2)%3].must(t, 204, "POST", root+"/"+id+"?action=START", "")
	}
	status, out, err := nodes[1].call(t.Context(), "POST", root, definition("api0"))
	if err != nil || status != 400 || out["technicalCode"] != management.CodeAPIExists {
		t.Fatalf("the same id again: %d %v %v", status, out, err)
	}
	st := nodes[2].must(t, 200, "GET", root+"?state=STARTED", "")
	if got := len(st["data"].([]any)); got != 9 {
		t.Fatalf("%d APIs are started, want 9", got)
	}
	for _, n := range nodes {
		n.must(t, 200, "GET", root+"/api8", "") // brings the node up to date
		select {
		case <-n.Source().Changed():
		case <-time.After(patience):
			t.Fatal("the source gives no notice")
		}
		snap := n.Source().Snapshot()
		revision, all := snap.Revision, snap.APIs
		if len(all) != 9 || revision == 0 || revision != n.Source().Revision() || len(all[0].Definition) == 0 {
			t.Fatalf("source: %d APIs at %d", len(all), revision)
		}
		w := get(t, n.Health())
		if w.StatusCode != 200 {
			t.Fatalf("health: %d", w.StatusCode)
		}
	}
}

func get(t *testing.T, h http.Handler) *http.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/_node/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(rec, r)
	return rec.Result()
}

// TestNode_LeaderStopsUnderWrites stops the leader while every node is written to: what was accepted is there.
func TestNode_LeaderStopsUnderWrites(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3)
	nodes[0].must(t, 201, "POST", root, definition("first"))
	led := slices.IndexFunc(nodes, func(n *testNode) bool { leads, _ := n.Source().Leader(); return leads })
	if led < 0 {
		t.Fatal("no leader")
	}
	var mu sync.Mutex
	accepted := []string{"first"} // guarded by mu
	var writers sync.WaitGroup
	reached := make(chan struct{}, 1)
	for w, n := range nodes {
		if w == led {
			continue
		}
		writers.Go(func() {
			for i := range 40 {
				id := fmt.Sprintf("w%d-%d", w, i)
				status, out, err := n.call(t.Context(), "POST", root, definition(id))
				if err != nil || status != 201 {
					t.Errorf("write %s: %d %v %v", id, status, out, err)
					continue
				}
				mu.Lock()
				accepted = append(accepted, id)
				if len(accepted) == 20 {
					reached <- struct{}{}
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatal("writes do not get through")
	}
	nodes[led].halt(t)
	writers.Wait()
	for w, n := range nodes {
		if w == led {
			continue
		}
		for _, id := range accepted {
			n.must(t, 200, "GET", root+"/"+id, "")
		}
	}
}

// TestNode_SubscriptionsOutliveTheLeader: what was accepted on one node is there on the others once the leader is gone, with
// its secrets, and its life goes on.
func TestNode_SubscriptionsOutliveTheLeader(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3)
	api := strings.Replace(definition("hooks"), `{"type": "http", "paths": [{"path": "/hooks"}], "entrypoints": [{"type": "http-post"}]}`,
		`{"type": "subscription", "entrypoints": [{"type": "webhook"}]}`, 1)
	nodes[0].must(t, 201, "POST", root, api)
	nodes[1].must(t, 201, "POST", root+"/hooks/plans", `{"id": "push", "name": "Push", "mode": "PUSH", "status": "published"}`)
	subs := root + "/hooks/subscriptions"
	nodes[2].must(t, 201, "POST", subs, `{"id": "s", "planId": "push", "consumerConfiguration": {"entrypointId": "webhook",
		"entrypointConfiguration": {"callbackUrl": "https://example.com", "auth": {"token": {"value": "hidden"}}}}}`)
	nodes[0].must(t, 200, "POST", subs+"/s/_accept", "")
	led := slices.IndexFunc(nodes, func(n *testNode) bool { leads, _ := n.Source().Leader(); return leads })
	if led < 0 {
		t.Fatal("no leader")
	}
	nodes[led].halt(t)
	left := slices.Delete(slices.Clone(nodes), led, led+1)
	if got := left[0].must(t, 200, "GET", subs+"/s", ""); got["status"] != "ACCEPTED" || strings.Contains(fmt.Sprint(got), "hidden") {
		t.Errorf("after the leader: %v", got)
	}
	if got := string(left[0].store.State().Subscription("s").Consumer.Configuration); !strings.Contains(got, "hidden") {
		t.Errorf("stored %s", got)
	}
	left[1].must(t, 200, "POST", subs+"/s/_pause", "")
	if got := left[0].must(t, 200, "GET", subs+"/s", ""); got["status"] != "PAUSED" {
		t.Errorf("paused on another node: %v", got)
	}
}

func TestNode_JoinsARunningCluster(t *testing.T) {
	t.Parallel()
	first := launch(t, 1)[0]
	first.must(t, 201, "POST", root, definition("a"))
	id, err := identity.New(identity.Secret{7}, identity.Config{Node: "late"})
	if err != nil {
		t.Fatal(err)
	}
	node, err := New(Config{Store: store.Config{NodeID: "late", DataDir: t.TempDir(), Joining: true}, JoinThrough: first.Address(), REST: rest.Config{Token: token}}, Deps{
		Identity: id, Peers: listen(t), Management: listen(t), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Meter: noop.Meter{},
		Validate: func(*apidef.Document) apidef.Problems { return nil }, Deployable: func(*apidef.API) apidef.Problems { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	waited, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := node.store.WaitApplied(waited, first.store.State().Index()); err != nil {
		t.Fatal(err)
	}
	if st := first.must(t, 200, "GET", "/management/cluster", ""); len(st["members"].([]any)) != 2 {
		t.Fatalf("members %v", st["members"])
	}
	first.must(t, 204, "DELETE", "/management/cluster/members/late", "") // before it goes: two nodes need two
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestNode_NewGivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	id, err := identity.New(identity.Secret{7}, identity.Config{Node: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	deps := Deps{Identity: id, Peers: listen(t), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Meter: noop.Meter{}}
	boom := errors.New("no broker")
	deps.Push = func(*Source) (Push, error) { return nil, boom }
	if _, err := New(Config{Store: store.Config{NodeID: "n0", DataDir: dir}}, deps); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	deps.Push, deps.Peers = nil, listen(t)
	if _, err := New(Config{Store: store.Config{NodeID: "n0", DataDir: dir}}, deps); err == nil || errors.Is(err, store.ErrLocked) {
		t.Fatalf("without a token: %v", err)
	}
}
