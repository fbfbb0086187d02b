package mqttclient

import (
	"sync/atomic"
	"unsafe"

	"github.com/sluice-gateway/sluice/qos/message"
)

// ring is the chain of recent messages that all subscribers of a feed share. One goroutine at a time appends, with the
// feed's lock; any number read what is published, without locks. The oldest batches are forgotten once the ring exceeds
// its bound in bytes.
type ring struct {
	limit    int
	capBytes int // a batch is full at so many bytes
	room     int // or at so many messages
	stats    *stats
	bytes    int    // of the batches that are complete
	count    uint64 // messages of brokers so far
	n        int32  // messages in newest, published or not

	oldest atomic.Pointer[batch]
	newest atomic.Pointer[batch]
}

// How large a batch is: a part of the ring, so that forgetting one forgets little, and a size that the allocator serves
// from its small classes.
const (
	batchShare    = 64
	mostMessages  = 128
	leastMessages = 8
	perMessage    = int(unsafe.Sizeof(message.Message{}))
	perHeader     = int(unsafe.Sizeof(message.Header{}))
)

// batch is a piece of the ring.
type batch struct {
	first uint64 // how many messages of brokers the ring had before
	event bool   // it holds one message of our own
	room  int32
	size  int // bytes; the writer's until next is set

	data atomic.Pointer[[]message.Message] // nil: forgotten
	n    atomic.Int32                      // messages published
	next atomic.Pointer[batch]             // nil: this is the last; forgotten: readers here have fallen off
}

// forgotten is what next points to when the ring no longer has what follows.
var forgotten = new(batch)

func (r *ring) init(limit int, s *stats) {
	r.limit, r.stats = limit, s
	r.capBytes = max(limit/batchShare, 4<<10)
	r.room = min(mostMessages, max(leastMessages, r.capBytes/2/perMessage))
	b := r.newBatch(0)
	r.oldest.Store(b)
	r.newest.Store(b)
}

func (r *ring) newBatch(room int) *batch {
	msgs := make([]message.Message, room)
	b := &batch{first: r.count, room: int32(room), size: room * perMessage}
	b.data.Store(&msgs)
	r.n = 0
	return b
}

// grow completes the last batch, appends another and forgets what is too much.
func (r *ring) grow(room int) *batch {
	old := r.newest.Load()
	r.publish()
	b := r.newBatch(room)
	r.newest.Store(b)
	old.next.Store(b)
	r.add(old.size)
	for r.bytes > r.limit {
		oldest := r.oldest.Load()
		if oldest == b {
			break
		}
		r.oldest.Store(oldest.next.Load())
		oldest.data.Store(nil)
		oldest.next.Store(forgotten)
		r.add(-oldest.size)
	}
	return b
}

func (r *ring) add(n int) {
	r.bytes += n
	r.stats.ringBytes.Add(int64(n))
}

// append adds a message that costs so many bytes beside its own struct.
func (r *ring) append(m *message.Message, bytes int) {
	b := r.newest.Load()
	if r.n == b.room || b.size >= r.capBytes {
		b = r.grow(r.room)
	}
	(*b.data.Load())[r.n] = *m
	b.size += bytes
	r.n++
	r.count++
}

// event adds a message of our own, in a batch of its own.
func (r *ring) event(m message.Message) {
	b := r.grow(1)
	b.event = true
	(*b.data.Load())[0] = m
	b.size += len(m.Content)
	r.n = 1
	r.publish()
	r.grow(r.room)
}

// publish shows readers what was added.
func (r *ring) publish() {
	if b := r.newest.Load(); r.n != b.n.Load() {
		b.n.Store(r.n)
	}
}

// end is the place behind everything that was added. The caller keeps the writer out.
func (r *ring) end() (*batch, int32) {
	r.publish()
	return r.newest.Load(), r.n
}

// clear gives the ring's bytes back to the statistics.
func (r *ring) clear() { r.add(-r.bytes) }

// jump is where a subscriber that was overtaken goes on: the middle, so that it is not overtaken at once.
func (r *ring) jump() *batch {
	at := r.oldest.Load()
	middle := (at.first + r.newest.Load().first) / 2
	for at.first < middle {
		next := at.next.Load()
		if next == nil {
			break
		}
		if next == forgotten {
			at = r.oldest.Load()
			continue
		}
		at = next
	}
	return at
}

// before is how many messages of brokers came before the place i of b.
func (b *batch) before(i int32) uint64 {
	if b.event {
		return b.first
	}
	return b.first + uint64(i)
}
