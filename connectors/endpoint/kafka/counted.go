package kafka

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/message"
)

// counted is a subscription under at-most-once or at-least-once whose positions are those of a consumer group. A stream
// is a member of the group, has the partitions that the group gives it, and reads them through a place in the shared
// chains like everybody; a page reads all partitions and saves as an outsider does. What the levels do differently is in
// their ledgers.
type counted struct {
	place  *subscription // where it reads; mu guards it
	group  string
	book   book
	ledger ledger

	kick     chan struct{} // there is something to save
	acked    chan struct{} // acks came, for revoked
	over     chan struct{} // closed by Close: run ends
	overOnce sync.Once
	done     chan struct{} // closed when run has ended
	release  func()        // gives back what a page holds, at the end; nil: nothing

	saving sync.Mutex // one save at a time; before mu

	mu      sync.Mutex // guards the following
	lanes   []*lane    // by partition number; nil: not ours
	owned   int        // how many are ours
	claims  map[int32]int64
	rule    vector // where a partition begins of which neither the client nor the group says anything
	reset   string // the start rule; set once
	failure *message.Failure
	closed  bool
	ids     cursor.Writer // of messages whose shared ids name partitions that are not ours
	idBytes []byte
}

// lane is one partition of a counted subscription. The counted subscription's mu guards it.
type lane struct {
	part    int32
	at      place
	slot    int   // place in the ids
	read    int64 // next offset to take from the place
	handed  int64 // next offset after the last that Poll returned
	saved   spot  // what the group is known to hold; next -1: nothing, or not known
	began   spot  // where it was begun
	leaving bool  // it is being revoked: nothing of it is handed out any more
	track   tracker
}

// spot is a position as a group holds it: the next offset, with text for the metadata. next -1: nothing is saved.
type spot struct {
	next int64
	text string
}

// commitment is a spot that a lane is to get.
type commitment struct {
	lane *lane
	spot spot
}

// book is where positions are saved: a membership, or a page's outside view of the group.
type book interface {
	// save saves what current returns, once. It calls current when it has found out as whom it saves, so that nothing is
	// saved in the name of a later membership.
	save(ctx context.Context, current func() []commitment) ([]commitment, error)
	// run does what saving needs beside, until ctx ends or end was called.
	run(ctx context.Context)
	// end gives up what is held, in bounded time.
	end()
}

// ledger is how a level counts. All methods are called with the counted subscription's mu held.
type ledger interface {
	// seat begins a lane whose saved spot is set. It returns what nobody will hand out of what lies before.
	seat(l *lane, from spot) (lost lostRange)
	// leave stops handing out messages of a lane. lost: somebody else may have it already.
	leave(l *lane, lost bool)
	// poll returns what is handed out next: a piece of the shared ring, or copies. Of the former no more than is handed out is
	// between From and To; what lies before and behind is other partitions' too.
	poll(most int) (message.View, error)
	// due returns what to save. last: lanes that end, so that nothing follows.
	due(last bool) []commitment
	// settled says that what due returned last is saved; it tells whether Poll may have something now.
	settled() bool
	// open tells whether a lane that leaves has messages whose receipt may still be proved.
	open(l *lane) bool
	// through and ack are DeliveredThrough and Acknowledge; they tell whether Poll may have something now.
	through(m mark) bool
	ack(m mark) bool
}

func newCounted(s *subscription, group string, once bool) *counted {
	c := &counted{place: s, group: group, kick: make(chan struct{}, 1), acked: make(chan struct{}, 1),
		over: make(chan struct{}), done: make(chan struct{})}
	if once {
		c.ledger = &reservations{c: c, size: minReserved, holder: newHolder()}
	} else {
		c.ledger = &proofs{c: c}
	}
	return c
}

// Timings of counted subscriptions.
const (
	revokeWait = 2 * time.Second // for proofs of what was handed out of a partition, before it is given up
	saveWait   = 5 * time.Second // for a save
)

// Poll implements connectors.Subscription.
func (c *counted) Poll(most int) ([]message.Message, error) {
	v, err := c.PollView(most)
	return v.Messages(), err
}

