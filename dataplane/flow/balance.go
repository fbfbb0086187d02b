package flow

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// strategy is how a load balancer chooses (spec 1.6).
type strategy uint8

const (
	roundRobin strategy = iota
	random
	weightedRoundRobin
	weightedRandom
)

var strategies = map[string]strategy{"": roundRobin, "round-robin": roundRobin, "random": random,
	"weighted-round-robin": weightedRoundRobin, "weighted-random": weightedRandom}

func (s strategy) weighted() bool { return s == weightedRoundRobin || s == weightedRandom }

// pool is what a load balancer chooses from: the endpoints of a group, or a single one. Secondary endpoints are chosen only
// while no primary one can be used (see health); while none at all can, a primary one is tried all the same, since it may be
// back.
//
// An endpoint is chosen per exchange, not per message, so that what one connection sends keeps its order. Publishers, and
// subscribers under none, are spread by the strategy. Every other subscriber may come back with a cursor, or has a
// checkpoint: both name topics and positions, not the cluster that they are of, and in another cluster they would mean other
// messages. So it gets the endpoint that its name leads to (home), every time and on every worker, and where that
// endpoint is away it is told so and not sent to another.
type pool struct {
	members            []*member // all
	primary, secondary tier
}

// tier is the primary or the secondary part of a pool.
type tier struct {
	members  []*member
	strategy strategy
	turn     atomic.Uint64 // round-robin

	mu sync.Mutex
	// guards the following, of weighted round-robin
	budget []int // by place in members: picks left before all start anew
	at     int   // where the walk goes on
}

// newPool returns a pool of members, of which those with a true in secondary are secondary.
func newPool(members []*member, secondary []bool, s strategy) *pool {
	p := &pool{members: members, primary: tier{strategy: s}, secondary: tier{strategy: s}}
	for i, m := range members {
		t := &p.primary
		if secondary[i] {
			t = &p.secondary
		}
		if !s.weighted() || m.weight > 0 { // a weight of 0 takes it out
			t.members = append(t.members, m)
			t.budget = append(t.budget, m.weight)
		}
	}
	return p
}

// single returns a pool of one endpoint, whatever its weight.
func single(m *member) *pool { return newPool([]*member{m}, []bool{false}, roundRobin) }

// forPublish returns the endpoint to which the exchange publishes, nil where every weight is 0.
func (p *pool) forPublish(x *exchange.Exchange) *member {
	if len(p.members) == 1 && len(p.primary.members) == 1 {
		return p.primary.members[0]
	}
	for _, m := range p.members {
		if m.place == x.Endpoint {
			return m
		}
	}
	m := p.pick()
	if m != nil {
		x.Endpoint = m.place
	}
	return m
}

// forSubscribe returns the endpoint at which the exchange subscribes, nil where every weight is 0.
func (p *pool) forSubscribe(x *exchange.Exchange) *member {
	if x.QoS == qos.None || len(p.members) == 1 {
		return p.forPublish(x)
	}
	name := x.Subscription // of clients that have no name of their own: their address
	if x.ClientSupplied {
		name = x.ClientIdentifier
	}
	m := p.home(name)
	if m != nil {
		x.Endpoint = m.place
	}
	return m
}

// pick chooses an endpoint by the strategy; nil where every weight is 0.
func (p *pool) pick() *member {
	now := time.Now()
	if m := p.primary.pick(now); m != nil {
		return m
	}
	if m := p.secondary.pick(now); m != nil {
		return m
	}
	if m := p.primary.choose(p.primary.members); m != nil {
		return m
	}
	return p.secondary.choose(p.secondary.members)
}

// pick chooses among those that are up; nil: none is.
func (t *tier) pick(now time.Time) *member {
	var array [16]*member // more than that cost an allocation
	for range t.members { // each round that finds nobody takes one out
		up := array[:0]
		for _, m := range t.members {
			if m.health.up(now) {
				up = append(up, m)
			}
		}
		m := t.choose(up)
		if m == nil || m.health.claim(now) {
			return m
		}
	}
	return nil
}

// choose chooses among members, which are some of the tier's, in its order; nil where there are none.
func (t *tier) choose(members []*member) *member {
	if len(members) == 0 {
		return nil
	}
	switch t.strategy {
	case random:
		return members[rand.IntN(len(members))] //nolint:gosec // not a secret
	case weightedRandom:
		return byWeight(members)
	case weightedRoundRobin:
		return t.spend(members)
	}
	return members[(t.turn.Add(1)-1)%uint64(len(members))]
}

func byWeight(members []*member) *member {
	total := 0
	for _, m := range members {
		total += m.weight
	}
	at := rand.IntN(total) //nolint:gosec // not a secret
	for _, m := range members {
		if at -= m.weight; at < 0 {
			return m
		}
	}
	return nil // not reached: the weights add up to total
}

// spend walks on to the next of members that has a budget left; where none has, all budgets start anew (spec 1.6).
func (t *tier) spend(members []*member) *member {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range 2 {
		for range t.members {
			i := t.at
			t.at = (t.at + 1) % len(t.members)
			if t.budget[i] > 0 && contains(members, t.members[i]) {
				t.budget[i]--
				return t.members[i]
			}
		}
		for i, m := range t.members {
			t.budget[i] = m.weight
		}
		t.at = 0
	}
	return nil // not reached: every member has a weight
}

func contains(members []*member, m *member) bool {
	for _, o := range members {
		if o == m {
			return true
		}
	}
	return false
}

// home returns the endpoint that a name belongs to, whether it is up or not: the same on every worker, and where an
// endpoint comes or goes only the names that it gains or loses move (weighted rendezvous hashing). Secondary endpoints are
// nobody's home while there are primary ones. nil where every weight is 0.
func (p *pool) home(name string) *member {
	t := &p.primary
	if len(t.members) == 0 {
		t = &p.secondary
	}
	var best *member
	least := math.Inf(1)
	for _, m := range t.members {
		weight := 1.0
		if t.strategy.weighted() {
			weight = float64(m.weight)
		}
		if score := -math.Log(fraction(name, m.name)) / weight; score < least {
			best, least = m, score
		}
	}
	return best
}

// fraction hashes two texts to a number above 0 and at most 1: FNV-1a, whose bits are then mixed as MurmurHash3 does, because
// names that differ in their last letter would come out close together.
func fraction(a, b string) float64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{a, "\x00", b} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return (float64(h>>11) + 1) / (1 << 53)
}
