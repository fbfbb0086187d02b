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
// It needs a kernel that tells (Linux since 4.1). Elsewhere, and on what is no TCP connection, nothing is ever proven here,
// and only what the client says itself is (Last-Event-ID, cursor).
//
// One goroutine at a time uses it, it has none of its own and never blocks: Mark after each write, and Proven at Next.
type Receipts struct {
	socket socket
	marks  []mark          // oldest first; their counts never go back
	proven message.Message // what Mark and Proven return
	next   time.Time
	pause  time.Duration
}

// mark is a place in the stream: once so many bytes are acknowledged, the message is proven.
type mark struct {
	bytes     uint64
	topic     string
	offset    int64
	partition int32
}

// progress is what a socket tells: how many bytes were acknowledged since the connection began, and how many of those
// written were not.
type progress struct {
	acked, queued uint64
	closed        bool // the connection is gone: queued says nothing any more
}

// NewReceipts watches a connection; inside TLS, the one below it.
func NewReceipts(c net.Conn) *Receipts {
	for {
		inner, ok := c.(interface{ NetConn() net.Conn }) // *tls.Conn
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	r := &Receipts{}
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
	n := 0
	if p.queued == 0 && !p.closed {
		n = len(r.marks) // nothing is under way, so also a mark that came late is reached
	}
	for n < len(r.marks) && r.marks[n].bytes <= p.acked {
		n++
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
	case len(r.marks) > 0:
		r.next = now.Add(r.pause)
	case cap(r.marks) > keptMarks:
		r.marks = nil
	}
	return proven
}
