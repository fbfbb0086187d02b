package httpfront

import (
	"context"
	"sync"
)

// Group owns the connections of one entrypoint that outlive their handler. fasthttp runs each in a goroutine of its own,
// which nobody could wait for otherwise. The zero value is ready. It makes an entrypoint a connectors.Drainer.
type Group struct {
	mu sync.Mutex
	// guards the following
	members map[*Member]struct{}
	cut     int
	hard    bool          // Drain ran out of time: who comes now is cut at once
	empty   chan struct{} // closed when the last member leaves; nil while nobody waits
}

// Member is one connection of a Group: from the handler on, which has no connection to cut yet, to the end of its goroutine.
type Member struct {
	group *Group
	conn  Cutter // guarded by group.mu; nil before Attach
}

// Cutter is a connection that can be ended at once, from any goroutine.
type Cutter interface{ Cut() }

// Enter counts a connection in, before its handler returns.
func (g *Group) Enter() *Member {
	m := &Member{group: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members == nil {
		g.members = make(map[*Member]struct{})
	}
	g.members[m] = struct{}{}
	return m
}

// Attach tells which connection to cut if it does not end in time.
func (m *Member) Attach(conn Cutter) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.conn = conn
	if m.group.hard {
		m.group.cutLocked(m)
	}
}

// Leave is the last thing that the connection's goroutine does.
func (m *Member) Leave() {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, m)
	if len(g.members) == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// Len returns how many connections are open.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// Drain implements connectors.Drainer.
func (g *Group) Drain(ctx context.Context) (cut int) {
	g.mu.Lock()
	if len(g.members) == 0 {
		defer g.mu.Unlock()
		return g.cut
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()

	select {
	case <-empty:
	case <-ctx.Done():
		g.cutAll()
		<-empty // a cut connection ends every read and write, so this is short
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

func (g *Group) cutAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hard = true
	for m := range g.members {
		if m.conn != nil {
			g.cutLocked(m)
		}
	}
}

func (g *Group) cutLocked(m *Member) {
	g.cut++
	m.conn.Cut()
}
