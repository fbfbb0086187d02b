package simulation

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Subscribers as the judge knows them.
const (
	alone = "client"
	both  = "both" // all members together
	wire  = "wire" // under auto: what was written to connections, which is what its checkpoint is about
)

// order are the promises that are kept to each member by itself.
const order = judge.OrderPerKey | judge.OrderPerPartition

// client is a program that connects, reads and connects again.
type client struct {
	w      *simulated
	name   string
	random *rand.Rand
	slow   atomic.Bool
	link   atomic.Pointer[link] // for those who cut it
	known  bool
	resume string
}

// run connects until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(moment(c.random, 30*time.Millisecond))
		l := c.w.connect(c)
		if l == nil {
			continue
		}
		c.link.Store(l)
		c.read(ctx, l)
	}
}

// begin notes that a connection begins.
func (c *client) begin() {
	s, h := c.w.schedule, c.w.history
	e := judge.Event{Kind: judge.Resumed, Subscriber: c.name}
	if !c.known {
		e = judge.Event{Kind: judge.Subscribed, Subscriber: c.name, Level: s.Level.String(), Rules: c.w.rules(c.name)}
		if s.Level != qos.None && c.name == alone {
			e.Cursor = judge.Cursor{judge.Everywhere: 0}
		}
	} else if at, err := cursor.Parse(c.resume); err == nil && at.Kind == cursor.At && s.Level == qos.Auto && s.Cursors {
		e.Cursor = judge.Cursor{}
		for _, p := range at.At {
			e.Cursor[name(int(p.Partition))] = p.Offset + 1
		}
	}
	c.known = true
	h.add(e)
}

// read is one connection.
func (c *client) read(ctx context.Context, l *link) {
	var text []byte
	var unproved []message.Message
	for ctx.Err() == nil {
		most := 20 * time.Millisecond
		if c.slow.Load() {
			most = 1500 * time.Millisecond
		}
		time.Sleep(moment(c.random, most))
		for _, m := range l.arrive(1 + c.random.IntN(24<<10)) {
			if c.w.schedule.Proof == ByTCP {
				c.acked(l, m)
			} else {
				unproved = append(unproved, m)
			}
		}
		if c.random.IntN(4) == 0 {
			continue // the program has not come to read yet
		}
		b, over := l.read()
		text = c.take(append(text, b...))
		for c.w.schedule.Proof == ByOrder && len(unproved) > 0 && c.random.IntN(3) > 0 {
			i := c.random.IntN(len(unproved))
			c.acked(l, unproved[i])
			unproved = append(unproved[:i], unproved[i+1:]...)
		}
		if over {
			break
		}
		if c.random.IntN(400) == 0 {
			l.end(true)
			break
		}
	}
	l.end(true)
	b, _ := l.read() // a program that leaves still reads what its kernel has acknowledged
	c.take(append(text, b...))
	if ctx.Err() == nil {
		c.w.history.add(judge.Event{Kind: judge.Disconnected, Subscriber: c.name})
	}
}

// acked proves receipt of a message. The program's proof, in any order, is noted before it is sent, as that of its kernel.
func (c *client) acked(l *link, m message.Message) {
	if c.w.schedule.Level == qos.AtLeastOnce {
		c.tell(judge.Event{Kind: judge.Acked, Key: name(int(m.Partition)), Seq: m.Offset})
	}
	l.ack(m)
}

// tell notes an event of the client, and of all members.
func (c *client) tell(e judge.Event) {
	e.Subscriber = c.name
	c.w.history.add(e)
	if c.name != alone {
		e.Subscriber = both
		c.w.history.add(e)
	}
}

// take notes the whole lines of a text and returns the rest.
func (c *client) take(text []byte) []byte {
	for {
		line, rest, ok := bytes.Cut(text, []byte{'\n'})
		if !ok {
			return text
		}
		text = rest
		c.line(string(line[:min(len(line), 256)]))
	}
}

func (c *client) line(line string) {
	var what, at string
	var p int32
	var offset, to int64
	if n, _ := fmt.Sscanf(line, "gap %d %d %d %s", &p, &offset, &to, &at); n == 4 {
		m := message.Message{Kind: message.Gap, Partition: p, Content: fmt.Append(nil, offset, to)}
		c.tell(eventOf("", &m))
	} else if n, _ := fmt.Sscanf(line, "message %d %d %s", &p, &offset, &at); n == 3 {
		m := message.Message{Partition: p, Offset: offset}
		c.tell(eventOf("", &m))
		c.w.history.arrived()
	} else if n, _ := fmt.Sscan(line, &what, &at); n != 2 || what != "end" {
		panic("a line that no server writes: " + line)
	}
	c.resume = at
}
