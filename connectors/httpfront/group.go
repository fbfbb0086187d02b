package httpfront

import (
	"context"
	"sync"
)

// Group owns the connections of one entrypoint that outlive their handler, which nobody could wait for otherwise, and wakes
// them when the API ends. The zero value is ready. It makes an entrypoint a connectors.Drainer.
type Group struct {
	mu sync.Mutex
	// guards the following
	members map[*Member]struct{}
	ctx     context.Context // the API's; nil before the first Enter
	woken   chan struct{}   // closed when all were woken since ctx ended
	cut     int
	hard    bool          // Drain ran out of time: who comes now is cut at once
	empty   chan struct{} // closed when the last member leaves; nil while nobody waits
}

// Member is one connection of a Group: from the handler on, which has no connection to cut yet, to its very end.
type Member struct {
	group *Group
	conn  Conn // guarded by group.mu; nil before Attach
}

// Conn is a connection of an event loop, or one like it.
type Conn interface {
	// Wake has the connection look whether the API ended; before Attach nobody needs to, since it looks when it begins.
	Wake()
	// Cut ends the connection at once, from any goroutine.
	Cut()
}

// Enter counts a connection in, before its handler returns. ctx is the API's: when it ends, the members are woken. One wake for
// all costs a connection nothing, where one of its own would cost more than the rest of its bookkeeping.
func (g *Group) Enter(ctx context.Context) *Member {
	m := &Member{group: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members == nil {
		g.members = make(map[*Member]struct{})
	}
	if g.ctx != ctx {
		woken := make(chan struct{})
		g.ctx, g.woken = ctx, woken
		context.AfterFunc(ctx, func() { // Drain waits for it
			defer close(woken)
			g.wakeAll()
		})
	}
	g.members[m] = struct{}{}
	return m
}

func (g *Group) wakeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for m := range g.members {
		if m.conn != nil {
			m.conn.Wake()
		}
	}
}

// Attach tells which connection to cut if it does not end in time.
func (m *Member) Attach(conn Conn) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.conn = conn
	if m.group.hard {
		m.group.cutLocked(m)
	}
}

// Leave is the last thing that happens to a connection.
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
	if g.ctx != nil && g.ctx.Err() != nil {
		defer func(woken chan struct{}) { <-woken }(g.woken)
	}
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
