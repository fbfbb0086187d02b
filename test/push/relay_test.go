package push

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// relay carries messages between the control plane's NATS server and the workers', and harms them on the way.
type relay struct {
	up, down *nats.Conn // to the control plane, to the workers

	mu     sync.Mutex
	rng    *rand.Rand
	faults faults
	held   *nats.Msg // goes out after the next one
}

// faults are the chances of each harm, in percent.
type faults struct {
	drop, double, reorder, alter int
	cut                          bool
}

func newRelay(t testing.TB, g *grants, up, down *natsserver.Server, seed uint64) *relay {
	t.Helper()
	r := &relay{rng: rand.New(rand.NewPCG(seed, 1))}
	everything := g.grant(t, wire.Permissions{Publish: []string{">"}, Subscribe: []string{">"}})
	dial := func(s *natsserver.Server) *nats.Conn {
		nc, err := natsserver.Dial(natsserver.DialConfig{Node: "relay", Servers: []string{s.URL()}, Seed: everything.seed, Log: logger(t)})
		must(t, err)
		t.Cleanup(nc.Close)
		must(t, natsserver.WaitConnected(within(t), nc))
		return nc
	}
	r.up, r.down = dial(up), dial(down)
	for _, s := range []string{"sluice.v1.*.rev", "sluice.v1.*.hb", "_INBOX.>"} {
		_, err := r.up.Subscribe(s, func(m *nats.Msg) { r.carry(r.down, m) })
		must(t, err)
	}
	for _, s := range []string{wire.AskPattern(), "sluice.v1.*.chunk.*.*", wire.StatusPattern()} {
		_, err := r.down.Subscribe(s, func(m *nats.Msg) { r.carry(r.up, m) })
		must(t, err)
	}
	must(t, r.up.Flush())
	must(t, r.down.Flush())
	return r
}

func (r *relay) set(f faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = f
}

func (r *relay) carry(to *nats.Conn, m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m = &nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: slices.Clone(m.Data)}
	f, chance := r.faults, func(percent int) bool { return r.rng.IntN(100) < percent }
	if f.cut || chance(f.drop) {
		return
	}
	if len(m.Data) > 0 && chance(f.alter) {
		m.Data[r.rng.IntN(len(m.Data))] ^= 1 << r.rng.IntN(8)
	}
	if r.held == nil && strings.HasSuffix(m.Subject, ".rev") && chance(f.reorder) {
		r.held = m
		return
	}
	n := 1
	if chance(f.double) {
		n = 2
	}
	for range n {
		_ = to.PublishMsg(m) // a relay that is down drops
	}
	if r.held != nil && strings.HasSuffix(m.Subject, ".rev") {
		_ = r.down.PublishMsg(r.held)
		r.held = nil
	}
}
