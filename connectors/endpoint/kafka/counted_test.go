package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// site is a topic on a cluster, with as many workers as a test wants.
type site struct {
	t          testing.TB
	seeds      []string
	topic      string
	partitions int32
	cl         *kgo.Client
	sent       int
	more       string // of the consumer's configuration, on all workers
}

func newSite(t testing.TB, seeds []string, topic string, partitions int32) *site {
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &site{t: t, seeds: seeds, topic: topic, partitions: partitions, cl: cl}
}

func fakeSite(t testing.TB, partitions int32) *site {
	return newSite(t, cluster(t, partitions, "orders").ListenAddrs(), "orders", partitions)
}

// worker is an endpoint of its own.
func (s *site) worker(more string, limits connectors.Limits) *bed {
	return newBed(s.t, nil, fmt.Sprintf(`{"bootstrapServers":%q,"topics":[%q],"consumer":{"autoOffsetReset":"earliest"%s}}`,
		strings.Join(s.seeds, ","), s.topic, s.more+more), limits)
}

// produce writes the next n numbers, one partition after the other.
func (s *site) produce(n int) {
	s.t.Helper()
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: s.topic, Partition: int32(s.sent) % s.partitions, Value: fmt.Append(nil, s.sent)})
		s.sent++
	}
	if err := s.cl.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// committed is what the group holds of a partition; -1: nothing.
