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
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clusterID = "cluster-1"
	beat      = 50 * time.Millisecond
	patience  = 60 * time.Second // a test that waits longer is stuck
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
	apis     map[string]push.Deployment
	replicas []*replica
}

func newHistory() *history { return &history{apis: map[string]push.Deployment{}} }

func (h *history) deploy(id string, definition []byte, tags ...string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision++
	h.apis[id] = push.Deployment{APIID: id, Revision: h.revision, Tags: tags, Definition: definition}
	h.tell()
	return h.revision
}

func (h *history) remove(id string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision++
	delete(h.apis, id)
	h.tell()
	return h.revision
}

// fill deploys n APIs at once.
func (h *history) fill(n, size int, tags ...string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range n {
		h.revision++
		id := fmt.Sprintf("api-%05d", i)
		h.apis[id] = push.Deployment{APIID: id, Revision: h.revision, Tags: tags, Definition: definition(id, h.revision, size)}
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
	return push.Snapshot{
		At: wire.At{Epoch: h.epoch, Revision: h.revision}, Deployments: slices.Collect(maps.Values(h.apis)), Loaded: true,
	}
}

// expected is what a worker with the tags is to serve: revision by id.
func (h *history) expected(tags ...string) map[string]uint64 {
	sel, err := wire.ParseSelector(tags)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]uint64{}
	for id, d := range h.apis {
		if sel.Match(d.Tags) {
			out[id] = d.Revision
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

func (g *grants) authorize(nkey string) (wire.Permissions, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.by[nkey]
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

// sink is a worker's table: what it serves.
type sink struct {
	mu      sync.Mutex
	apis    map[string]feed.Deployment
	applied int
	updates []feed.Update
	fails   map[string]string // definitions of these APIs cannot be built
	moved   chan struct{}
	hold    chan struct{} // non-nil: Apply waits for it
}

func newSink() *sink {
	return &sink{apis: map[string]feed.Deployment{}, fails: map[string]string{}, moved: make(chan struct{})}
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
		Seed: g.worker(t, name, tags...).seed, Period: beat, RequestTimeout: 2 * time.Second,
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
