package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// linkBytes is what a connection takes while the client reads nothing.
const linkBytes = 24 << 10

// errCut is what is said of a connection that broke.
var errCut = errors.New("the connection is cut")

// link is a connection of TCP's kind: bytes are under way, then acknowledged by the client's kernel, then read.
type link struct {
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

func (l *link) write(b []byte, proofs []proof) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return errCut
	}
	l.way = append(l.way, b...)
	l.proofs = append(l.proofs, proofs...)
	return nil
}

func (l *link) room() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false, errCut
	}
	return len(l.way)+len(l.kernel) < linkBytes, nil
}

func (l *link) end(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if cut {
		l.cut, l.way = true, nil
	}
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
	written  int // bytes before the present buffer
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

// server is one connection at its worker.
type server struct {
	schedule Schedule
	history  *history
	sub      *subscription
	link     *link
	waker    httpfront.Waker
	random   *rand.Rand
	wire     string // the subscriber that stands for what was written; "": none
}

// run is what an entrypoint's connection does, to its end. alive ends with the worker; api with the API.
func (s *server) run(alive, api context.Context) {
	f := &framer{sub: s.sub, schedule: s.schedule, random: s.random}
	f.at = s.sub.positions()
	level := s.schedule.Level
	if level == qos.AtLeastOnce {
		level = qos.None // written is not received: the proofs below are
	}
	pump := httpfront.NewPump(s.sub, f, level)
	save := time.Now()
	for alive.Err() == nil {
		if time.Since(save) > 100*time.Millisecond {
			s.sub.save()
			save = time.Now()
		}
		s.prove()
		free, err := s.link.room()
		if err != nil {
			break
		}
		state := httpfront.Idle
		if free {
			if state, err = s.send(api, &pump, f); err != nil || state > httpfront.More {
				break
			}
		}
		if state == httpfront.Idle {
			timer := time.NewTimer(moment(s.random, 50*time.Millisecond))
			s.waker.Wait(alive, timer)
			timer.Stop()
		}
		time.Sleep(moment(s.random, 5*time.Millisecond))
	}
	if alive.Err() != nil {
		s.link.end(s.random.IntN(2) == 0)
		return
	}
	s.prove()
	s.sub.Close(alive)
	s.link.end(false)
}

func (s *server) send(api context.Context, pump *httpfront.Pump, f *framer) (httpfront.State, error) {
	b, state := pump.Fill(api, nil)
	f.written += len(b)
	proofs, framed := f.proofs, f.framed
	f.proofs, f.framed = nil, nil
	if len(b) == 0 {
		return state, nil
	}
	if s.wire != "" {
		for i := range framed {
			s.history.add(eventOf(s.wire, &framed[i]))
		}
	}
	if err := s.link.write(b, proofs); err != nil {
		return state, err
	}
	pump.Written()
	if n := len(framed); n > 0 && s.schedule.Mutation == CommitBeforeProof {
		s.sub.DeliveredThrough(&framed[n-1])
	}
	return state, nil
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
