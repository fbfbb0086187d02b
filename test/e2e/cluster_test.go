//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// startCluster runs three control-plane nodes and two workers, which have the given flags, and returns when both workers
// are ready.
func startCluster(t *testing.T, workerFlags ...string) *process.Cluster {
	t.Helper()
	c, err := process.StartCluster(t.Context(), t.TempDir(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Log(c.Tails())
		}
	})
	for range 2 {
		w, err := c.AddWorker(workerFlags...)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func mockAPI(t *testing.T, name, path string) []byte {
	t.Helper()
	return encode(t, object{
		"name": name, "apiVersion": "1.0", "definitionVersion": "4.0.0", "type": "message",
		"listeners": []object{{"type": "http", "paths": []object{{"path": path}}, "entrypoints": []object{entrypoint("http-post", "auto", nil), entrypoint("sse", "none", nil)}}},
		"endpointGroups": []object{{"name": "mock", "type": "mock", "endpoints": []object{
			{"name": "mock", "type": "mock", "configuration": object{"messageInterval": 50, "messageContent": name}}}}},
		"plans": []object{keyless},
	})
}

// traffic posts to every URL without pause and counts what is not a 202.
type traffic struct {
	stop   context.CancelFunc
	wait   sync.WaitGroup
	ok     atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[string]
}

func startTraffic(t *testing.T, urls ...string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{stop: cancel}
	for _, u := range urls {
		tr.wait.Add(1)
		go func() {
			defer tr.wait.Done()
			for ctx.Err() == nil {
				status, body, err := post(ctx, u, "x")
				switch {
				case ctx.Err() != nil:
				case err == nil && status == http.StatusAccepted:
					tr.ok.Add(1)
				default:
					tr.failed.Add(1)
					text := fmt.Sprintf("%s: %d %s %v", u, status, body, err)
					tr.first.CompareAndSwap(nil, &text)
				}
			}
		}()
	}
	return tr
}

// check ends the traffic and fails the test where a request failed or none was made.
func (tr *traffic) check(t *testing.T) {
	t.Helper()
	tr.stop()
	tr.wait.Wait()
	if n := tr.failed.Load(); n > 0 || tr.ok.Load() == 0 {
		text := tr.first.Load()
		if text == nil {
			text = new(string)
		}
		t.Errorf("%d requests failed, %d went well; the first failure: %s", n, tr.ok.Load(), *text)
	}
}

// leader returns the node that leads and the others.
func leader(t *testing.T, c *process.Cluster) (*process.Node, []*process.Node) {
	t.Helper()
	lead, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lead, slices.DeleteFunc(slices.Clone(c.Nodes), func(n *process.Node) bool { return n == lead })
}

// TestCluster_LeaderKilled writes definitions through a follower while the leader is killed: every accepted write is
// there afterwards, no request on the workers fails, and writes are accepted again soon.
func TestCluster_LeaderKilled(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	if _, err := c.Nodes[0].Deploy(ctx, mockAPI(t, "served", "/served")); err != nil {
		t.Fatal(err)
	}
	lead, others := leader(t, c)
	tr := startTraffic(t, c.Workers[0].Gateway+"/served", c.Workers[1].Gateway+"/served")
	accepted := map[string]bool{}
	var killedAt time.Time
	var gap time.Duration
	const writes = 60
	for i := range writes {
		if i == writes/3 {
			lead.Kill()
			killedAt = time.Now()
		}
		name := fmt.Sprintf("api-%d", i)
		a, err := others[i%2].Do(ctx, http.MethodPost, "/v4/apis", mockAPI(t, name, "/"+name))
		if err == nil && a.Status == http.StatusCreated {
			accepted[name] = true
			if gap == 0 && !killedAt.IsZero() {
				gap = time.Since(killedAt)
			}
		}
	}
	tr.check(t)
	t.Logf("writes accepted again %s after the leader was killed; %d of %d accepted", gap, len(accepted), writes)
	if gap == 0 || gap > 15*time.Second { // generous: the benchmark reports the figure, this only bounds it
		t.Errorf("writes were accepted again after %s", gap)
	}
	if err := lead.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := lead.AwaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range append(others, lead) { // linearizable on every node, the restarted one too
		have := apiNames(t, n)
		for name := range accepted {
			if !have[name] {
				t.Errorf("%s has lost %s, which was accepted", n.ID, name)
			}
		}
	}
}

func apiNames(t *testing.T, n *process.Node) map[string]bool {
	t.Helper()
	a, err := n.Do(t.Context(), http.MethodGet, "/v4/apis?perPage=1000", nil)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("list on %s: %d %s %v", n.ID, a.Status, a.Body, err)
	}
	var list struct {
		Data []struct {
			Name string `json:"name"`
		} `json:"data"`
	}
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatalf("list on %s: %v\n%s", n.ID, err, a.Body)
	}
	out := map[string]bool{}
	for _, api := range list.Data {
		out[api.Name] = true
	}
	return out
}

