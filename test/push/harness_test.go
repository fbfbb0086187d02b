package push

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clusterID = "cluster-1"
	beat      = 100 * time.Millisecond // each is checked by every worker, for the APIs and for the subscriptions
	patience  = 3 * time.Minute        // a test that waits longer is stuck
)

// signingKey is the cluster's, the same in each test.
var signingKey = ed25519.NewKeyFromSeed([]byte("sluice push tests: a fixed seed."))

func publicKey() ed25519.PublicKey { return signingKey.Public().(ed25519.PublicKey) }

func logger(t testing.TB) *slog.Logger {
	level := slog.LevelError
	if os.Getenv("PUSH_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("test", t.Name())
}

// history is what raft would agree on: every revision of the deployments, seen by each node's replica.
type history struct {
	mu       sync.Mutex
	epoch    uint64
	revision uint64
	items    map[push.Key]push.Deployment
	replicas []*replica
	last     push.Snapshot // of the latest revision, made when it was first looked at: nodes look at each heartbeat
}

func newHistory() *history { return &history{items: map[push.Key]push.Deployment{}} }

func (h *history) deploy(id string, definition []byte, tags ...string) uint64 {
	return h.put(wire.ItemAPI, id, definition, tags)
}

// subscribe deploys a subscription of an API with these tags.
func (h *history) subscribe(id string, definition []byte, tags ...string) uint64 {
	return h.put(wire.ItemSubscription, id, definition, tags)
}

func (h *history) put(item wire.Item, id string, definition []byte, tags []string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision++
	key := push.Key{Item: item, ID: id}
	h.items[key] = push.Deployment{Key: key, Revision: h.revision, Tags: tags, Definition: definition}
	h.tell()
	return h.revision
}

func (h *history) remove(id string) uint64 { return h.drop(wire.ItemAPI, id) }

func (h *history) unsubscribe(id string) uint64 { return h.drop(wire.ItemSubscription, id) }

func (h *history) drop(item wire.Item, id string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision++
	delete(h.items, push.Key{Item: item, ID: id})
	h.tell()
	return h.revision
}

// fill deploys n APIs at once.
func (h *history) fill(n, size int, tags ...string) uint64 {
	return h.fillWith(wire.ItemAPI, "api", n, size, tags)
}

func (h *history) fillWith(item wire.Item, name string, n, size int, tags []string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range n {
		h.revision++
		key := push.Key{Item: item, ID: fmt.Sprintf("%s-%05d", name, i)}
		h.items[key] = push.Deployment{Key: key, Revision: h.revision, Tags: tags, Definition: definition(key.ID, h.revision, size)}
	}
	h.tell()
	return h.revision
}

func (h *history) tell() {
	for _, r := range h.replicas {
		r.notify()
	}
}

func (h *history) snapshot() push.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := (wire.At{Epoch: h.epoch, Revision: h.revision}); !h.last.Loaded || h.last.At != at {
		h.last = push.Snapshot{At: at, Deployments: slices.Collect(maps.Values(h.items)), Loaded: true}
	}
	return h.last
}

// expected is what a worker with the tags is to serve: revision by id.
func (h *history) expected(tags ...string) map[string]uint64 { return h.expect(wire.ItemAPI, tags) }

// subscribed is what subscriptions a worker with the tags is to serve: revision by id.
func (h *history) subscribed(tags ...string) map[string]uint64 {
	return h.expect(wire.ItemSubscription, tags)
}

func (h *history) expect(item wire.Item, tags []string) map[string]uint64 {
	sel, err := wire.ParseSelector(tags)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]uint64{}
	for key, d := range h.items {
		if key.Item == item && sel.Match(d.Tags) {
			out[key.ID] = d.Revision
		}
	}
	return out
}

func definition(id string, revision uint64, size int) []byte {
	b := fmt.Appendf(nil, `{"id":%q,"revision":%d,"description":"`, id, revision)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "endpoint %d of %s at %d, ", i, id, revision)
	}
	return append(b, `"}`...)
}

// replica is one node's view of the history; it is a push.Source.
type replica struct {
	history *history
	changed chan struct{}

	mu     sync.Mutex
	leader push.Leadership
	frozen *push.Snapshot // what a partitioned node still sees
}

