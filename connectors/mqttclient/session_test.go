package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// simBroker is a broker's side of one session: what waits for it, and what it was sent and has not answered. It gives packet
// identifiers away again as soon as it may.
type simBroker struct {
	queue  []int
	flying []simFlight // in the order of their first sending
	owner  *simWorker  // whose connection it has; nil: nobody's
}

type simFlight struct {
	id uint16
	n  int
}

// simWorker is a worker with the session's client identifier, and the two directions of its connection.
type simWorker struct {
	b       *simBroker
	s       *session
	served  bool
	in      []any // *packets.Publish, or nil: a PINGRESP
	out     []byte
	clients []*simClient
}

// simClient is one connection of a client, judged as a subscriber.
type simClient struct {
	name   string
	m      *member
	unread []message.Message // handed out and not proved
}

// window is how many messages the broker sends ahead of answers.
const simWindow = 12

// deliver sends what may be sent to the session's owner.
func (b *simBroker) deliver() {
	for b.owner != nil && len(b.queue) > 0 && len(b.flying) < simWindow {
		f := simFlight{id: 1, n: b.queue[0]}
		for slices.ContainsFunc(b.flying, func(o simFlight) bool { return o.id == f.id }) {
			f.id++
		}
		b.queue = b.queue[1:]
		b.flying = append(b.flying, f)
		b.owner.in = append(b.owner.in, f.packet(false))
	}
}

func (f simFlight) packet(again bool) *packets.Publish {
	return &packets.Publish{Topic: "t", QoS: 1, PacketID: f.id, Duplicate: again, Payload: []byte(fmt.Sprint(f.n)), Properties: nothing}
}

// hear reads the next packet that the owner has written.
func (b *simBroker) hear() {
	w := b.owner
	if w == nil || len(w.out) == 0 {
		return
	}
	kind, id := w.out[0]>>4, uint16(0)
	if n := 2 + int(w.out[1]); n > 2 {
		id = uint16(w.out[2])<<8 | uint16(w.out[3])
		w.out = w.out[n:]
	} else {
		w.out = w.out[2:]
	}
	if kind == packets.PINGREQ {
		w.in = append(w.in, nil)
		return
	}
	b.flying = slices.DeleteFunc(b.flying, func(f simFlight) bool { return f.id == id })
	b.deliver()
}

// connect gives the session to w. Whoever had it notices later, or when it connects itself.
func (w *simWorker) connect() {
	if w.served {
		w.s.down(errors.New("reset"))
	}
	w.in, w.out = nil, nil
	w.b.owner = w
	w.s.up(true, w.served)
	w.served = true
	w.s.have = 1
	for _, f := range w.b.flying {
		w.in = append(w.in, f.packet(true))
	}
	w.b.deliver()
}

// read takes the next packet of the connection, which may be a dead one.
func (w *simWorker) read() {
	if len(w.in) == 0 {
		return
	}
	if p, ok := w.in[0].(*packets.Publish); ok {
		w.s.absorb(p)
	} else {
		w.s.passFence()
	}
	w.in = w.in[1:]
	w.s.show()
}

// write writes what may be written; on a dead connection that goes nowhere.
func (w *simWorker) write() {
	if out := w.s.collect(nil, false); w.b.owner == w {
		w.out = append(w.out, out...)
	}
}

// simulation is a session under two workers whose clients are all one.
type simulation struct {
	t       *rapid.T
	level   qos.Level
	judge   *judge.Judge
	broker  simBroker
	workers [2]*simWorker
	stored  int
	names   int
}

// everybody is the subscriber that stands for all connections of the client.
const everybody = "everybody"

func (s *simulation) tell(e judge.Event) {
	if err := s.judge.Add(&e); err != nil {
		s.t.Fatal(err)
	}
}

func (s *simulation) publish() {
	s.tell(judge.Event{Kind: judge.Produced, Key: "k", Seq: int64(s.stored)})
	s.tell(judge.Event{Kind: judge.Stored, Key: "k", Seq: int64(s.stored), Partition: "t", Offset: int64(s.stored)})
	s.broker.queue = append(s.broker.queue, s.stored)
	s.stored++
	s.broker.deliver()
}

