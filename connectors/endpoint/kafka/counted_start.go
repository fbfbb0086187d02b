package kafka

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
)

// startMember makes s the place of a stream that is a member of the group. It returns before there are partitions: messages
// come once the group has given some.
func (s *subscription) startMember(ctx context.Context, level qos.Level, instance string, w wanted) (*counted, error) {
	c := newCounted(s, w.group, level == qos.AtMostOnce || level == qos.None)
	if err := c.prepare(ctx, w); err != nil {
		return nil, err
	}
	m := &member{c: c}
	c.book = m
	if err := m.join(instance); err != nil {
		return nil, err
	}
	if err := s.r.f.e.tasks.Start(ctx, c.run); err != nil {
		m.end()
		return nil, err
	}
	s.r.f.counted.enter(c)
	return c, nil
}

// prepare finds out where partitions begin that the client names, and those of which nobody says anything. The place begins
// without partitions.
func (c *counted) prepare(ctx context.Context, w wanted) (err error) {
	s := c.place
	s.atLiveEnd()
	c.rule = s.vector(nil)
	s.shares = true
	if c.reset = w.reset; c.reset == resetEarliest {
		c.rule = nil
	}
	if c.claims, err = s.r.claims(ctx, w.from, c.rule); err != nil {
		return err
	}
	s.resumeAt(nil)
	return nil
}

// claims is where the client says that it is: the next offset by partition number; nil: it says nothing.
func (r *reader) claims(ctx context.Context, from cursor.Cursor, live vector) (map[int32]int64, error) {
	f := r.f
	var found offsets
	var err error
	switch from.Kind {
	case cursor.None:
		return nil, nil
	case cursor.At:
		return r.named(ctx, from.At)
	case cursor.Latest:
		found, err = f.control.ends(ctx, f.names())
	case cursor.Earliest:
		found, err = f.control.starts(ctx, f.names())
	case cursor.Time:
		found, err = f.control.after(ctx, f.names(), from.Time)
	}
	if err != nil {
		return nil, err
	}
	out := make(map[int32]int64, len(found.at))
	lay := r.extend(found.places())
	for p, next := range found.at {
		out[lay.number(p.topic, p.partition)] = next
	}
	return out, nil
}

// registry is the counted subscriptions of an endpoint, for the end of Run.
type registry struct {
	mu  sync.Mutex // guards the following
	all map[*counted]struct{}
}

func (g *registry) enter(c *counted) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[*counted]struct{}{}
	}
	g.all[c] = struct{}{}
}

func (g *registry) leave(c *counted) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.all, c)
}

// follow has the members that read with r know of topics.
func (g *registry) follow(r *reader, topics []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.all {
		if m, ok := c.book.(*member); ok && c.place.r == r {
			m.cl.AddConsumeTopics(topics...)
		}
	}
}

// closeAll closes those that nobody closed, side by side.
func (g *registry) closeAll(ctx context.Context) {
	g.mu.Lock()
	var closing sync.WaitGroup
	for c := range g.all {
		closing.Go(func() { c.Close(ctx) })
	}
	g.mu.Unlock()
	closing.Wait()
}
