// Package eventloop writes to many connections from a few goroutines. A connection that streams needs no goroutine, stack
// or buffer of its own, and bytes that many connections get are written from one shared place (DESIGN section 4, writers).
//
// A Loop drives Handlers. On Linux a plain TCP connection is watched by epoll and written to without blocking; any other
// connection (TLS, another system) gets two goroutines that drive the same Handler with blocking calls, since its directions
// are independent. Loop.Run owns all of them.
package eventloop

import (
	"errors"
	"time"
)

// Handler is one connection's state. The loop calls its methods one at a time; they must not block.
type Handler interface {
	// Next adds what is to be written now to o, about MaxWrite bytes, and says how it goes on. It is called after a
	// wake, when o.Due's time has come, and again after More once everything was taken by the connection.
	Next(o *Output) State
	// Written is told that the connection has taken all that the last Next added, where that was anything.
	Written()
	// Input takes what the peer sent; only where the connection was added with input. The bytes are valid, and the handler's
	// to change, during the call. Where it takes less than all, the loop keeps the rest and reads no more until Conn.Resume.
	// Empty p: the peer has ended its half of the connection; told once. An error ends the connection.
	Input(p []byte) (taken int, err error)
	// Ended is the last call: the peer left, a write failed, the connection was cut, Next said Close and all is written
	// (nil), or the loop ends. The connection is the handler's from here on; it closes it.
	Ended(err error)
}

// State is what a handler says after Next.
type State uint8

// States.
const (
	Idle  State = iota // nothing more until a wake or the due time
	More               // call Next again once this is written
	Close              // end the connection once this is written
)

// MaxWrite is about how many bytes Next should add: enough to be worth a system call, little enough to keep for a client
// that takes no more.
const MaxWrite = 32 << 10

// Errors that Ended gets.
var (
	ErrCut     = errors.New("connection was cut")
	ErrSlow    = errors.New("the client took no byte within the write timeout")
	ErrStopped = errors.New("event loop has ended")
)

// Output collects what is to be written, in order: pieces of shared memory and bytes of the handler's own.
type Output struct {
	now     time.Time
	due     time.Time
	pieces  []piece
	scratch []byte
	size    int
}

// piece is shared memory, or, where shared is nil, a part of scratch.
type piece struct {
	shared   []byte
	from, to int
}

// Now is the time of this call.
func (o *Output) Now() time.Time { return o.now }

// Due asks for a call of Next at t even without a wake. It holds for one call; without it only a wake calls Next.
func (o *Output) Due(t time.Time) { o.due = t }

// Len is how many bytes were added.
func (o *Output) Len() int { return o.size }

// Shared adds p, which must never change. It is not copied unless the connection takes no more.
func (o *Output) Shared(p []byte) {
	if len(p) == 0 {
		return
	}
	o.size += len(p)
	o.pieces = append(o.pieces, piece{shared: p})
}

// Buffer returns a buffer to append to; give the result to Commit.
func (o *Output) Buffer() []byte { return o.scratch }

// Commit adds what was appended to Buffer's result.
func (o *Output) Commit(b []byte) {
	from := len(o.scratch)
	o.scratch = b
	if len(b) == from {
		return
	}
	o.size += len(b) - from
	if n := len(o.pieces); n > 0 && o.pieces[n-1].shared == nil {
		o.pieces[n-1].to = len(b)
		return
	}
	o.pieces = append(o.pieces, piece{from: from, to: len(b)})
}

// maxKept bounds the scratch memory that is kept between calls, in bytes.
const maxKept = 256 << 10

// Reset empties o for a call at the time given. It is for who calls handlers.
func (o *Output) Reset(now time.Time) {
	clear(o.pieces)
	o.pieces = o.pieces[:0]
	if cap(o.scratch) > maxKept {
		o.scratch = nil
	}
	o.scratch = o.scratch[:0]
	o.now, o.due, o.size = now, time.Time{}, 0
}

// bytes returns piece i.
func (o *Output) bytes(i int) []byte {
	p := &o.pieces[i]
	if p.shared != nil {
		return p.shared
	}
	return o.scratch[p.from:p.to]
}

// rest copies what lies behind the first n bytes.
func (o *Output) rest(n int) []byte {
	out := make([]byte, 0, o.size-n)
	for i := range o.pieces {
		p := o.bytes(i)
		if n >= len(p) {
			n -= len(p)
			continue
		}
		out = append(out, p[n:]...)
		n = 0
	}
	return out
}

// Options of one connection.
type Options struct {
	// WriteTimeout is how long the client may take no byte while there is something to write; 0: for ever.
	WriteTimeout time.Duration
	// Input makes the loop read what the peer sends. Without it only the peer's end is noticed.
	Input bool
	// Early is input that somebody else has read already; it comes before what is read.
	Early []byte
}