func (s *site) committed(group string, partition int32) kadm.Offset {
	s.t.Helper()
	var found kadm.OffsetResponses
	err := patiently(s.t.Context(), func() (err error) {
		found, err = kadm.NewClient(s.cl).FetchOffsets(s.t.Context(), group)
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		s.t.Fatal(err)
	}
	o, ok := found.Lookup(s.topic, partition)
	if !ok {
		return kadm.Offset{At: -1}
	}
	return o.Offset
}

func leastOnce(id string) *exchange.Exchange {
	return &exchange.Exchange{QoS: qos.AtLeastOnce, ClientIdentifier: id, ClientSupplied: true}
}

func mostOnce(id string) *exchange.Exchange {
	return &exchange.Exchange{QoS: qos.AtMostOnce, ClientIdentifier: id, ClientSupplied: true}
}

// open subscribes with all options.
func (b *bed) open(x *exchange.Exchange, o connectors.SubscribeOptions) (*client, error) {
	b.t.Helper()
	c := &client{t: b.t, wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	o.Wake = func() { notify(c.wake) }
	sub, err := b.e.Subscribe(ctx, x, o)
	if err != nil {
		return nil, err
	}
	c.sub = sub
	b.t.Cleanup(func() { sub.Close(context.Background()) })
	return c, nil
}

func (b *bed) mustOpen(x *exchange.Exchange, o connectors.SubscribeOptions) *client {
	b.t.Helper()
	c, err := b.open(x, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// quiet fails if something comes within a moment.
func (c *client) quiet() {
	c.t.Helper()
	enough := time.After(300 * time.Millisecond)
	for {
		if view, err := c.sub.Poll(1); len(view) > 0 || err != nil {
			c.t.Fatalf("also got %v, %v", contents(view), err)
		}
		select {
		case <-c.wake:
		case <-enough:
			return
		}
	}
}

// sorted are contents that are numbers, in order.
func sorted(ms []message.Message) []string {
	out := contents(ms)
	slices.SortFunc(out, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return out
}

func (c *client) mustTake(n, from int) []message.Message {
	c.t.Helper()
	ms := c.take(n)
	if got, want := sorted(ms), numbers(from, from+n); !slices.Equal(got, want) {
		c.t.Fatalf("got %v, want %v", got, want)
	}
	return ms
}

func testLeastOnceSavesWhatIsProved(t *testing.T, s *site) {
	b := s.worker("", connectors.Limits{})
	c := b.mustOpen(leastOnce("me"), connectors.SubscribeOptions{})
	s.produce(20)
	ms := c.mustTake(20, 0)
	c.sub.DeliveredThrough(&ms[9])
	beyond := ms[15] // a policy's copy counts as the message
	c.sub.Acknowledge(&beyond)
	c.sub.Close(t.Context())
	again := b.mustOpen(leastOnce("me"), connectors.SubscribeOptions{})
	want := append(contents(ms[10:15]), contents(ms[16:])...)
	slices.Sort(want)
	got := contents(again.take(len(want)))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	again.quiet()
}

func testMostOnceHandsOutWhatIsSaved(t *testing.T, s *site) {
	b := s.worker("", connectors.Limits{})
	c := b.mustOpen(mostOnce("me"), connectors.SubscribeOptions{})
	s.produce(20)
	var first []message.Message
	for len(first) < 7 {
		ms := c.take(1)
		m := ms[0]
		if at := s.committed("me", m.Partition).At; at <= m.Offset {
			t.Fatalf("got offset %d while %d is saved", m.Offset, at)
		}
		first = append(first, m)
	}
	c.sub.Close(t.Context())
	again := b.mustOpen(mostOnce("me"), connectors.SubscribeOptions{})
	got := append(first, again.take(13)...)
	if got := sorted(got); !slices.Equal(got, numbers(0, 20)) {
		t.Fatalf("got %v", got)
	}
	again.quiet()
}

// drinkers are several subscribers, taken from in turn.
type drinkers struct {
	t    *testing.T
	all  []*client
	wake chan struct{}
	each []int
}

func (d *drinkers) add(b *bed, x *exchange.Exchange, o connectors.SubscribeOptions) *client {
	d.t.Helper()
	if d.wake == nil {
		d.wake = make(chan struct{}, 1)
	}
	o.Wake = func() { notify(d.wake) }
	sub, err := b.e.Subscribe(d.t.Context(), x, o)
	if err != nil {
		d.t.Fatal(err)
	}
	c := &client{t: d.t, sub: sub, wake: d.wake}
	d.t.Cleanup(func() { sub.Close(context.Background()) })
	d.all, d.each = append(d.all, c), append(d.each, 0)
	return c
}

// until takes from all until done says so.
func (d *drinkers) until(prove bool, done func(message.Message) bool) {
	d.t.Helper()
	deadline := time.After(40 * time.Second)
	for {
		n := 0
		for i, c := range d.all {
			view, err := c.sub.Poll(50)
			if err != nil {
				d.t.Fatal(err)
			}
			d.each[i] += len(view)
			for k := range view {
				if n++; view[k].Kind != message.Data {
					continue
				}
				if prove {
					c.sub.DeliveredThrough(&view[k])
				}
				if done(view[k]) {
					return
				}
			}
		}
		if n > 0 {
			continue
		}
		select {
		case <-d.wake:
		case <-deadline:
			d.t.Fatalf("each got %v", d.each)
		}
	}
}

// testMembersShare lets a second member of the group join and the first one leave, under load.
func testMembersShare(t *testing.T, s *site, once bool) {
	who := leastOnce
	if once {
		who = mostOnce
	}
	d := &drinkers{t: t}
	seen := map[string]int{}
	through := func(total int) func(message.Message) bool {
		return func(m message.Message) bool {
			seen[string(m.Content)]++
			return len(seen) >= total
		}
	}
	one := d.add(s.worker("", connectors.Limits{}), who("team"), connectors.SubscribeOptions{})
	s.produce(100)
	d.until(!once, through(100))
	d.add(s.worker("", connectors.Limits{}), who("team"), connectors.SubscribeOptions{})
	for d.each[1] == 0 { // until the group has given it something
		s.produce(20)
		d.until(!once, through(s.sent))
	}
	s.produce(200)
	d.until(!once, through(s.sent))
	one.sub.Close(t.Context())
	d.all, d.each = d.all[1:], d.each[1:]
	s.produce(100)
	d.until(!once, through(s.sent))
	d.all[0].quiet()
	for text, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", text, n)
		}
	}
	t.Logf("%d messages", s.sent)
}

// TestCounted_InstancesShareAtEveryLevel has one push subscription on two workers: each message goes to one of them.
func TestCounted_InstancesShareAtEveryLevel(t *testing.T) {
	for _, level := range []qos.Level{qos.None, qos.Auto} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			s := fakeSite(t, 6)
			d := &drinkers{t: t}
			seen := map[string]int{}
			x := func() *exchange.Exchange {
				return &exchange.Exchange{QoS: level, ClientIdentifier: "hook", ClientSupplied: true}
			}
			for _, name := range []string{"worker-1", "worker-2"} {
				d.add(s.worker("", connectors.Limits{}), x(), connectors.SubscribeOptions{Instance: name})
			}
			for d.each[0] == 0 || d.each[1] == 0 { // until the group has given something to both
				s.produce(20)
				last := fmt.Sprint(s.sent - 1)
				d.until(true, func(m message.Message) bool {
					seen[string(m.Content)]++
					return string(m.Content) == last
				})
			}
			for _, c := range d.all {
				c.sub.Close(t.Context())
			}
			for text, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", text, n)
				}
			}
		})
	}
}

