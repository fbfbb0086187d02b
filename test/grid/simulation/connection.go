package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// linkBytes is what a connection takes while the client reads nothing.
const linkBytes = 24 << 10

// link is a connection of TCP's kind: bytes are under way, then acknowledged by the client's kernel, then read. What the
// server's side writes comes in by a pipe.
type link struct {
	pipe net.Conn // the network's end

	mu     sync.Mutex // guards the following
	way    []byte     // under way; lost when the link is cut
	kernel []byte     // acknowledged; a client reads them also after the end
	acked  int        // bytes acknowledged in all
	proofs []proof    // not reached yet
	acks   []message.Message
	cut    bool
	ended  bool // by the server: what is under way still arrives
}

// proof is the end of a message in the stream.
type proof struct {
	at int
	m  message.Message
}

// carry takes what the server writes while there is room, until either side ends.
func (l *link) carry(r *rand.Rand) {
	buf := make([]byte, linkBytes)
	for {
		time.Sleep(moment(r, 5*time.Millisecond))
		room, cut := l.room()
		if cut {
			return
		}
		if room <= 0 {
			continue
		}
		n, err := l.pipe.Read(buf[:1+r.IntN(room)])
		l.mu.Lock()
		if !l.cut {
			l.way = append(l.way, buf[:n]...)
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *link) room() (n int, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return linkBytes - len(l.way) - len(l.kernel), l.cut
}

// expect notes where messages end that are about to be written.
func (l *link) expect(proofs []proof) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proofs = append(l.proofs, proofs...)
}

// end ends the connection: cut, with what is under way.
func (l *link) end(cut bool) {
	l.mu.Lock()
	l.ended = true
	if cut {
		l.cut, l.way = true, nil
	}
	l.mu.Unlock()
	_ = l.pipe.Close() // a pipe's never fails
}

// arrive lets up to n bytes arrive and returns the messages of which the last byte did.
func (l *link) arrive(n int) []message.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.way))
	l.kernel = append(l.kernel, l.way[:n]...)
	l.way = l.way[n:]
	l.acked += n
	var out []message.Message
	for len(l.proofs) > 0 && l.proofs[0].at <= l.acked {
		out = append(out, l.proofs[0].m)
		l.proofs = l.proofs[1:]
	}
	return out
}

// read takes what the kernel has; over: there will be no more.
func (l *link) read() (b []byte, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, l.kernel = l.kernel, nil
	return b, l.ended && len(l.way) == 0
}

// ack sends an acknowledgement back; acknowledged takes those that arrived at the server.
func (l *link) ack(m message.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		l.acks = append(l.acks, m)
	}
}

func (l *link) acknowledged() []message.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.acks
	l.acks = nil
	return out
}

// framer writes messages as lines: what it is, partition, offset, the resume point, filling.
type framer struct {
	sub      *subscription
	schedule Schedule
	random   *rand.Rand
	written  int // bytes before the present call
	proofs   []proof
	framed   []message.Message // data and gaps
	at       [partitions]int64 // next of each partition, as the client has it
}

// AppendMessage implements httpfront.Framer.
func (f *framer) AppendMessage(dst []byte, m *message.Message) []byte {
	if m.Kind == message.Gap {
		var from, to int64
		_, _ = fmt.Sscan(string(m.Content), &from, &to)
		f.at[m.Partition] = to
		f.framed = append(f.framed, *m)
		return fmt.Appendf(dst, "gap %d %d %d %s\n", m.Partition, from, to, f.cursor())
	}
	f.at[m.Partition] = m.Offset + 1
	if f.schedule.Mutation == LoseFramed && f.random.IntN(20) == 0 {
		return dst
	}
	dst = fmt.Appendf(dst, "message %d %d %s ", m.Partition, m.Offset, f.cursor())
	dst = append(append(dst, m.Content...), '\n')
	f.proofs = append(f.proofs, proof{f.written + len(dst), *m})
	f.framed = append(f.framed, *m)
	return dst
}

// Form implements httpfront.SharedFramer: nobody else has the same.
func (f *framer) Form() any { return f }

// cursor is the position vector behind the last message that was framed.
func (f *framer) cursor() []byte {
	at := make([]cursor.Position, partitions)
	for p := range at {
		at[p] = cursor.Position{Topic: topicName, Partition: int32(p), Offset: f.at[p] - 1}
	}
	return cursor.Append(nil, at, true)
}

