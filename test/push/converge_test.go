package push

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// TestPush_Converges makes random changes while messages are dropped, doubled, reordered and altered, links are cut,
// NATS and control-plane nodes restarted and leaders changed; healed, every worker ends with what is deployed.
func TestPush_Converges(t *testing.T) {
	seeds := 5
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) { newScenario(t, uint64(seed)).run() })
	}
}

// scenario is one run of the property.
type scenario struct {
	*testing.T
	rng      *rand.Rand
	grants   *grants
	history  *history
	upper    *natsserver.Server // the control plane's NATS
	lower    *natsserver.Server // the workers' NATS
	lowerRun *runner
	relay    *relay
	nodes    []*node
	workers  map[string]*worker
	tags     map[string][]string
	term     uint64
	started  int
}

func newScenario(t *testing.T, seed uint64) *scenario {
	s := &scenario{
		T: t, rng: rand.New(rand.NewPCG(seed, 7)), grants: newGrants(), history: newHistory(), workers: map[string]*worker{},
		tags: map[string][]string{"w-all": nil, "w-a": {"a"}, "w-ab": {"a", "b"}, "w-not-c": {"!c"}},
	}
	s.upper, _ = server(t, s.grants, "")
	s.lower, s.lowerRun = server(t, s.grants, "")
	s.relay = newRelay(t, s.grants, s.upper, s.lower, seed)
	s.history.fill(30, 2_000, "a")
	for i := range 3 {
		s.nodes = append(s.nodes, s.startNode(i))
	}
	s.elect()
	for name, tags := range s.tags {
		s.workers[name] = startWorker(t, s.grants, name, tags, at(s.lower.URL()), func(c *feed.Config) {
			c.RequestTimeout = 100 * time.Millisecond // a dropped answer is to cost little here
			c.BackOffMax = 50 * time.Millisecond
		})
	}
	return s
}

func (s *scenario) startNode(i int) *node {
	s.started++
	return controlNode(s, s.grants, s.history, fmt.Sprintf("node-%d", i), natsserver.DialConfig{InProcess: s.upper},
		func(c *push.Config) { c.Heartbeat = 20 * time.Millisecond })
}

func (s *scenario) elect() {
	s.term++
	for _, n := range s.nodes {
		n.replica.lead(0)
	}
	s.nodes[s.rng.IntN(len(s.nodes))].replica.lead(s.term)
}

func (s *scenario) run() {
	for range 150 {
		s.step()
	}
	s.relay.set(faults{})
	for _, n := range s.nodes {
		n.replica.freeze(false)
	}
	s.elect()
	last := s.history.deploy("marker", []byte("{}"), "a", "b")
	for _, n := range s.nodes {
		waitLive(s, n, len(s.workers))
		out, err := n.Await(within(s), "marker", last)
		must(s, err)
		if len(out.Serving) != len(s.workers) {
			s.Fatalf("served by %v", out.Serving)
		}
	}
	for name, w := range s.workers {
		w.sink.serves(s, s.history.expected(s.tags[name]...))
		w.sink.subscribed(s, s.history.subscribed(s.tags[name]...))
		s.neverBackwards(name, w.sink)
	}
	for _, n := range s.nodes {
		s.sameDigests(n, last)
	}
}

// step does one thing. Each waits for the control plane to have done it, not for the workers.
func (s *scenario) step() {
	id := fmt.Sprintf("api-%05d", s.rng.IntN(60))
	switch n := s.rng.IntN(100); {
	case n < 15:
		s.history.subscribe(id, definition(id, uint64(n), 10+s.rng.IntN(500)), s.randomTags()...)
	case n < 20:
		s.history.unsubscribe(id)
	case n < 45:
		s.history.deploy(id, definition(id, uint64(n), 10+s.rng.IntN(4_000)), s.randomTags()...)
	case n < 60:
		s.history.remove(id)
	case n < 63:
		s.history.deploy(id, definition(id, uint64(n), wire.ChunkBytes+s.rng.IntN(200_000)), s.randomTags()...)
	case n < 75:
		s.relay.set(faults{drop: s.rng.IntN(30), double: s.rng.IntN(30), reorder: s.rng.IntN(30), alter: s.rng.IntN(20)})
	case n < 80:
		s.relay.set(faults{})
	case n < 84:
		s.relay.set(faults{cut: true})
	case n < 88:
		s.elect()
	case n < 90:
		s.nodes[s.rng.IntN(len(s.nodes))].replica.freeze(s.rng.IntN(2) == 0)
	case n < 93:
		i := s.rng.IntN(len(s.nodes))
		s.nodes[i].stop()
		s.nodes[i] = s.startNode(i)
		s.elect()
	case n < 95:
		s.restartLower()
	default:
		s.workersSettle()
	}
}

// restartLower restarts the workers' NATS on the same port; the relay and the workers come back by themselves.
func (s *scenario) restartLower() {
	u, err := url.Parse(s.lower.URL())
	must(s, err)
	s.lowerRun.stop()
	s.lower, s.lowerRun = server(s, s.grants, u.Host)
}

// workersSettle gives the workers the time to work: until one of them has reported again to some node.
func (s *scenario) workersSettle() {
	select {
	case <-s.nodes[s.rng.IntN(len(s.nodes))].Changed():
	case <-time.After(100 * time.Millisecond): // cut: nothing comes
	}
}

func (s *scenario) randomTags() []string {
	var out []string
	for _, tag := range []string{"a", "b", "c"} {
		if s.rng.IntN(2) == 0 {
			out = append(out, tag)
		}
	}
	return out
}

// neverBackwards checks everything that the sink was ever handed.
func (s *scenario) neverBackwards(name string, k *sink) {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := uint64(0)
	apis, subs := map[string]uint64{}, map[string]uint64{}
	for i, u := range k.updates {
		if u.Full != (i == 0) {
			s.Errorf("%s: update %d is full: %v", name, i, u.Full)
		}
		if u.Revision < last {
			s.Errorf("%s: update %d went back from %d to %d", name, i, last, u.Revision)
		}
		last = u.Revision
		for _, d := range u.Changed {
			if d.Revision < apis[d.APIID] {
				s.Errorf("%s: %s went back from %d to %d", name, d.APIID, apis[d.APIID], d.Revision)
			}
			apis[d.APIID] = d.Revision
		}
		for _, c := range u.Subscriptions {
			if c.Revision < subs[c.ID] {
				s.Errorf("%s: subscription %s went back from %d to %d", name, c.ID, subs[c.ID], c.Revision)
			}
			subs[c.ID] = c.Revision
		}
	}
}

// sameDigests waits until what the workers report is the digests of what is deployed.
func (s *scenario) sameDigests(n *node, revision uint64) {
	want := map[wire.Stream]wire.Digest{}
	for _, d := range s.history.snapshot().Deployments {
		h := wire.HashEntry(d.ID, d.Revision, wire.HashDefinition(d.Definition))
		for _, name := range wire.StreamsOf(d.Item, d.Tags) {
			want[name] = want[name].Add(h)
		}
	}
	watch(s, n, fmt.Sprintf("every stream at %d with digests %v", revision, want), func(ws []push.Worker) bool {
		for _, w := range ws {
			for _, st := range w.Streams {
				if st.Applied.Revision != revision || st.Digest != want[st.Stream] {
					return false
				}
			}
		}
		return true
	})
}
