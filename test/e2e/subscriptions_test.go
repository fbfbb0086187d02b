//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// subscriber counts what is delivered to it, and answers with status.
type subscriber struct {
	*httptest.Server
	status, got atomic.Int64
}

func newSubscriber(t *testing.T) *subscriber {
	s := &subscriber{}
	s.status.Store(http.StatusOK)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(s.status.Load()))
		s.got.Add(1)
	}))
	t.Cleanup(s.Close)
	return s
}

// more waits until so many more deliveries came.
func (s *subscriber) more(t *testing.T, n int64) {
	t.Helper()
	want := s.got.Load() + n
	eventually(t, "deliveries go on", func() bool { return s.got.Load() >= want })
}

// eventually asks until ok, for processes tell nobody when they have changed.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		case <-tick.C:
		}
	}
}

// call sends a request to a management API and reads the object of the answer.
func call(t *testing.T, m process.Management, want int, method, path string, body []byte) map[string]any {
	t.Helper()
	a, err := m.Do(t.Context(), method, path, body)
	if err != nil || a.Status != want {
		t.Fatalf("%s %s on %s: %d %s %v", method, path, m.URL, a.Status, a.Body, err)
	}
	out := map[string]any{}
	if len(a.Body) > 0 {
		if err := json.Unmarshal(a.Body, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestCluster_SubscriptionOutlivesTheLeader kills the leader under a running push subscription: delivery goes on, the
// subscription is on every other node, its life goes on there, and what the workers report is recorded by the next leader.
func TestCluster_SubscriptionOutlivesTheLeader(t *testing.T) {
	c := startCluster(t, "--webhook-allow-cidr", "127.0.0.0/8")
	sub := newSubscriber(t)
	id, err := c.Nodes[0].Deploy(t.Context(), encode(t, object{
		"name": "pushed", "apiVersion": "1.0", "definitionVersion": "4.0.0", "type": "message",
		"listeners": []object{{"type": "subscription", "entrypoints": []object{entrypoint("webhook", "none", nil)}}},
		"endpointGroups": []object{{"name": "mock", "type": "mock", "endpoints": []object{
			{"name": "mock", "type": "mock", "configuration": object{"messageInterval": 50, "messageContent": "tick"}}}}},
		"plans": []object{{"id": "push", "name": "Push", "mode": "PUSH", "validation": "AUTO", "status": "published"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	path := "/v4/apis/" + id + "/subscriptions"
	call(t, c.Nodes[1].Management, http.StatusCreated, "POST", path, encode(t, object{"id": "s", "planId": "push", "consumerConfiguration": object{
		"entrypointId": "webhook", "entrypointConfiguration": object{"callbackUrl": sub.URL}}}))
	sub.more(t, 5)

	lead, others := leader(t, c)
	lead.Kill()
	sub.more(t, 5)
	for _, n := range others {
		eventually(t, "the subscription is on "+n.ID, func() bool {
			a, err := n.Do(t.Context(), "GET", path+"/s", nil)
			return err == nil && a.Status == http.StatusOK
		})
	}
	call(t, others[0].Management, http.StatusOK, "POST", path+"/s/_pause", nil)
	if got := call(t, others[1].Management, http.StatusOK, "GET", path+"/s", nil); got["status"] != "PAUSED" {
		t.Errorf("paused: %v", got)
	}
	call(t, others[1].Management, http.StatusOK, "POST", path+"/s/_resume", nil)
	sub.more(t, 5)

	sub.status.Store(http.StatusUnauthorized)
	eventually(t, "the failure is recorded", func() bool {
		return call(t, others[0].Management, http.StatusOK, "GET", path+"/s", nil)["consumerStatus"] == "FAILURE"
	})
	if got := call(t, others[1].Management, http.StatusOK, "GET", path+"/s", nil); got["failureCause"] == nil {
		t.Errorf("failed: %v", got)
	}
	attempts, _ := call(t, others[0].Management, http.StatusOK, "GET", path+"/s/attempts?limit=100", nil)["data"].([]any)
	refused := 0
	for _, a := range attempts {
		if one, _ := a.(map[string]any); one["status"] == float64(http.StatusUnauthorized) {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("no attempt that was refused among %v", attempts)
	}
	if err := lead.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := lead.AwaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	sub.status.Store(http.StatusOK)
	call(t, lead.Management, http.StatusOK, "POST", path+"/s/_changeConsumerStatus?status=STARTED", nil)
	sub.more(t, 5)
}