func (s *simulation) join(w *simWorker) *simClient {
	c := &simClient{name: fmt.Sprint("client", s.names), m: &member{s: w.s, wake: func() {}}}
	s.names++
	w.s.members[c.m] = struct{}{}
	w.clients = append(w.clients, c)
	s.tell(judge.Event{Kind: judge.Subscribed, Subscriber: c.name, Level: s.level.String(), Rules: judge.OrderPerKey | judge.OrderPerPartition | judge.Invention})
	return c
}

func (s *simulation) leave(w *simWorker, c *simClient) {
	c.m.quit()
	w.clients = slices.DeleteFunc(w.clients, func(o *simClient) bool { return o == c })
}

// poll takes messages, and has the client go where it is told to.
func (s *simulation) poll(w *simWorker, c *simClient, most int) {
	view, err := c.m.Poll(most)
	if err != nil {
		s.leave(w, c)
		return
	}
	for i := range view {
		if view[i].Kind != message.Data {
			continue
		}
		var n int64
		if _, err := fmt.Sscan(string(view[i].Content), &n); err != nil {
			s.t.Fatal(err)
		}
		for _, name := range []string{c.name, everybody} {
			s.tell(judge.Event{Kind: judge.Delivered, Subscriber: name, Key: "k", Seq: n, Partition: "t", Offset: n})
		}
		c.unread = append(c.unread, view[i])
	}
}

// prove proves receipt of so many.
func (c *simClient) prove(n int) {
	if n = min(n, len(c.unread)); n > 0 {
		c.m.DeliveredThrough(&c.unread[n-1])
		c.unread = c.unread[n:]
	}
}

// step does one thing of what may happen.
func (s *simulation) step() {
	w := s.workers[rapid.IntRange(0, 1).Draw(s.t, "worker")]
	switch rapid.IntRange(0, 20).Draw(s.t, "step") {
	case 0, 1, 2:
		s.publish()
	case 3, 4, 5, 6:
		w.read()
	case 7, 8, 9:
		w.write()
	case 10, 11, 12, 13:
		s.broker.hear()
	case 14:
		w.connect()
	case 15:
		if w.served && len(w.clients) < 3 {
			s.join(w)
		}
	default:
		if len(w.clients) == 0 {
			return
		}
		c := w.clients[rapid.IntRange(0, len(w.clients)-1).Draw(s.t, "client")]
		switch rapid.IntRange(0, 9).Draw(s.t, "does") {
		case 0:
			s.leave(w, c)
		case 1, 2, 3:
			c.prove(rapid.IntRange(1, 4).Draw(s.t, "proved"))
		default:
			s.poll(w, c, rapid.IntRange(1, 6).Draw(s.t, "most"))
		}
	}
}

// settle has one client take all that is left.
func (s *simulation) settle() {
	w := s.workers[0]
	for len(w.clients) > 0 {
		s.leave(w, w.clients[0])
	}
	w.connect()
	c := s.join(w)
	for range 40 * (s.stored + 1) {
		w.read()
		w.write()
		s.broker.hear()
		s.poll(w, c, 3)
		c.prove(3)
	}
	if n := len(s.broker.flying) + len(s.broker.queue) + w.s.win.len(); n > 0 {
		s.t.Fatalf("%d messages are left, of which the worker knows %d", n, w.s.win.len())
	}
}