// testTakeover has a second subscriber of the same name take over from one that is not closed.
func testTakeover(t *testing.T, s *site) {
	old := s.worker("", connectors.Limits{CheckpointEvery: 50 * time.Millisecond})
	o := connectors.SubscribeOptions{Instance: "dispatcher"}
	c := old.mustOpen(leastOnce("hook"), o)
	s.produce(30)
	ms := c.mustTake(30, 0)
	proved := map[string]bool{}
	for i := range ms {
		if i%3 != 0 { // holes, which must come again, and only they
			c.sub.Acknowledge(&ms[i])
			proved[string(ms[i].Content)] = true
		}
	}
	if err := c.sub.(*counted).saveNow(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	next := s.worker("", connectors.Limits{})
	begun := time.Now()
	heir := next.mustOpen(leastOnce("hook"), o)
	for _, m := range heir.take(10) {
		if proved[string(m.Content)] {
			t.Errorf("%s came again", m.Content)
		}
	}
	t.Logf("taken over in %v", time.Since(begun))
	heir.quiet()
	before := [...]kadm.Offset{s.committed("hook", 0), s.committed("hook", 1)}
	for i := range ms { // proofs that come too late change nothing
		c.sub.Acknowledge(&ms[i])
	}
	err := c.sub.(*counted).saveNow(t.Context(), false) // nothing is left to save where it has been told already
	if after := [...]kadm.Offset{s.committed("hook", 0), s.committed("hook", 1)}; after != before {
		t.Errorf("who was replaced could save %v over %v, and got %v", after, before, err)
	}
	deadline := time.After(20 * time.Second)
	for {
		_, err := c.sub.Poll(1)
		if err != nil {
			if f := failureOf(t, err); f.Status != statusTaken {
				t.Fatal(f)
			}
			return
		}
		select {
		case <-c.wake:
		case <-deadline:
			t.Fatal("who was replaced was not told")
		}
	}
}

func testPages(t *testing.T, s *site, once bool) {
	b := s.worker("", connectors.Limits{})
	s.produce(50)
	who := leastOnce
	if once {
		who = mostOnce
	}
	if once { // a page that is about to end reserves nothing: what it would take with it comes with the next
		late := b.mustOpen(who("pager"), connectors.SubscribeOptions{Page: true, Limit: 10, Deadline: time.Now()})
		late.quiet()
		late.sub.Close(t.Context())
	}
	var got []message.Message
	if once { // what a page has reserved and not handed out is the next page's
		few := b.mustOpen(who("pager"), connectors.SubscribeOptions{Page: true, Limit: 10})
		few.reserve(10, 5)
		got = few.take(4)
		few.sub.Close(t.Context())
	}
	at := ""
	for len(got) < 50 {
		n := min(50-len(got), 10)
		c := b.mustOpen(who("pager"), connectors.SubscribeOptions{Page: true, Limit: 10, Cursor: at})
		got = append(got, c.take(n)...)
		at = string(c.sub.AppendCursor(nil))
		c.sub.Close(t.Context())
	}
	if got := sorted(got); !slices.Equal(got, numbers(0, 50)) {
		t.Fatalf("got %v", got)
	}
	if once {
		first := string(got[0].ID)
		b.mustOpen(who("pager"), connectors.SubscribeOptions{Page: true, Limit: 10, Cursor: first}).quiet()
		return
	}
	// The last page is not proved by anything, so it comes again without a cursor.
	if again := b.mustOpen(who("pager"), connectors.SubscribeOptions{Page: true, Limit: 10}).take(10); !slices.Equal(sorted(again), sorted(got[40:])) {
		t.Fatalf("got %v", sorted(again))
	}
}

// reserve has a page reserve messages, so many of them at least, and hand out none.
func (c *client) reserve(most, least int) {
	c.t.Helper()
	counted := c.sub.(*counted)
	r := counted.ledger.(*reservations)
	reserved := func() bool {
		counted.mu.Lock()
		defer counted.mu.Unlock()
		if len(r.flight) == 0 {
			r.reserve(most)
		}
		return r.flight.len()+r.ready.len() >= least
	}
	for deadline := time.After(20 * time.Second); !reserved(); {
		select {
		case <-c.wake:
		case <-deadline:
			c.t.Fatal("nothing to reserve")
		}
	}
}

// testPagesAtOnce asks two workers for pages of one client at once: what both have read, one hands out.
func testPagesAtOnce(t *testing.T, s *site) {
	s.produce(40)
	page := connectors.SubscribeOptions{Page: true, Limit: 10}
	former, latter := s.worker("", connectors.Limits{}).mustOpen(mostOnce("pager"), page), s.worker("", connectors.Limits{}).mustOpen(mostOnce("pager"), page)
	got := latter.take(10)
	if err := former.failure(); err.Status != statusTaken || err.Key != message.KeyClientActive {
		t.Fatal(err)
	}
	former.sub.Close(t.Context())
	again := s.worker("", connectors.Limits{}).mustOpen(mostOnce("pager"), page)
	got = append(got, again.take(10)...)
	// The one before has been handed all that it asked for, so that there is nothing to refuse it.
	if view, err := latter.sub.Poll(10); len(view) > 0 || err != nil {
		t.Fatalf("%d more, %v", len(view), err)
	}
	latter.sub.Close(t.Context())
	again.sub.Close(t.Context())
	got = append(got, s.worker("", connectors.Limits{}).mustOpen(mostOnce("pager"), connectors.SubscribeOptions{Page: true, Limit: 20}).take(20)...)
	if got := sorted(got); !slices.Equal(got, numbers(0, 40)) {
		t.Fatalf("got %v", got)
	}
}

// failure polls until the subscription fails.
func (c *client) failure() *message.Failure {
	c.t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		view, err := c.sub.Poll(1)
		switch {
		case err != nil:
			return failureOf(c.t, err)
		case len(view) > 0:
			c.t.Fatalf("got %q", view[0].Content)
		}
		select {
		case <-c.wake:
		case <-deadline:
			c.t.Fatal("it does not fail")
		}
	}
}

