package kafka

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// deaf is a book whose owner does not hear what became of some saves: as where a broker dies between the save and its answer.
type deaf struct {
	book
	mu      sync.Mutex // guards the following
	unheard int        // saves that are done and not answered
	undone  bool       // whether none is done any more
	came    chan struct{}
}

func (d *deaf) save(ctx context.Context, current func() []commitment) ([]commitment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.undone {
		return nil, fmt.Errorf("the broker is away: %w", io.ErrUnexpectedEOF)
	}
	saved, err := d.book.save(ctx, current)
	if err == nil && len(saved) > 0 && d.unheard > 0 {
		d.unheard--
		notify(d.came)
		return nil, fmt.Errorf("the answer does not come: %w", io.ErrUnexpectedEOF)
	}
	return saved, err
}

// deafen has c not hear of the next n saves.
func deafen(c *client, n int) *deaf {
	cs := c.sub.(*counted)
	cs.saving.Lock()
	defer cs.saving.Unlock()
	d := &deaf{book: cs.book, unheard: n, came: make(chan struct{}, 1)}
	cs.book = d
	return d
}

// expel ends the membership of c, as a broker does that did not hear from it.
func (s *site) expel(c *client) {
	s.t.Helper()
	cs := c.sub.(*counted)
	id, _ := cs.book.(*deaf).book.(*member).cl.GroupMetadata()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = cs.group
	who := kmsg.NewLeaveGroupRequestMember()
	who.MemberID = id
	req.Members = append(req.Members, who)
	if _, err := req.RequestWith(s.t.Context(), s.cl); err != nil {
		s.t.Fatal(err)
	}
}

// unheard is a member that got 20 messages, and whose reservation of ten more is saved without its knowing.
func unheard(s *site, b *bed, saves int) (*client, *deaf) {
	s.t.Helper()
	c := b.mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	s.produce(20)
	c.mustTake(20, 0)
	d := deafen(c, saves)
	s.produce(10)
	if view, err := c.sub.Poll(10); len(view) > 0 || err != nil { // it asks for a reservation
		s.t.Fatal(contents(view), err)
	}
	for {
		select {
		case <-d.came:
			return c, d
		case <-c.wake:
			if view, err := c.sub.Poll(10); len(view) > 0 || err != nil {
				s.t.Fatal(contents(view), err)
			}
		case <-time.After(20 * time.Second):
			s.t.Fatal("nothing was reserved")
		}
	}
}

// testReservedUnheard: a member whose reservation is saved without its knowing loses its membership, and gets it back.
func testReservedUnheard(t *testing.T, s *site) {
	c, d := unheard(s, s.worker("", connectors.Limits{}), 1<<30)
	s.expel(c)
	d.mu.Lock()
	d.unheard = 0
	d.mu.Unlock()
	s.produce(5)
	c.mustTake(15, 20)
	c.quiet()
}

// testReservedGivenBack: a member that does not know whether its reservation is saved gives it back when it ends.
func testReservedGivenBack(t *testing.T, s *site) {
	b := s.worker("", connectors.Limits{})
	c, _ := unheard(s, b, 1)
	c.sub.Close(t.Context())
	again := b.mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	again.mustTake(10, 20)
	again.quiet()
}

// testReservedElsewhere: who comes after a member that died with a reservation tells of it, once; or whoever comes then, if
// nobody heard of it.
func testReservedElsewhere(t *testing.T, s *site) {
	c, d := unheard(s, s.worker("", connectors.Limits{}), 1<<30)
	d.mu.Lock()
	d.undone = true // it cannot give back
	d.mu.Unlock()
	closing, cancel := context.WithTimeout(t.Context(), time.Second)
	c.sub.Close(closing)
	cancel()

	b := s.worker("", connectors.Limits{})
	b.seated(mostOnce(s.topic + "-me")).sub.Close(t.Context())
	heir := b.mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	s.produce(5)
	ms := heir.take(6)
	want := fmt.Sprintf(`{"lost":10,"reason":"reserved","partitions":[{"topic":%q,"partition":0,"first":20,"next":30}]}`, s.topic)
	if ms[0].Kind != message.Gap || string(ms[0].Content) != want {
		t.Errorf("got %s, want %s", ms[0].Content, want)
	}
	if got := contents(ms[1:]); strings.Join(got, " ") != strings.Join(numbers(30, 35), " ") {
		t.Errorf("got %v", got)
	}
	heir.sub.Close(t.Context())
	last := b.mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	s.produce(1)
	last.mustTake(1, 35)
}

// seated subscribes and waits for partitions, without asking for messages.
func (b *bed) seated(x *exchange.Exchange) *client {
	b.t.Helper()
	c := b.mustOpen(x, connectors.SubscribeOptions{})
	for enough := time.After(20 * time.Second); ; {
		cs := c.sub.(*counted)
		cs.mu.Lock()
		owned := cs.owned
		cs.mu.Unlock()
		if owned > 0 {
			return c
		}
		select {
		case <-c.wake:
		case <-enough:
			b.t.Fatal("got no partition")
		}
	}
}

// testReservedAndHandedOut: of a member that handed out everything and then died nothing is told.
func testReservedAndHandedOut(t *testing.T, s *site) {
	c := s.worker("", connectors.Limits{CheckpointEvery: 50 * time.Millisecond}).mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	s.produce(20)
	c.mustTake(20, 0)
	for s.committed(s.topic+"-me", 0).Metadata != "" {
		if t.Context().Err() != nil {
			t.Fatal("the reservation stays")
		}
	}
	d := deafen(c, 0)
	d.mu.Lock()
	d.undone = true
	d.mu.Unlock()
	closing, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c.sub.Close(closing)
	heir := s.worker("", connectors.Limits{}).mustOpen(mostOnce(s.topic+"-me"), connectors.SubscribeOptions{})
	s.produce(5)
	heir.mustTake(5, 20)
	heir.quiet()
}

func TestReserved_UnheardOfAndBack(t *testing.T) {
	t.Parallel()
	testReservedUnheard(t, fakeSite(t, 1))
}
func TestReserved_UnheardOfAndEnded(t *testing.T) {
	t.Parallel()
	testReservedGivenBack(t, fakeSite(t, 1))
}
func TestReserved_ElsewhereIsToldOnce(t *testing.T) {
	t.Parallel()
	testReservedElsewhere(t, fakeSite(t, 1))
}
func TestReserved_HandedOutIsNotTold(t *testing.T) {
	t.Parallel()
	testReservedAndHandedOut(t, fakeSite(t, 1))
}

// FuzzParseReserved: text that is taken says the same when it is written again; what a group holds from elsewhere is not taken.
func FuzzParseReserved(f *testing.F) {
	for _, text := range []string{"", "r1.", "r1.a", "r1.a.", "r1..7", "r1.a.-1", "r1.a.9223372036854775808", "1AAEC", "r1.a.7", reservedText("NAME", 12)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, first, ok := parseReserved(text)
		if !ok {
			return
		}
		again, at, ok := parseReserved(reservedText(name, first))
		if name == "" || first < 0 || !ok || again != name || at != first {
			t.Errorf("%q is of %q, from %d; written again of %q, from %d, %t", text, name, first, again, at, ok)
		}
	})
}

func TestReserved_Text(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "r1.": false, "r1.a": false, "r1..7": false, "r1.a.-1": false, "r1.a.9223372036854775808": false,
		"1AAEC": false, "r2.a.7": false, "r1.a.7": true, reservedText("NAME", 0): true} {
		if _, _, ok := parseReserved(text); ok != want {
			t.Errorf("%q: %t", text, ok)
		}
	}
}