// TestSession_TakenToAndFro has two workers take a session from each other, unnoticed, while clients come, go, and prove what they
// got: nothing is lost at-least-once, nothing comes twice at-most-once, and every connection of a client gets everything in
// order.
func TestSession_TakenToAndFro(t *testing.T) {
	t.Parallel()
	for _, level := range []qos.Level{qos.AtMostOnce, qos.AtLeastOnce} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			e, err := New([]byte(config("127.0.0.1:1", "t", "")), nil, connectors.Env{}, V311)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				s := &simulation{t: t, level: level, judge: judge.New()}
				for i := range s.workers {
					s.workers[i] = &simWorker{b: &s.broker, s: newSession(&e.sessions, ask{filter: "t", qos: 1, durable: true, first: level == qos.AtMostOnce})}
				}
				s.tell(judge.Event{Kind: judge.Subscribed, Subscriber: everybody, Level: level.String(), Cursor: judge.Cursor{judge.Everywhere: 0},
					Rules: judge.RulesOf(level) &^ (judge.OrderPerKey | judge.OrderPerPartition | judge.SilentGap | judge.DeliveryAboveCommit)})
				for range rapid.IntRange(1, 400).Draw(t, "steps") {
					s.step()
				}
				s.settle()
				if err := s.judge.Verdict().Err(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestSession_GapIsTold breaks a connection between an answer to the broker and the proof that it has read it: the client is told
// that a message may be missing, since nobody can know whether it comes again.
func TestSession_GapIsTold(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		e, err := New([]byte(config("127.0.0.1:1", "t", "")), nil, connectors.Env{}, V311)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(&e.sessions, ask{filter: "t", qos: 1, first: true, alone: alone})
		m := &member{s: s, wake: func() {}}
		s.members[m] = struct{}{}
		s.up(true, false)
		s.absorb(received("t", 1))
		if view, err := m.Poll(1); len(view) > 0 || err != nil {
			t.Fatalf("handed out before it was answered: %v, %v", view, err)
		}
		if out := s.collect(nil, false); len(out) != 6 {
			t.Fatalf("wrote % x", out)
		}
		s.down(errors.New("reset"))
		s.up(true, true)
		var got []string
		for range 3 {
			view, err := m.Poll(1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range view {
				got = append(got, string(view[i].Content))
			}
			s.collect(nil, false)
			s.passFence()
		}
		want := []string{`{"reason":"connection-lost"}`}
		if alone { // nobody else can have it
			want = []string{"payload"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("alone %t: %q, want %q", alone, got, want)
		}
		m.Close(canceled())
	}
}

// canceled is a context that waits for nothing.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestMember_GivesBackInOrder has one of four members leave: those who have later messages than it leaves behind give up theirs as
// well, however far that reaches; who has only earlier ones stays, and a new one gets everything in order.
func TestMember_GivesBackInOrder(t *testing.T) {
	t.Parallel()
	e, err := New([]byte(config("127.0.0.1:1", "t", "")), nil, connectors.Env{}, V311)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(&e.sessions, ask{filter: "t", qos: 1})
	s.up(true, false)
	take := func(m *member, most int) (numbers []int64) {
		t.Helper()
		view, err := m.Poll(most)
		if err != nil {
			t.Fatal(err)
		}
		for i := range view {
			numbers = append(numbers, view[i].Offset)
		}
		return numbers
	}
	var all [4]*member
	for i := range all {
		all[i] = &member{s: s, wake: func() {}}
		s.members[all[i]] = struct{}{}
	}
	for i := range 8 {
		s.absorb(packet(i))
	}
	early, left, later, between := all[0], all[1], all[2], all[3]
	take(early, 1)   // 0
	take(later, 1)   // 1
	take(between, 1) // 2, behind what the later one leaves
	take(left, 2)    // 3 and 4
	take(later, 2)   // 5 and 6
	left.quit()
	for _, m := range []*member{later, between} {
		_, err := m.Poll(1)
		failed(t, err, statusRetry, message.KeyConnectionClosed)
	}
	if got := take(early, 8); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("came again: %v", got)
	}
	if got := take(early, 8); !slices.Equal(got, []int64{7}) {
		t.Errorf("then %v", got)
	}
}

// TestSession_ResetIsNoEndInOrder resets a connection and has the writer learn of it first: what the reader then finds looks like
// the polite end by which MQTT 3.1.1 gives a session to somebody else.
func TestSession_ResetIsNoEndInOrder(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	broker, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	broker.Close()
	_, written := client.Write([]byte{1})
	_, read := client.Read(make([]byte, 1))
	if written == nil || !errors.Is(read, io.EOF) {
		t.Fatalf("the system tells the writer %v and the reader %v", written, read)
	}
	if got := endOf(read, written); errors.Is(got, io.EOF) {
		t.Errorf("a reset is taken for %v", got)
	}
	if got := endOf(io.EOF, context.Canceled); !errors.Is(got, io.EOF) {
		t.Errorf("an end in order is taken for %v", got)
	}
}
