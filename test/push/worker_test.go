package push

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/dataplane/feed"
)

// sink is a worker's table: what it serves.
type sink struct {
	mu      sync.Mutex
	apis    map[string]feed.Deployment
	subs    map[string]feed.SubscriptionChange
	applied int
	updates []feed.Update
	fails   map[string]string // definitions of these APIs cannot be built
	moved   chan struct{}
	hold    chan struct{} // non-nil: Apply waits for it
}

func newSink() *sink {
	return &sink{apis: map[string]feed.Deployment{}, subs: map[string]feed.SubscriptionChange{}, fails: map[string]string{}, moved: make(chan struct{})}
}

func (s *sink) Apply(ctx context.Context, u feed.Update) []feed.Result {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.Full {
		clear(s.apis)
		clear(s.subs)
	}
	var out []feed.Result
	for _, d := range u.Changed {
		if text, bad := s.fails[d.APIID]; bad {
			out = append(out, feed.Result{
				APIID: d.APIID, Revision: d.Revision, State: feed.Failed, Serving: s.apis[d.APIID].Revision, Error: text,
			})
			continue
		}
		s.apis[d.APIID] = d
	}
	for _, id := range u.Removed {
		delete(s.apis, id)
	}
	for _, c := range u.Subscriptions {
		s.subs[c.ID] = c
	}
	for _, id := range u.RemovedSubscriptions {
		delete(s.subs, id)
	}
	s.applied++
	s.updates = append(s.updates, u)
	close(s.moved)
	s.moved = make(chan struct{})
	return out
}

func (s *sink) revisions() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]uint64, len(s.apis))
	for id, d := range s.apis {
		out[id] = d.Revision
	}
	return out
}

// until waits until what is served satisfies ok.
func (s *sink) until(t testing.TB, what string, ok func(map[string]feed.Deployment) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		good, moved := ok(s.apis), s.moved
		n := len(s.apis)
		s.mu.Unlock()
		if good {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("%s: not within %s; serving %d APIs", what, patience, n)
		}
	}
}

// serves waits until exactly want is served.
func (s *sink) serves(t testing.TB, want map[string]uint64) {
	t.Helper()
	s.until(t, fmt.Sprintf("serve %d APIs", len(want)), func(apis map[string]feed.Deployment) bool {
		if len(apis) != len(want) {
			return false
		}
		for id, rev := range want {
			if apis[id].Revision != rev {
				return false
			}
		}
		return true
	})
}

// subscribed waits until exactly these subscriptions are served.
func (s *sink) subscribed(t testing.TB, want map[string]uint64) {
	t.Helper()
	s.until(t, fmt.Sprintf("serve %d subscriptions", len(want)), func(map[string]feed.Deployment) bool {
		if len(s.subs) != len(want) {
			return false
		}
		for id, rev := range want {
			if s.subs[id].Revision != rev {
				return false
			}
		}
		return true
	})
}

// worker is a feed with its sink.
type worker struct {
	*feed.Feed
	sink *sink
	*runner
}

func startWorker(t testing.TB, g *grants, name string, tags []string, edit ...func(*feed.Config)) *worker {
	t.Helper()
	cfg := feed.Config{
		Cluster: clusterID, Worker: name, Tags: tags, Keys: []ed25519.PublicKey{publicKey()},
		Seed: g.worker(t, name, tags...).seed, Period: 2 * time.Second, RequestTimeout: 2 * time.Second,
		BackOffMax: 200 * time.Millisecond, Spread: 20 * time.Millisecond,
		Log: logger(t), Meter: noop.Meter{},
	}
	for _, e := range edit {
		e(&cfg)
	}
	w := &worker{sink: newSink()}
	var err error
	w.Feed, err = feed.New(cfg, w.sink)
	must(t, err)
	w.runner = start(t, w.Run)
	return w
}

func at(urls ...string) func(*feed.Config) { return func(c *feed.Config) { c.Servers = urls } }

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func waitReady(t testing.TB, w *worker) {
	t.Helper()
	select {
	case <-w.Ready():
	case <-time.After(patience):
		t.Fatalf("worker not ready within %s", patience)
	}
}

func (s *sink) setHold(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = c
}

// fail has the sink fail to build the API, with this text; none: build it again.
func (s *sink) fail(id, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.fails, id); text != "" {
		s.fails[id] = text
	}
}

func (s *sink) seen() []feed.Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.updates)
}
