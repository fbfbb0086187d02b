package kafka

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// story is what happens to one subscriber of a site, for the judge.
type story struct {
	t     *testing.T
	s     *site
	j     *judge.Judge
	x     *exchange.Exchange
	group string
	seen  map[string]int
}

func newStory(t *testing.T, s *site, level qos.Level, group string) *story {
	return &story{t: t, s: s, j: judge.New(), group: group, seen: map[string]int{},
		x: &exchange.Exchange{QoS: level, ClientIdentifier: group, ClientSupplied: true}}
}

func (h *story) add(e judge.Event) {
	h.t.Helper()
	e.Subscriber = "s"
	if err := h.j.Add(&e); err != nil {
		h.t.Fatal(err)
	}
}

// stored tells the judge of what is in the log: message n is the (n / partitions)-th of partition n % partitions.
func (h *story) stored() {
	for n := range h.s.sent {
		p := n % int(h.s.partitions)
		e := judge.Event{Kind: judge.Produced, Key: strconv.Itoa(p), Seq: int64(n / int(h.s.partitions)), Partition: strconv.Itoa(p),
			Offset: int64(n / int(h.s.partitions))}
		for _, e.Kind = range []judge.Kind{judge.Produced, judge.Stored} {
			if err := h.j.Add(&e); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

func (h *story) connect(first bool) {
	e := judge.Event{Kind: judge.Resumed, Cursor: h.saved()}
	if first {
		e = judge.Event{Kind: judge.Subscribed, Level: h.x.QoS.String(), Cursor: judge.Cursor{judge.Everywhere: 0}}
	}
	h.add(e)
}

// saved is what the group holds.
func (h *story) saved() judge.Cursor {
	out := judge.Cursor{}
	for p := range h.s.partitions {
		if at := h.s.committed(h.group, p).At; at >= 0 {
			out[strconv.Itoa(int(p))] = at
		}
	}
	return out
}

func (h *story) checkpoint() {
	if c := h.saved(); len(c) > 0 {
		h.add(judge.Event{Kind: judge.Checkpointed, Cursor: c})
	}
}

func event(kind judge.Kind, m *message.Message) judge.Event {
	p := strconv.Itoa(int(m.Partition))
	return judge.Event{Kind: kind, Key: p, Seq: m.Offset, Partition: p, Offset: m.Offset}
}

func (h *story) delivered(ms []message.Message) {
	h.checkpoint() // what at-most-once must have done before
	for i := range ms {
		if ms[i].Kind == message.Gap {
			h.gap(&ms[i])
			continue
		}
		h.seen[string(ms[i].Content)]++
		h.add(event(judge.Delivered, &ms[i]))
	}
}

func (h *story) gap(m *message.Message) {
	var g gap
	if err := json.Unmarshal(m.Content, &g); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range g.Ranges {
		h.add(judge.Event{Kind: judge.Gap, Reason: g.Reason, Partition: strconv.Itoa(int(r.Partition)), From: r.First, To: r.Next})
	}
}

// known is what the broker has confirmed to a subscription.
func known(c *counted) judge.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := judge.Cursor{}
	for _, l := range c.lanes {
		if l != nil && l.saved.next >= 0 {
			out[strconv.Itoa(int(l.at.partition))] = l.saved.next
		}
	}
	return out
}

// deliver takes a message and proves it.
func (h *story) deliver(c *client, m message.Message) {
	if at := known(c.sub.(*counted)); len(at) > 0 {
		h.add(judge.Event{Kind: judge.Checkpointed, Cursor: at})
	}
	h.seen[string(m.Content)]++
	h.add(event(judge.Delivered, &m))
	h.add(event(judge.Acked, &m))
	c.sub.DeliveredThrough(&m)
}

func (h *story) prove(c *client, m *message.Message) {
	h.add(event(judge.Acked, m))
	c.sub.Acknowledge(m)
}

func (h *story) verdict() {
	h.t.Helper()
	h.stored()
	if err := h.j.Verdict().Err(); err != nil {
		h.t.Error(err)
	}
}

// testComeAndGo has workers serve one subscriber one after the other, that end in order, with their worker, or not at all.
func testComeAndGo(t *testing.T, s *site, level qos.Level, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 0))
	group := fmt.Sprint("come-and-go-", level, "-", seed, "-", s.topic)
	h := newStory(t, s, level, group)
	died := false
	for round := range 6 {
		b := s.worker("", connectors.Limits{CheckpointEvery: 20 * time.Millisecond})
		h.connect(round == 0)
		c := b.mustOpen(h.x, connectors.SubscribeOptions{Instance: "one"})
		s.produce(60 + dice.IntN(60))
		var mine []message.Message
		for n := 0; n < 40; n = len(mine) {
			view := c.take(1)
			h.delivered(view)
			if view[0].Kind == message.Data {
				mine = append(mine, view...)
			}
		}
		for _, i := range dice.Perm(len(mine)) {
			if dice.IntN(5) > 0 {
				h.prove(c, &mine[i])
			}
		}
		switch end := dice.IntN(3); {
		case end == 0 || round == 5:
			c.sub.Close(t.Context())
		case end == 1:
			b.stop()
		default: // it is left behind, and learns of its successor
			died = true
		}
		h.checkpoint()
		h.add(judge.Event{Kind: judge.Disconnected})
	}
	b := s.worker("", connectors.Limits{})
	h.connect(false)
	c := b.mustOpen(h.x, connectors.SubscribeOptions{Instance: "one"})
	for last := time.Now(); ; {
		view, err := c.sub.Poll(100)
		if err != nil {
			t.Fatal(err)
		}
		if len(view) > 0 {
			h.delivered(view)
			last = time.Now()
			continue
		}
		complete := len(h.seen) == s.sent
		if complete || level == qos.AtMostOnce && died && time.Since(last) > time.Second {
			break
		}
		select {
		case <-c.wake:
		case <-time.After(500 * time.Millisecond):
			if time.Since(last) > 20*time.Second {
				t.Fatalf("%d of %d messages", len(h.seen), s.sent)
			}
		}
	}
	h.verdict()
	t.Logf("%d of %d messages; a worker died: %t", len(h.seen), s.sent, died)
}

func TestCounted_ComeAndGo(t *testing.T) {
	for seed := range uint64(3) {
		for _, level := range []qos.Level{qos.AtLeastOnce, qos.AtMostOnce} {
			t.Run(fmt.Sprint(level, "-", seed), func(t *testing.T) {
				t.Parallel()
				testComeAndGo(t, fakeSite(t, 3), level, seed)
			})
		}
	}
}
