package httpfront

import (
	"net"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

const (
	// maxMarks bounds what one connection remembers of writes that are not yet acknowledged. Beyond it every second mark is
	// forgotten, so that what is proven is told in larger steps.
	maxMarks = 32
	// keptMarks is how many marks an idle connection keeps room for.
	keptMarks = 4
	// firstPause and longestPause are how long a client's TCP is left alone before it is looked at again: the first covers
	// most round trips, doubling up to the longest costs little for those that are far away or gone.
	firstPause, longestPause = 50 * time.Millisecond, 500 * time.Millisecond
)

// Receipts is the proof of receipt of a stream that the client says nothing on (DESIGN section 5): a message is proven once
// the client's TCP has acknowledged its last byte. Behind a reverse proxy that is the proxy's TCP. The kernel counts in bytes
// of the raw stream, so TLS makes no difference.
//
// What a client's TCP has, the client need not have read: where it goes away without, the rest is lost. A client that
// knows where it is brings that along (Last-Event-ID), and reads it again. Messages without an id nobody can ask for, so that a
// connection must have outlived the acknowledgement by a grace: one that is closed with something unread is reset.
//
// It needs a kernel that tells (Linux since 4.1). Elsewhere, and on what is no TCP connection, nothing is ever proven here,
// and only what the client says itself is (Last-Event-ID, cursor).
//
// One goroutine at a time uses it, it has none of its own and never blocks: Mark after each write, and Proven at Next.
type Receipts struct {
	socket socket
	grace  time.Duration // 0: none
	began  time.Time
	marks  []mark          // oldest first; their counts never go back
	proven message.Message // what Mark and Proven return
	next   time.Time
	pause  time.Duration
	closed bool // the connection was gone when it was last looked at
}

// mark is a place in the stream: once so many bytes are acknowledged, the message is proven.
type mark struct {
	bytes     uint64
	topic     string
	offset    int64
	partition int32
	seen      time.Duration // since the beginning, when it was first known to be acknowledged; 0: it is not
}

// progress is what a socket tells: how many bytes were acknowledged since the connection began, and how many of those
// written were not.
type progress struct {
	acked, queued uint64
	closed        bool // the connection is gone: queued says nothing any more
}

// grace is for how long a connection must have outlived an acknowledgement where clients cannot ask for anything again. It is much
// longer than a client takes to read what has come, unless it is in trouble.
const grace = 100 * time.Millisecond

// NewReceipts watches a connection; inside TLS, the one below it.
func NewReceipts(c net.Conn) *Receipts {
	for {
		inner, ok := c.(interface{ NetConn() net.Conn }) // *tls.Conn
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	r := &Receipts{began: time.Now()}
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			r.socket.init(raw)
		}
	}
	return r
}

// Mark says that m, and everything before it, was written just now, to the last byte. It keeps where m lies, not m. It
// returns what Proven returns.
func (r *Receipts) Mark(m *message.Message, now time.Time) *message.Message {
	p, ok := r.socket.progress()
	if !ok {
		return nil
	}
	r.grace = 0
	if len(m.ID) == 0 {
		r.grace = grace
	}
	// The queue was read first: what was acknowledged in between makes the mark late, never early.
	r.add(mark{bytes: p.acked + p.queued, topic: m.Topic, partition: m.Partition, offset: m.Offset})
	r.pause = firstPause
	return r.settle(p, now)
}

// Proven looks at the connection, if anything is unproven, and returns the last message that was proven since it was last
// asked; nil: none. It is valid until the next call and holds nothing but topic, partition and offset.
func (r *Receipts) Proven(now time.Time) *message.Message {
	if len(r.marks) == 0 {
		return nil
	}
	p, ok := r.socket.progress()
	if !ok {
		return nil
	}
	r.pause = min(2*r.pause, longestPause)
	return r.settle(p, now)
}

// Last looks at a connection that has ended. read: the client reads what came before the end, since it closed its side in
// order, or we did; else only what was acknowledged for long enough is proven. more: what is not proven may still be.
func (r *Receipts) Last(read bool) (proven *message.Message, more bool) {
	if read {
		r.grace = 0
	} else if r.grace == 0 {
		return nil, false
	}
	proven = r.Proven(time.Now())
	return proven, read && len(r.marks) > 0 && !r.closed
}

// Next returns when to call Proven; zero: nothing is unproven.
func (r *Receipts) Next() time.Time { return r.next }

// After returns what Next will be after a Mark at the time given.
func (r *Receipts) After(now time.Time) time.Time { return now.Add(firstPause) }

func (r *Receipts) add(m mark) {
	if len(r.marks) == maxMarks {
		for i := range maxMarks / 2 {
			r.marks[i] = r.marks[2*i+1] // the later one of each pair, which proves both
		}
		r.marks = r.marks[:maxMarks/2]
	}
	r.marks = append(r.marks, m)
}

// settle takes what is proven off the marks.
func (r *Receipts) settle(p progress, now time.Time) *message.Message {
	r.closed = p.closed
	at := max(now.Sub(r.began), 1)
	n := 0
	for i := range r.marks {
		k := &r.marks[i]
		// Where nothing is under way, also a mark that came late is reached.
		if reached := k.bytes <= p.acked || p.queued == 0 && !p.closed; !reached {
			break
		}
		if k.seen == 0 {
			k.seen = at
		}
		if r.grace == 0 || at-k.seen >= r.grace {
			n = i + 1
		}
	}
	var proven *message.Message
	if n > 0 {
		last := r.marks[n-1]
		r.proven = message.Message{Topic: last.topic, Partition: last.partition, Offset: last.offset}
		proven = &r.proven
		rest := copy(r.marks, r.marks[n:])
		clear(r.marks[rest:])
		r.marks = r.marks[:rest]
	}
	r.next = time.Time{}
	switch {
	case len(r.marks) > 0 && r.marks[0].seen > 0:
		r.next = r.began.Add(r.marks[0].seen + r.grace)
	case len(r.marks) > 0:
		r.next = now.Add(r.pause)
	case cap(r.marks) > keptMarks:
		r.marks = nil
	}
	return proven
}