// TestCluster_WaitMeansServed deploys with ?wait= and asks both workers at once: neither may answer 404.
func TestCluster_WaitMeansServed(t *testing.T) {
	c := startCluster(t)
	for i := range 20 {
		name := fmt.Sprintf("wait-%d", i)
		if _, err := c.Nodes[i%3].Deploy(t.Context(), mockAPI(t, name, "/"+name)); err != nil {
			t.Fatal(err)
		}
		for _, w := range c.Workers {
			if status, body, err := post(t.Context(), w.Gateway+"/"+name, "x"); err != nil || status != http.StatusAccepted {
				t.Fatalf("%s on %s right after the deploy: %d %s %v", name, w.Name, status, body, err)
			}
		}
	}
}

// TestCluster_RedeployUnderLoad redeploys one API again and again under load on it and on another: no request of either
// fails, and a stream of the redeployed one is told to come back, with the other's left alone.
func TestCluster_RedeployUnderLoad(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	node, w := c.Nodes[0], c.Workers[0]
	id, err := node.Deploy(ctx, mockAPI(t, "changing", "/changing"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Deploy(ctx, mockAPI(t, "still", "/still")); err != nil {
		t.Fatal(err)
	}
	still := openSSE(ctx, t, w.Gateway+"/still")
	changing := openSSE(ctx, t, w.Gateway+"/changing")
	tr := startTraffic(t, w.Gateway+"/changing", w.Gateway+"/changing", w.Gateway+"/still", c.Workers[1].Gateway+"/changing")
	for i := range 15 {
		definition := strings.Replace(string(mockAPI(t, "changing", "/changing")), `"messageContent":"changing"`, fmt.Sprintf(`"messageContent":"changed %d"`, i), 1)
		a, err := node.Do(ctx, http.MethodPut, "/v4/apis/"+id, []byte(definition))
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("update %d: %d %s %v", i, a.Status, a.Body, err)
		}
		if a, err = node.Do(ctx, http.MethodPost, "/v4/apis/"+id+"/deploy?wait=20s", nil); err != nil || a.Status != http.StatusOK {
			t.Fatalf("deploy %d: %d %s %v", i, a.Status, a.Body, err)
		}
	}
	tr.check(t)
	for {
		e, err := changing.next()
		if err != nil {
			t.Fatalf("the redeployed API's stream ended without a word: %v", err)
		}
		if e.name == "reconnect" {
			break
		}
	}
	if e, err := still.nextMessage(); err != nil || e.data != "still" {
		t.Errorf("the other API's stream: %+v %v", e, err)
	}
}

// TestCluster_WorkersServeAlone stops the whole control plane, NATS with it: workers go on. Started again, they converge
// with no restart of theirs, also on what changed meanwhile.
func TestCluster_WorkersServeAlone(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	if _, err := c.Nodes[0].Deploy(ctx, mockAPI(t, "before", "/before")); err != nil {
		t.Fatal(err)
	}
	tr := startTraffic(t, c.Workers[0].Gateway+"/before", c.Workers[1].Gateway+"/before")
	for _, n := range c.Nodes {
		n.Kill()
	}
	alone := time.Now()
	for ok := tr.ok.Load(); time.Since(alone) < 3*time.Second || tr.ok.Load() < ok+100; {
		if time.Since(alone) > process.Within {
			break
		}
		time.Sleep(50 * time.Millisecond) // how long they are alone is what is tried here
	}
	for _, n := range c.Nodes {
		if err := n.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes {
		if err := n.AwaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Nodes[1].Deploy(ctx, mockAPI(t, "after", "/after")); err != nil {
		t.Fatal(err)
	}
	tr.check(t)
	for _, w := range c.Workers {
		ctx, cancel := context.WithTimeout(ctx, process.Within)
		defer cancel()
		for {
			status, body, err := post(ctx, w.Gateway+"/after", "x")
			if err == nil && status == http.StatusAccepted {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s has not converged: %d %s %v", w.Name, status, body, err)
			}
		}
	}
}
