package kafka

import (
	"sync/atomic"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/message"
)

// How many messages a batch has room for: 128 of them are 26 KiB, which the allocator still serves from its small classes.
// Where batches must be small, the room may take half of their bytes.
const (
	mostMessages  = 128
	leastMessages = 8
	perMessage    = int(unsafe.Sizeof(message.Message{}) + unsafe.Sizeof(mark{}))
)

// batch is a piece of a chain: messages in the one order that all its readers see. One goroutine appends; any number
// read what is published, without locks. A batch that was dropped loses its messages but keeps its marks, so that a
// reader that stands in it still knows its exact position.
type batch struct {
	base  vector // positions before the first message
	first uint64 // how many messages the chain had before
	lay   *layout
	marks []mark // one per message
	src   *notifier
	lease *lease // nil in the ring
	ids   bool   // whether its messages carry ids
	epoch int64  // how often positions had gone back before
	size  int    // bytes; the writer's until next is set

	shared message.Batch // what its readers share beside the messages

	data atomic.Pointer[[]message.Message] // nil: dropped
	n    atomic.Int32                      // messages published
	next atomic.Pointer[batch]             // nil: this is the last; dropped: readers here have fallen off
	skip vector                            // set before next: readers that go on have read so far already

	passed atomic.Pointer[vector] // positions after all messages, where they are beyond the last one's; nil: they are not
}

// mark is a message's partition number (-1: none) and the offset after it.
type mark struct {
	part int32
	next int64
}

// dropped is what next points to when the chain after a batch is not to be had from it any more.
var dropped = new(batch)

// drop forgets the messages. Readers that hold views keep them alive; nobody gets new ones.
func (b *batch) drop() {
	b.data.Store(nil)
	b.next.Store(dropped)
}

// vectorAt returns the positions after the first i messages of b.
func (b *batch) vectorAt(dst vector, i int32) vector {
	dst = append(dst[:0], b.base...)
	for _, m := range b.marks[:i] {
		if m.part >= 0 {
			dst = dst.set(int(m.part), m.next)
		}
	}
	return dst
}

// chain appends messages to batches. It is for one goroutine.
type chain struct {
	origin   *origin
	lay      *layout
	vec      vector
	tail     *batch
	n        int32 // messages in tail, published or not
	count    uint64
	src      *notifier
	lease    *lease
	capBytes int // a batch is full at so many bytes
	room     int // or at so many messages
	epoch    int64
	strip    bool
	encode   bool         // ids in base64
	sealed   func(*batch) // told of every batch that is complete
	grew     func(int64)  // told of bytes that batches have besides; nil: nobody

	ids     bool
	writer  cursor.Writer
	written *layout // layout of writer
	idBytes []byte  // memory that the next ids take
	since   int     // content bytes since the last id
	silent  bool    // vec has moved without a message since the last publish
}

// begin makes the first, empty batch.
func (c *chain) begin() *batch {
	c.room = min(mostMessages, max(leastMessages, c.capBytes/2/perMessage))
	c.tail = c.newBatch(0)
	return c.tail
}

func (c *chain) newBatch(room int) *batch {
	b := &batch{base: append(vector(nil), c.vec...), first: c.count, lay: c.lay, src: c.src, lease: c.lease,
		ids: c.ids, epoch: c.epoch}
	if room > 0 {
		msgs := make([]message.Message, room)
		b.data.Store(&msgs)
		b.marks = make([]mark, room)
		b.size = room * perMessage
	} else {
		b.data.Store(&[]message.Message{})
	}
	c.n = 0
	if c.grew != nil {
		b.shared.Watch(c.grew)
	}
	return b
}

// grow seals the tail and links a new one with room for so many messages.
func (c *chain) grow(room int) {
	old := c.tail
	c.publish()
	c.tail = c.newBatch(room)
	old.next.Store(c.tail)
	c.sealed(old)
}

// setLayout takes a longer layout.
func (c *chain) setLayout(l *layout) {
	if c.lay != l {
		c.lay = l
		c.grow(c.room)
	}
}

// withIDs turns ids on.
func (c *chain) withIDs() {
	if !c.ids {
		c.ids = true
		c.grow(c.room)
	}
}

