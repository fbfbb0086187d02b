//go:build e2e

package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// leaf is a page as http-get asks for it.
type leaf struct {
	*client
	got   []message.Message
	limit int
}

func newLeaf(t *testing.T, e *Endpoint, client, cursor string, limit int) *leaf {
	t.Helper()
	o := connectors.SubscribeOptions{Page: true, Limit: limit, Cursor: cursor}
	return &leaf{client: subscribeAs(t, e, named(qos.Auto, client), o), limit: limit}
}

// fill takes messages until the page is full, or its endpoint ends it.
func (l *leaf) fill() {
	l.t.Helper()
	for len(l.got) < l.limit {
		view, err := l.s.Poll(l.limit - len(l.got))
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			l.t.Fatal(err)
		case len(view) == 0:
			next(l.t, l.woken)
		}
		for i := range view {
			if view[i].Kind == message.Data {
				l.got = append(l.got, view[i])
			}
		}
	}
}

// turn answers the page, and returns its cursor.
func (l *leaf) turn() (cursor string) {
	cursor = string(l.s.AppendCursor(nil))
	if n := len(l.got); n > 0 {
		l.s.DeliveredThrough(&l.got[n-1])
	}
	l.end()
	return cursor
}

func readPage(t *testing.T, e *Endpoint, client, cursor string, limit int) (got []message.Message, next string) {
	t.Helper()
	l := newLeaf(t, e, client, cursor, limit)
	l.fill()
	next = l.turn()
	return l.got, next
}

func contents(ms []message.Message) string {
	var all []string
	for i := range ms {
		all = append(all, string(ms[i].Content))
	}
	return strings.Join(all, " ")
}

func numbers(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, " ")
}

// TestReal_PageIsProvedByItsCursor loses the answers of pages, and their workers: the client goes on from the last cursor that it
// has, wherever that is, and gets every message.
func TestReal_PageIsProvedByItsCursor(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		for _, mqttQoS := range []int{1, 2} {
			topic := fmt.Sprint("t/", mqttQoS)
			cfg := config(b.Addr(), topic, fmt.Sprintf(`,"consumer":{"qos":%d}`, mqttQoS))
			workers := []*Endpoint{runVersion(t, v, cfg, connectors.Limits{}), runVersion(t, v, cfg, connectors.Limits{})}
			client := fmt.Sprint("client", mqttQoS)
			subscribe(t, workers[0], named(qos.Auto, client)).end() // the session begins
			for i := range 60 {
				p.put(topic, fmt.Sprint(i), byte(mqttQoS), false)
			}
			got, at := readPage(t, workers[0], client, "latest", 10)
			if contents(got) != numbers(0, 10) {
				t.Fatalf("the first: %s", contents(got))
			}
			for n := 1; n < 5; n++ {
				var next string
				for try := range 3 { // the first two answers are lost
					got, next = readPage(t, workers[(n+try)%2], client, at, 10)
					if contents(got) != numbers(10*n, 10*n+10) {
						t.Fatalf("QoS %d, page %d, try %d: %s", mqttQoS, n, try, contents(got))
					}
				}
				at = next
			}
			// A client that gives no cursor has had what was made for it, but for the page that is still open.
			if got, _ = readPage(t, workers[0], client, "", 10); contents(got) != numbers(40, 50) {
				t.Fatalf("without a cursor: %s", contents(got))
			}
			if got, _ = readPage(t, workers[1], client, "", 10); contents(got) != numbers(50, 60) {
				t.Fatalf("without a cursor, the next: %s", contents(got))
			}
			subscribe(t, workers[0], named(qos.Auto, client)).nothing(p, topic)
		}
	})
}

// TestReal_PageOfAnotherCursor gives a cursor that names other messages: nothing is acknowledged by it.
func TestReal_PageOfAnotherCursor(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		subscribe(t, e, named(qos.Auto, "a")).end()
		number(p, "t", 0, 20)
		var s sum
		for i := range 5 {
			s.add(uint16(i+1), &message.Message{Topic: "t", Content: []byte("another")})
		}
		few, many := s.cursor(), s.cursor()
		many.n = 500 // more than there are
		for _, c := range []pageCursor{few, many} {
			if got, _ := readPage(t, e, "a", string(c.append(nil)), 20); contents(got) != numbers(0, 20) {
				t.Fatalf("after %d others: %s", c.n, contents(got))
			}
		}
		// A page that takes fewer than it compared says so.
		got, at := readPage(t, e, "a", string(many.append(nil)), 3)
		if contents(got) != numbers(0, 3) {
			t.Fatal(contents(got))
		}
		if got, _ = readPage(t, e, "a", at, 5); contents(got) != numbers(3, 8) {
			t.Fatal(contents(got))
		}
	})
}

// TestReal_PageIsAsLargeAsItMay reads a page of more bytes than a session may hold of a client that is slow.
func TestReal_PageIsAsLargeAsItMay(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{RingBytes: 512 << 10})
		subscribe(t, e, named(qos.Auto, "a")).end()
		const n = 100
		fill := strings.Repeat("x", 7<<10)
		for i := range n {
			p.put("t", fmt.Sprintf("%d %s", i, fill), 1, false)
		}
		at := "latest"
		for range 2 {
			var got []message.Message
			if got, _ = readPage(t, e, "a", at, n); len(got) != n || !strings.HasPrefix(string(got[n-1].Content), "99 ") {
				t.Fatalf("%d messages", len(got))
			}
			at = "page.0" // which proves nothing
		}
	})
}

// TestReal_PageEndsWhereTheBrokerWaits has the broker send few messages ahead of acknowledgements: the page does not wait for
// what cannot come.
func TestReal_PageEndsWhereTheBrokerWaits(t *testing.T) {
	const window = 20
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{Lines: []string{"autosave_on_changes false", fmt.Sprint("max_inflight_messages ", window)}})
	p := newPeer(t, b.Addr())
	e := runVersion(t, V311, config(b.Addr(), "t", ""), connectors.Limits{})
	l := newLeaf(t, e, "a", "latest", 500)
	number(p, "t", 0, 2*window)
	l.fill()
	if contents(l.got) != numbers(0, window) {
		t.Fatal(contents(l.got))
	}
	at := l.turn()
	if got, _ := readPage(t, e, "a", at, window); contents(got) != numbers(window, 2*window) {
		t.Fatal(contents(got))
	}
}

// TestReal_PagesTakeTurns asks for two pages of one client at once: the second is not let in while the first is open, and begins
// where the first was not proved.
func TestReal_PagesTakeTurns(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	first := newLeaf(t, e, "a", "latest", 3)
	number(p, "t", 0, 6)
	first.fill()
	over, cancel := context.WithCancel(t.Context())
	cancel() // who need not wait does not look at it
	if s, err := e.Subscribe(over, named(qos.Auto, "a"), connectors.SubscribeOptions{Page: true, Limit: 6, Cursor: "latest"}); err == nil {
		s.Close(context.Background())
		t.Fatal("two pages of one client are open")
	}
	first.turn()
	if got, _ := readPage(t, e, "a", "latest", 6); contents(got) != numbers(0, 6) {
		t.Fatal(contents(got))
	}
}