func testPageBesideStream(t *testing.T, s *site) {
	b := s.worker("", connectors.Limits{})
	s.produce(4)
	stream := b.mustOpen(leastOnce("both"), connectors.SubscribeOptions{})
	ms := stream.mustTake(4, 0)
	stream.sub.DeliveredThrough(&ms[3])
	for _, who := range []func(string) *exchange.Exchange{leastOnce, mostOnce} {
		_, err := b.open(who("both"), connectors.SubscribeOptions{Page: true, Limit: 1, Cursor: "earliest"})
		if f := failureOf(t, err); f.Status != statusTaken || f.Key != message.KeyClientActive {
			t.Fatal(f)
		}
	}
	stream.sub.Close(t.Context())
	b.mustOpen(leastOnce("both"), connectors.SubscribeOptions{Page: true, Limit: 1, Cursor: "earliest"}).take(1)
}

// testPageBeforeStream has a stream join while a page is under way: the page saves nothing beside the group's members.
func testPageBeforeStream(t *testing.T, s *site) {
	s.produce(4)
	page := s.worker("", connectors.Limits{}).mustOpen(mostOnce("both"), connectors.SubscribeOptions{Page: true, Limit: 4})
	stream := s.worker("", connectors.Limits{}).mustOpen(mostOnce("both"), connectors.SubscribeOptions{})
	stream.mustTake(4, 0)
	if f := page.failure(); f.Status != statusTaken || f.Key != message.KeyClientActive {
		t.Fatal(f)
	}
}