// confluentHeader is magic 0 and a 4-byte schema id (spec 3.2 removeConfluentHeader).
const confluentHeader = 5

// add appends one record of the partition with the given number. Control records only move the position.
func (c *chain) add(part int32, r *kgo.Record) {
	if r.Attrs.IsControl() {
		c.vec, c.silent = c.vec.set(int(part), r.Offset+1), true
		return
	}
	b := c.tail
	if int(c.n) == len(b.marks) || b.size >= c.capBytes {
		c.grow(c.room)
		b = c.tail
	}
	i := c.n
	m := &(*b.data.Load())[i]
	m.Partition, m.Offset, m.Topic = r.Partition, r.Offset, r.Topic
	m.Key, m.Content, m.Headers = r.Key, r.Value, headers(r.Headers)
	if c.strip && len(m.Content) >= confluentHeader && m.Content[0] == 0 {
		m.Content = m.Content[confluentHeader:]
	}
	if r.Attrs.TimestampType() >= 0 {
		m.Timestamp = r.Timestamp.UnixMilli()
	}
	m.Origin = c.origin
	c.vec = c.vec.set(int(part), r.Offset+1)
	b.marks[i] = mark{part, r.Offset + 1}
	b.size += len(m.Key) + len(m.Content) + headerBytes(m.Headers)
	c.n++
	c.count++
	if c.ids {
		c.identify(m, part)
	}
}

// manyPartitions is from where an id does not come with every message: below it, a vector stays under about 300 bytes.
const manyPartitions = 16

// identify gives m its id, or, where the vector would outweigh the messages, only every so often: a resume then repeats
// what came since the last one, at most as many bytes as an id has.
func (c *chain) identify(m *message.Message, part int32) {
	if c.written != c.lay {
		var at []cursor.Position
		for i, p := range c.lay.places {
			at = append(at, cursor.Position{Topic: p.topic, Partition: p.partition, Offset: c.vec.at(i) - 1})
		}
		c.writer.Reset(at, c.encode)
		c.written = c.lay
	} else {
		c.writer.Set(int(part), m.Offset)
	}
	if c.since += len(m.Content); len(c.lay.places) <= manyPartitions || c.since >= c.writer.Len() {
		c.setID(m)
	}
}

func (c *chain) setID(m *message.Message) {
	n := c.writer.Len()
	if cap(c.idBytes)-len(c.idBytes) < n {
		c.idBytes = make([]byte, 0, max(n, min(n*mostMessages, 16<<10)))
	}
	at := len(c.idBytes)
	c.idBytes = c.writer.Append(c.idBytes)
	m.ID = c.idBytes[at:len(c.idBytes):len(c.idBytes)]
	c.tail.size += n
	c.since = 0
}

// event appends a message of another kind, in a batch of its own.
func (c *chain) event(m message.Message) {
	c.grow(1)
	(*c.tail.data.Load())[0] = m
	c.tail.marks[0] = mark{part: -1}
	c.n = 1
	c.count++
	c.publish()
	c.grow(c.room)
}

// publish shows readers what was added. The last message always has an id: a stream that falls quiet must not keep an old
// one.
func (c *chain) publish() {
	b := c.tail
	if c.silent {
		c.silent = false
		vec := append(vector(nil), c.vec...)
		defer b.passed.Store(&vec) // after n: it lies behind all that n counts
	}
	if c.n == b.n.Load() {
		return
	}
	if last := &(*b.data.Load())[c.n-1]; c.ids && last.ID == nil && last.Kind == message.Data && c.written == c.lay {
		c.setID(last)
	}
	b.n.Store(c.n)
}

// headers shows a record's headers as a message's, without a copy: the two types have the same memory (see init of the
// test TestHeaders_SameMemory).
func headers(in []kgo.RecordHeader) []message.Header {
	return unsafe.Slice((*message.Header)(unsafe.Pointer(unsafe.SliceData(in))), len(in))
}

func headerBytes(hs []message.Header) int {
	n := 0
	for i := range hs {
		n += int(unsafe.Sizeof(message.Header{})) + len(hs[i].Name) + len(hs[i].Value)
	}
	return n
}
