package push

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// TestFeed_RefusesWhatItCannotTrust has somebody with every right on NATS, but without the key, speak to a worker.
func TestFeed_RefusesWhatItCannotTrust(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	waitReady(t, w)
	rogue, heard := eavesdrop(t, g, srv)
	first := h.deploy("orders", []byte("1"))
	second := h.deploy("orders", []byte("2"))
	_, err := leader.Await(within(t), "orders", second)
	must(t, err)
	old := next(t, heard)

	entry := wire.HashEntry("evil", second+1, wire.HashDefinition([]byte("evil")))
	base := wire.HashEntry("orders", second, wire.HashDefinition([]byte("2")))
	digest := base.Add(entry)
	evil := func(digest wire.Digest) *wire.Push {
		return pushOf(t, wire.At{Revision: second}, wire.At{Revision: second + 1}, digest,
			&wire.Deployment{ApiId: "evil", Revision: second + 1, Definition: []byte("evil")})
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	must(t, err)
	altered := slices.Clone(old)
	altered[len(altered)/2] ^= 4
	for i, c := range []struct {
		name string
		data []byte
	}{
		{"another key", seal(t, clusterID, stranger, wire.Everything, evil(digest))},
		{"another cluster", seal(t, "cluster-2", signingKey, wire.Everything, evil(digest))},
		{"another tag", seal(t, clusterID, signingKey, "eu", evil(digest))},
		{"wrong digest", seal(t, clusterID, signingKey, wire.Everything, evil(base))},
		{"altered", altered},
		{"garbage", []byte("garbage")},
	} {
		must(t, rogue.Publish(wire.RevisionSubject(wire.Everything), c.data))
		watch(t, leader, c.name+" is reported", func(ws []push.Worker) bool {
			return ws[0].Streams[0].Refused == uint64(i)+1 && ws[0].Streams[0].LastRefusal != ""
		})
	}
	must(t, rogue.Publish(wire.RevisionSubject(wire.Everything), old)) // a replay
	if first >= second {
		t.Fatal("no history")
	}
	third := h.deploy("payments", []byte("3"))
	_, err = leader.Await(within(t), "payments", third)
	must(t, err)
	w.sink.serves(t, map[string]uint64{"orders": second, "payments": third})
	for _, u := range w.sink.seen() {
		for _, d := range u.Changed {
			if d.APIID == "evil" {
				t.Fatal("the worker applied what it could not trust")
			}
		}
	}
}

// TestFeed_RefusesToGoBack has a node that lost its history lead, with the right key.
func TestFeed_RefusesToGoBack(t *testing.T) {
	g, h, srv, leader, follower := cluster(t)
	follower.stop()
	h.deploy("orders", []byte("1"))
	forgot := h.snapshot()
	w := startWorker(t, g, "w", nil, at(srv.URL()))
	newest := h.deploy("orders", []byte("2"))
	_, err := leader.Await(within(t), "orders", newest)
	must(t, err)
	leader.stop()

	past := newHistory()
	past.revision = forgot.At.Revision
	for _, d := range forgot.Deployments {
		past.items[d.Key] = d
	}
	lost := controlNode(t, g, past, "node-3", natsserver.DialConfig{InProcess: srv})
	lost.replica.lead(2)
	watch(t, lost, "worker keeps its revision", func(ws []push.Worker) bool {
		return len(ws) == 1 && ws[0].Streams[0].Applied.Revision == newest
	})
	w.sink.serves(t, map[string]uint64{"orders": newest})

	past.mu.Lock() // restored from a backup: the epoch is raised, and the workers follow
	past.epoch, past.revision = 1, 1
	past.mu.Unlock()
	past.tell()
	rev := past.deploy("orders", []byte("restored"))
	out, err := lost.Await(within(t), "orders", rev)
	must(t, err)
	if !out.Served() {
		t.Fatalf("outcome %+v", out)
	}
	w.sink.serves(t, map[string]uint64{"orders": rev})
}

// eavesdrop is a connection with every right, and what it hears on the stream of everything.
func eavesdrop(t *testing.T, g *grants, srv *natsserver.Server) (*nats.Conn, *nats.Subscription) {
	t.Helper()
	u := g.grant(t, wire.Permissions{Publish: []string{">"}, Subscribe: []string{">"}})
	nc, err := natsserver.Dial(natsserver.DialConfig{Node: "rogue", InProcess: srv, Seed: u.seed, Log: logger(t)})
	must(t, err)
	t.Cleanup(nc.Close)
	must(t, natsserver.WaitConnected(within(t), nc))
	sub, err := nc.SubscribeSync(wire.RevisionSubject(wire.Everything))
	must(t, err)
	must(t, nc.Flush())
	return nc, sub
}

func next(t *testing.T, s *nats.Subscription) []byte {
	t.Helper()
	m, err := s.NextMsg(patience)
	must(t, err)
	return m.Data
}

func seal(t *testing.T, cluster string, key ed25519.PrivateKey, stream wire.Stream, m proto.Message) []byte {
	t.Helper()
	s, err := wire.NewSigner(cluster, key)
	must(t, err)
	b, err := s.Seal(wire.KindPush, stream, m)
	must(t, err)
	return b
}

func pushOf(t *testing.T, prev, at wire.At, digest wire.Digest, d *wire.Deployment) *wire.Push {
	t.Helper()
	body, err := wire.AppendRecord(nil, &wire.Record{Piece: &wire.Record_Changed{Changed: d}})
	must(t, err)
	codec, err := wire.NewCodec()
	must(t, err)
	return &wire.Push{
		V: wire.Version, Prev: prev.Position(), Position: at.Position(), Digest: digest[:],
		Size: uint32(len(body)), Body: codec.Compress(body),
	}
}

// TestFeed_AnotherClustersBundlesAreRefused: a worker that trusts another cluster's name never becomes ready.
func TestFeed_AnotherClustersBundlesAreRefused(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	h.deploy("orders", []byte("1"))
	w := startWorker(t, g, "stray", nil, at(srv.URL()), func(c *feed.Config) { c.Cluster = "cluster-2" })
	watch(t, leader, "refusal is reported", func(ws []push.Worker) bool {
		return len(ws) == 1 && ws[0].Streams[0].Refused > 1 && ws[0].Streams[0].Fault != "" && !ws[0].Ready
	})
	select {
	case <-w.Ready():
		t.Fatal("ready with another cluster's definitions")
	default:
	}
	if n := len(w.sink.seen()); n != 0 {
		t.Fatal(fmt.Sprint(n, " updates of another cluster applied"))
	}
}

// TestFeed_TellsItsTrouble: a worker that is not let in says so, goes on trying, and is well once it is let in.
func TestFeed_TellsItsTrouble(t *testing.T) {
	g, h, srv, _, _ := cluster(t)
	h.deploy("orders", []byte("1"))
	stranger := newUser(t)
	explained := make(chan error, 1)
	w := startWorker(t, g, "w", nil, at(srv.URL()), func(c *feed.Config) {
		c.Seed = stranger.seed
		c.Explain = func(err error) error {
			select {
			case explained <- err:
			default:
			}
			return fmt.Errorf("%w; ask for a key", err)
		}
	})
	for range 2 { // it goes on
		select {
		case err := <-explained:
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Fatalf("not let in, it says %v", err)
			}
		case <-within(t).Done():
			t.Fatal("no word of a failed attempt")
		}
	}
	if err := w.Trouble(); !errors.Is(err, nats.ErrAuthorization) || !strings.Contains(err.Error(), "ask for a key") {
		t.Errorf("trouble: %v", err)
	}
	sel, err := wire.ParseSelector(nil)
	must(t, err)
	g.mu.Lock()
	g.by[stranger.public] = wire.WorkerPermissions("w", sel)
	g.mu.Unlock()
	waitReady(t, w)
	if err := w.Trouble(); err != nil {
		t.Errorf("let in: %v", err)
	}
}