// TestProofs_CountForTheOlderDelivery has a partition leave and come back unproved: a proof of its message is of the first
// delivery, and says nothing of what was handed out between the two.
func TestProofs_CountForTheOlderDelivery(t *testing.T) {
	t.Parallel()
	c := &counted{}
	p := &proofs{c: c}
	for i := range int32(2) {
		c.lanes = append(c.lanes, &lane{part: i})
		p.seat(c.lanes[i], spot{})
	}
	hand := func(part int32) mark {
		if deliver, err := c.lanes[part].track.Track(0); err != nil || !deliver {
			t.Fatal(deliver, err)
		}
		m := mark{part, 1}
		p.hand(handedOut{m, c.lanes[part].track})
		return m
	}
	first, other := hand(0), hand(1)
	c.lanes[0] = &lane{part: 0}
	p.seat(c.lanes[0], spot{})
	hand(0)
	p.through(first)
	if at := c.lanes[1].track.Position(); at != 0 {
		t.Errorf("a message that nobody proved counts as proved: position %d", at)
	}
	p.through(other)
	p.through(first)
	for i, l := range c.lanes {
		if at := l.track.Position(); at != 1 {
			t.Errorf("lane %d is at %d, want 1: all is proved", i, at)
		}
	}
	if len(p.handed) != 0 || p.head != 0 {
		t.Errorf("%d places are remembered", len(p.handed)-p.head)
	}
}

func TestStart_AttributeOverridesTheStartRule(t *testing.T) {
	for _, who := range []func(string) *exchange.Exchange{leastOnce, func(string) *exchange.Exchange { return auto() }} {
		s := fakeSite(t, 1)
		b := s.worker("", connectors.Limits{}) // earliest
		s.produce(3)
		x := who("ruled")
		x.SetAttribute("gravitee.attributes.endpoint.kafka.consumer.autoOffsetReset", "latest")
		c := b.mustOpen(x, connectors.SubscribeOptions{})
		s.produce(1)
		c.mustTake(1, s.sent-1)
		c.sub.Close(t.Context())
		x.SetAttribute("gravitee.attributes.endpoint.kafka.consumer.autoOffsetReset", "sometimes")
		_, err := b.open(x, connectors.SubscribeOptions{})
		if f := failureOf(t, err); f.Key != message.KeyConfigurationInvalid {
			t.Error(f)
		}
	}
}

func TestCounted_LeastOnceSavesWhatIsProved(t *testing.T) {
	testLeastOnceSavesWhatIsProved(t, fakeSite(t, 3))
}
func TestCounted_MostOnceHandsOutWhatIsSaved(t *testing.T) {
	testMostOnceHandsOutWhatIsSaved(t, fakeSite(t, 3))
}
func TestCounted_MembersShareAtLeastOnce(t *testing.T) { testMembersShare(t, fakeSite(t, 6), false) }
func TestCounted_MembersShareAtMostOnce(t *testing.T)  { testMembersShare(t, fakeSite(t, 6), true) }
func TestCounted_Takeover(t *testing.T)                { testTakeover(t, fakeSite(t, 2)) }
func TestPage_LeastOnce(t *testing.T)                  { testPages(t, fakeSite(t, 3), false) }
func TestPage_MostOnce(t *testing.T)                   { testPages(t, fakeSite(t, 3), true) }
func TestPage_BesideStreamIsRefused(t *testing.T)      { testPageBesideStream(t, fakeSite(t, 2)) }
func TestPage_AtOnce(t *testing.T)                     { testPagesAtOnce(t, fakeSite(t, 3)) }
func TestPage_BeforeStreamIsRefused(t *testing.T)      { testPageBeforeStream(t, fakeSite(t, 2)) }