// PollView implements connectors.Viewer.
func (c *counted) PollView(most int) (message.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failure != nil:
		return message.View{}, c.failure
	case c.closed:
		return message.View{}, closedFailure(nil)
	case most <= 0:
		return message.View{}, nil
	}
	return c.ledger.poll(most)
}

// DeliveredThrough implements connectors.Subscription.
func (c *counted) DeliveredThrough(m *message.Message) { c.prove(m, true) }

// Acknowledge implements connectors.Subscription.
func (c *counted) Acknowledge(m *message.Message) { c.prove(m, false) }

func (c *counted) prove(m *message.Message, through bool) {
	if m.Kind != message.Data {
		return
	}
	at := mark{c.place.r.lay.Load().number(m.Topic, m.Partition), m.Offset + 1}
	more := false
	c.mu.Lock()
	switch {
	case at.part < 0 || c.closed: // not ours, or too late
	case through:
		more = c.ledger.through(at)
	default:
		more = c.ledger.ack(at)
	}
	c.mu.Unlock()
	notify(c.acked)
	if more {
		c.place.wake()
	}
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// AppendCursor implements connectors.Subscription: the positions of our partitions.
func (c *counted) AppendCursor(dst []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := make([]cursor.Position, 0, c.owned)
	for _, i := range c.place.r.lay.Load().order {
		if l := c.lane(i); l != nil && !l.leaving {
			at = append(at, cursor.Position{Topic: l.at.topic, Partition: l.at.partition, Offset: l.handed - 1})
		}
	}
	return cursor.Append(dst, at, c.place.r.f.encodeID)
}

// lane returns a partition's lane; nil: it is not ours. The caller holds mu.
func (c *counted) lane(part int32) *lane {
	if part < 0 || int(part) >= len(c.lanes) {
		return nil
	}
	return c.lanes[part]
}

// partial tells whether the messages' shared ids name partitions that are not ours. The caller holds mu.
func (c *counted) partial() bool { return c.owned < len(c.place.cur.lay.places) }

// seat begins partitions that the group gave us, where the client or the group says, or else the start rule.
func (c *counted) seat(ctx context.Context, given map[place]spot) error {

	r := c.place.r
	places := make([]place, 0, len(given))
	for p := range given {
		places = append(places, p)
	}
	lay := r.extend(places)
	c.mu.Lock()
	claims, rule := c.claims, c.rule
	c.mu.Unlock()
	vec := vector{}.pad(len(lay.places))
	for p, saved := range given {
		i := lay.number(p.topic, p.partition)
		at, err := c.begin(i, p, saved, claims, rule)
		if err != nil {
			c.fail(err)
			return err
		}
		vec[i] = at
	}
	found, gaps, err := r.inRange(ctx, append(vector(nil), vec...))
	if err != nil {
		return err
	}
	var gone []lostRange
	c.mu.Lock()
	if !c.closed {
		for p, saved := range given {
			i := lay.number(p.topic, p.partition)
			from := spot{next: found[i]}
			if from.next == saved.next {
				from.text = saved.text
			}
			if l := c.open(i, p, saved, from); l.First < l.Next {
				gone = append(gone, l)
			}
		}
		c.claims = nil
		c.resume()
		if gone != nil {
			slices.SortFunc(gone, func(a, b lostRange) int {
				return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
			})
			gaps = append(gaps, gapMessage(gap{Reason: reasonReserved, Ranges: gone}))
		}
		for _, g := range gaps {
			c.place.tell(g)
		}
	}
	c.mu.Unlock()
	notify(c.kick)
	c.place.wake()
	return nil
}

// begin says where a partition begins. At-least-once believes the client, since its cursor is proof and claim alike;
// at-most-once takes what is further, since what the group holds may have been handed out.
func (c *counted) begin(i int32, p place, saved spot, claims map[int32]int64, rule vector) (int64, *message.Failure) {
	claim, claimed := claims[i]
	_, once := c.ledger.(*reservations)
	switch {
	case claimed && once:
		return max(claim, saved.next), nil
	case claimed:
		return claim, nil
	case saved.next >= 0:
		return saved.next, nil
	case c.reset == resetNone:
		return 0, noPosition(p)
	}
	return rule.at(int(i)), nil
}

// open makes a lane. It returns what nobody will hand out of what lies before. The caller holds mu.
func (c *counted) open(i int32, p place, saved, from spot) (lost lostRange) {
	for len(c.lanes) <= int(i) {
		c.lanes = append(c.lanes, nil)
	}
	if l := c.lanes[i]; l == nil || l.leaving {
		c.owned++
	}
	l := &lane{part: i, at: p, read: from.next, handed: from.next, saved: saved}
	c.lanes[i] = l
	return c.ledger.seat(l, from)
}

// resume puts the place where the lanes are. The caller holds mu.
func (c *counted) resume() {
	vec := vector{}.pad(len(c.lanes))
	now := c.place.vector(nil)
	var at []cursor.Position
	for i, l := range c.lanes {
		if l == nil || l.leaving {
			continue
		}
		if i < len(now) && now[i] != elsewhere { // what the place passed over is passed over
			l.read = now[i]
		}
		vec[i] = l.read
		l.slot = len(at)
		at = append(at, cursor.Position{Topic: l.at.topic, Partition: l.at.partition, Offset: l.read - 1})
	}
	c.ids.Reset(at, c.place.r.f.encodeID)
	c.place.resumeAt(vec)
}

// identify gives a copy of a message that was just read an id of our partitions only. The caller holds mu.
func (c *counted) identify(l *lane, m *message.Message) {
	c.ids.Set(l.slot, m.Offset)
	if n := c.ids.Len(); cap(c.idBytes)-len(c.idBytes) < n {
		c.idBytes = make([]byte, 0, max(n, min(n*mostMessages, 16<<10)))
	}
	at := len(c.idBytes)
	c.idBytes = c.ids.Append(c.idBytes)
	m.ID = c.idBytes[at:len(c.idBytes):len(c.idBytes)]
}

// revoked gives partitions back, all of them where parts is nil: their messages are not handed out any more, proofs of
// those that were are waited for a little, and what is proved or handed out is saved.
func (c *counted) revoked(ctx context.Context, parts map[string][]int32) {
	ctx, cancel := context.WithTimeout(ctx, revokeWait+saveWait)
	defer cancel()

	leaving := c.leave(parts, false)
	if len(leaving) == 0 {
		return
	}
	c.awaitProofs(ctx, leaving)
	if err := c.saveNow(ctx, true); err != nil {
		c.place.r.f.e.lost.Warn(c.place.r.f.e.log, "save positions before partitions are given up", "group", c.group, "err", err)
	}
	c.drop(leaving)
}

// lost forgets partitions that were taken from us. Nothing is saved: somebody else may have them already.
func (c *counted) lost(parts map[string][]int32) { c.drop(c.leave(parts, true)) }

func (c *counted) leave(parts map[string][]int32, lost bool) (leaving []*lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lay := c.place.r.lay.Load()
	for topic, list := range parts {
		for _, n := range list {
			if l := c.lane(lay.number(topic, n)); l != nil {
				l.leaving = true
				c.owned--
				c.ledger.leave(l, lost)
				leaving = append(leaving, l)
			}
		}
	}
	if len(leaving) > 0 {
		c.resume()
	}
	return leaving
}

func (c *counted) awaitProofs(ctx context.Context, leaving []*lane) {
	wait := time.NewTimer(revokeWait)
	defer wait.Stop()
	for {
		c.mu.Lock()
		open := false
		for _, l := range leaving {
			open = open || c.ledger.open(l)
		}
		open = open && !c.closed
		c.mu.Unlock()
		if !open {
			return
		}
		select {
		case <-c.acked:
		case <-c.over:
			return
		case <-wait.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *counted) drop(lanes []*lane) {
	c.mu.Lock()
	for _, l := range lanes {
		if c.lane(l.part) == l {
			c.lanes[l.part] = nil
		}
	}
	c.mu.Unlock()
	c.place.wake()
}

// fail ends the subscription.
func (c *counted) fail(f *message.Failure) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = f
	}
	c.mu.Unlock()
	c.place.wake()
}

var (
	_ connectors.Subscription = (*counted)(nil)
	_ connectors.Viewer       = (*counted)(nil)
)
