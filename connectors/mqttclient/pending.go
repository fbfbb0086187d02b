package mqttclient

import (
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// pending is one message on its way to the broker, encoded. It is used again and again.
type pending struct {
	body     []byte // the packet's properties and payload
	props    int    // length of the properties
	qos      byte
	retain   bool
	topic    string
	size     int64            // bytes taken from the buffer
	m        *message.Message // nil under none: its publisher has been told already
	deadline time.Time

	// What follows belongs to the publisher's lock.
	id         uint16
	sends      int  // how often it was written, whole or in part
	written    bool // a whole packet may have left
	gen        uint // counts the uses, so that who remembers a use knows whether it is over
	in         *fifo
	prev, next *pending
}

// maxKept bounds the memory that an idle pending keeps, in bytes.
const maxKept = 64 << 10

func (p *pending) reset() {
	body, gen := p.body[:0], p.gen
	if cap(body) > maxKept {
		body = nil
	}
	*p = pending{body: body, gen: gen + 1}
}

// fifo is a list of pendings. A pending is in one at most.
type fifo struct{ head, tail *pending }

func (f *fifo) push(p *pending) {
	p.in, p.prev, p.next = f, f.tail, nil
	if f.tail == nil {
		f.head = p
	} else {
		f.tail.next = p
	}
	f.tail = p
}

func (f *fifo) remove(p *pending) {
	if p.prev == nil {
		f.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		f.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.in, p.prev, p.next = nil, nil, nil
}

// prepend moves everything of g, in its order, before what is in f.
func (f *fifo) prepend(g *fifo) {
	for p := g.tail; p != nil; p = g.tail {
		g.remove(p)
		p.in, p.prev, p.next = f, nil, f.head
		if f.head == nil {
			f.tail = p
		} else {
			f.head.prev = p
		}
		f.head = p
	}
}

func (f *fifo) empty() bool { return f.head == nil }

// outcome is what became of a message, for its publisher.
type outcome struct {
	m       *message.Message
	topic   string
	err     error
	written bool
}