func (h *history) replica() *replica {
	r := &replica{history: h, changed: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replicas = append(h.replicas, r)
	return r
}

func (r *replica) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *replica) lead(term uint64) {
	r.mu.Lock()
	r.leader = push.Leadership{Leader: term > 0, Term: term}
	r.mu.Unlock()
	r.notify()
}

func (r *replica) freeze(yes bool) {
	snap := r.history.snapshot()
	r.mu.Lock()
	r.frozen = nil
	if yes {
		r.frozen = &snap
	}
	r.mu.Unlock()
	r.notify()
}

func (r *replica) Snapshot() push.Snapshot {
	r.mu.Lock()
	frozen := r.frozen
	r.mu.Unlock()
	if frozen != nil {
		return *frozen
	}
	return r.history.snapshot()
}

func (r *replica) Changed() <-chan struct{} { return r.changed }

func (r *replica) Leader() push.Leadership {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader
}

// user is an nkey and what its holder may do.
type user struct {
	seed   []byte
	public string
}

func newUser(t testing.TB) user {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	return user{seed: seed, public: public}
}

// grants is who may do what; it is the Authorize of every server of a test.
type grants struct {
	mu sync.Mutex
	by map[string]wire.Permissions
}

func newGrants() *grants { return &grants{by: map[string]wire.Permissions{}} }

func (g *grants) worker(t testing.TB, name string, tags ...string) user {
	t.Helper()
	sel, err := wire.ParseSelector(tags)
	must(t, err)
	return g.grant(t, wire.WorkerPermissions(name, sel))
}

func (g *grants) control(t testing.TB) user {
	t.Helper()
	return g.grant(t, wire.ControlPermissions())
}

func (g *grants) grant(t testing.TB, p wire.Permissions) user {
	t.Helper()
	u := newUser(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.by[u.public] = p
	return u
}

func (g *grants) authorize(c natsserver.Client) (wire.Permissions, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.by[c.Nkey]
	return p, ok
}

// runner runs something until stopped; stop waits for it.
type runner struct {
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
}

func start(t testing.TB, run func(context.Context) error) *runner {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &runner{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if err := run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *runner) stop() {
	r.once.Do(r.cancel)
	<-r.done
}

// server starts an embedded NATS server on a free port of loopback, or on listen.
func server(t testing.TB, g *grants, listen string) (*natsserver.Server, *runner) {
	t.Helper()
	s, err := natsserver.New(natsserver.Config{Node: "nats-1", Listen: listen, Authorize: g.authorize, Log: logger(t)})
	must(t, err)
	return s, start(t, s.Run)
}

// node is a control-plane node.
type node struct {
	*push.Pusher
	replica *replica
	nc      *nats.Conn
	*runner
}

func controlNode(t testing.TB, g *grants, h *history, name string, at natsserver.DialConfig, edit ...func(*push.Config)) *node {
	t.Helper()
	at.Node, at.Log, at.Seed = name, logger(t), g.control(t).seed
	nc, err := natsserver.Dial(at)
	must(t, err)
	cfg := push.Config{
		Cluster: clusterID, Node: name, Key: signingKey, Heartbeat: beat, Log: logger(t), Meter: noop.Meter{},
	}
	for _, e := range edit {
		e(&cfg)
	}
	r := h.replica()
	p, err := push.New(cfg, nc, r)
	must(t, err)
	n := &node{Pusher: p, replica: r, nc: nc}
	n.runner = start(t, func(ctx context.Context) error {
		defer nc.Close()
		return p.Run(ctx)
	})
	return n
}

// waitLive waits until the node has heard of so many live workers.
func waitLive(t testing.TB, n *node, want int) {
	t.Helper()
	watch(t, n, fmt.Sprintf("%d live workers", want), func(ws []push.Worker) bool {
		live := 0
		for _, w := range ws {
			if w.Live {
				live++
			}
		}
		return live == want
	})
}

// watch waits until what the node knows of the workers satisfies ok.
func watch(t testing.TB, n *node, what string, ok func([]push.Worker) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		moved := n.Changed()
		if ok(n.Workers()) {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("%s: not within %s: %+v", what, patience, n.Workers())
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