// AppendEnd implements httpfront.Framer.
func (f *framer) AppendEnd(dst []byte, failure *message.Failure, _ message.Reason, at []byte) []byte {
	return fmt.Appendf(dst, "end %s\n", at)
}

// server is one connection at its worker: a handler of the event loop, as the entrypoints' are.
type server struct {
	schedule Schedule
	history  *history
	sub      *subscription
	link     *link
	random   *rand.Rand
	wire     string // the subscriber that stands for what was written; "": none
	alive    context.Context
	api      context.Context
	conn     eventloop.Conn
	nc       net.Conn // the server's end of the pipe
	framer   framer
	stream   httpfront.Stream
	saved    time.Time
	over     chan struct{} // closed when the connection has ended
}

// run is a connection, to its end. alive ends with the worker; api with the API.
func (s *server) run(loop *eventloop.Loop) {
	s.framer = framer{sub: s.sub, schedule: s.schedule, random: s.random, at: s.sub.positions()}
	level := s.schedule.Level
	if level == qos.AtLeastOnce {
		level = qos.None // written is not received: the proofs below are
	}
	s.stream = httpfront.NewStream(s.sub, &s.framer, level)
	s.saved = time.Now()
	defer context.AfterFunc(s.api, s.conn.Wake)()
	defer context.AfterFunc(s.alive, s.conn.Cut)()
	loop.Add(&s.conn, s.nc, s, eventloop.Options{})
	<-s.over
}

// Next implements eventloop.Handler.
func (s *server) Next(o *eventloop.Output) eventloop.State {
	if o.Now().Sub(s.saved) > 100*time.Millisecond {
		s.sub.save()
		s.saved = o.Now()
	}
	s.prove()
	state := s.stream.Fill(s.api, o)
	s.framer.written += o.Len()
	s.link.expect(s.framer.proofs)
	s.framer.proofs = nil
	if s.wire != "" { // a client may have what was not written to its end, and come back with it
		for i := range s.framer.framed {
			s.history.add(eventOf(s.wire, &s.framer.framed[i]))
		}
	}
	o.Due(o.Now().Add(moment(s.random, 50*time.Millisecond)))
	switch {
	case state > httpfront.More:
		return eventloop.Close
	case state == httpfront.More:
		return eventloop.More
	}
	return eventloop.Idle
}

// Written implements eventloop.Handler.
func (s *server) Written() {
	framed := s.framer.framed
	s.framer.framed = nil
	s.stream.Written()
	if n := len(framed); n > 0 && s.schedule.Mutation == CommitBeforeProof {
		s.sub.DeliveredThrough(&framed[n-1])
	}
}

// Input implements eventloop.Handler.
func (s *server) Input(p []byte) (int, error) { return len(p), nil }

// Ended implements eventloop.Handler. A worker that died does nothing any more; what it wrote may arrive or not.
func (s *server) Ended(error) {
	defer close(s.over)
	defer s.nc.Close()
	if s.alive.Err() != nil {
		s.link.end(s.random.IntN(2) == 0)
		return
	}
	s.prove()
	s.sub.Close(s.alive)
	s.link.end(false)
}

// prove hands on the proofs of receipt.
func (s *server) prove() {
	if s.schedule.Level != qos.AtLeastOnce || s.schedule.Mutation == CommitBeforeProof {
		return
	}
	for _, m := range s.link.acknowledged() {
		if s.schedule.Proof == ByTCP {
			s.sub.DeliveredThrough(&m)
		} else {
			s.sub.Acknowledge(&m)
		}
	}
}

// eventOf is what the judge is told of a message that reaches a subscriber.
func eventOf(subscriber string, m *message.Message) judge.Event {
	p := name(int(m.Partition))
	if m.Kind == message.Gap {
		e := judge.Event{Kind: judge.Gap, Subscriber: subscriber, Partition: p}
		_, _ = fmt.Sscan(string(m.Content), &e.From, &e.To)
		return e
	}
	return judge.Event{Kind: judge.Delivered, Subscriber: subscriber, Key: p, Seq: m.Offset, Partition: p, Offset: m.Offset}
}
