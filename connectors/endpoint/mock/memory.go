package mock

import (
	"container/list"
	"slices"
	"sort"
	"sync"

	"github.com/sluice-gateway/sluice/qos/window"
)

const (
	// maxClients bounds how many client identifiers an endpoint remembers that are not connected. Beyond it the one that was
	// connected longest ago is forgotten, and begins anew.
	maxClients = 10000
	// maxRanges bounds what is remembered of messages that a client acknowledged out of order. What does not fit comes again.
	maxRanges = 1024
)

// memory is where the clients of an endpoint are, as consumer groups are of a broker: for the life of the endpoint, in this
// worker alone.
type memory struct {
	mu sync.Mutex
	// guards the following, and the fields of every client
	clients map[string]*client
	away    list.List // *client: those that are not connected, the one that left last at the front
}

// client is what is remembered of one client identifier.
type client struct {
	id    string
	next  int64          // all below it is delivered, or under at-most-once handed over
	acked []window.Range // delivered above it, in order, never touching
	live  int            // its subscriptions
	away  *list.Element  // its place among those that are not connected; nil: it is
}

// enter counts a subscription of a client in.
func (m *memory) enter(id string) *client {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clients[id]
	if c == nil {
		c = &client{id: id}
		if m.clients == nil {
			m.clients = map[string]*client{}
		}
		m.clients[id] = c
	}
	if c.away != nil {
		m.away.Remove(c.away)
		c.away = nil
	}
	c.live++
	return c
}

// leave counts a subscription of c out.
func (m *memory) leave(c *client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.live--; c.live > 0 {
		return
	}
	c.away = m.away.PushFront(c)
	if m.away.Len() > maxClients {
		oldest := m.away.Remove(m.away.Back()).(*client)
		delete(m.clients, oldest.id)
	}
}

// begin returns where a subscription of c begins: at from, where the client says one, else behind what is delivered, without
// the messages in skip. once: what was handed over never comes again, whatever the client says.
func (m *memory) begin(c *client, from int64, said, once bool) (next int64, skip []window.Range) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !said:
		skip = slices.Clone(c.acked)
	case once:
		c.through(from)
	default: // also backwards: the client wants to have it again
		c.next, c.acked = from, nil
	}
	return c.next, skip
}

// delivered says that everything below next is delivered.
func (m *memory) delivered(c *client, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.through(next)
}

// acknowledge says that message n is delivered.
func (m *memory) acknowledge(c *client, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.ack(n)
}

// take saves the next n messages from next on as handed over, before anybody sees them, and returns the first: a later one
// where another subscription of the client has them already.
func (m *memory) take(c *client, next, n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = max(next, c.next)
	c.next = next + n
	return next
}

func (c *client) through(next int64) {
	c.next = max(c.next, next)
	for len(c.acked) > 0 && c.acked[0].From <= c.next {
		c.next = max(c.next, c.acked[0].To)
		c.acked = c.acked[1:]
	}
}

func (c *client) ack(n int64) {
	i := sort.Search(len(c.acked), func(i int) bool { return c.acked[i].To >= n })
	switch {
	case n < c.next || i < len(c.acked) && c.acked[i].From <= n && n < c.acked[i].To: // known
	case i < len(c.acked) && c.acked[i].To == n:
		c.acked[i].To++
		if i+1 < len(c.acked) && c.acked[i+1].From == n+1 {
			c.acked[i].To = c.acked[i+1].To
			c.acked = slices.Delete(c.acked, i+1, i+2)
		}
	case i < len(c.acked) && c.acked[i].From == n+1:
		c.acked[i].From--
	case n == c.next || len(c.acked) < maxRanges:
		c.acked = slices.Insert(c.acked, i, window.Range{From: n, To: n + 1})
	}
	c.through(c.next)
}
