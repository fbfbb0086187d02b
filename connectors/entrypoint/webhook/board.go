package webhook

import (
	"container/heap"
	"hash/maphash"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// item is a message that waits for its delivery, or is under way.
type item struct {
	next       *item
	m          *message.Message
	seq        uint64 // in the order of Poll; for the watermark
	size       int
	at         time.Time // when it came
	gaps       [][]byte  // of messages lost before this one
	positional bool      // topic, partition and offset name it for ever
}

// lane is messages that are delivered one after the other: those of one key, or of one partition in batches. It is in one place
// at a time: on its way (a worker has it, and only that worker touches the fields but head's successors), ready, or asleep.
type lane struct {
	key        uint64 // 0: of one message that has no key; not in board.lanes
	head, tail *item
	n, bytes   int
	taken      int       // items at the head that are delivered together; kept from the first attempt on
	attempts   int       // of the taken items, so far
	id         string    // that was made up for them; empty: none
	due        time.Time // while asleep
	place      int       // in the heap, while asleep
	asleep     bool
	next       *lane // while ready, or free
}

// load yields the items that are taken. What follows the last of them may change meanwhile, and is not looked at.
func (l *lane) load(yield func(*item) bool) {
	it := l.head
	for i := 1; ; i++ {
		if !yield(it) || i >= l.taken {
			return
		}
		it = it.next
	}
}

// board is the lanes of one delivery, who may go and who waits. It reads no clock, does no I/O and starts no goroutine; it is not
// safe for concurrent use.
type board struct {
	seed    maphash.Seed
	single  bool // everything is one lane
	batch   *batching
	breaker breaker

	lanes    map[uint64]*lane
	ready    struct{ head, tail *lane }
	sleeping sleepers
	free     *lane

	items  int // held
	bytes  int // held
	flying int // lanes on their way
	flush  bool
	marks  marks
}

// batching is how items are delivered together.
type batching struct {
	messages, bytes int
	delay           time.Duration
}

func newBoard(concurrency int, batch *batching) *board {
	return &board{seed: maphash.MakeSeed(), single: concurrency == 1, batch: batch, breaker: newBreaker(concurrency), lanes: map[uint64]*lane{}}
}

// add takes messages, in order. Keys that share a hash share a lane: their order is kept all the same.
func (b *board) add(items []item, now time.Time) {
	for i := range items {
		it := &items[i]
		b.items++
		b.bytes += it.size
		key := b.keyOf(it.m)
		l := b.lanes[key]
		if key == 0 || l == nil {
			l = b.newLane(key)
		}
		idle := l.n == 0
		if idle {
			l.head = it
		} else {
			l.tail.next = it
		}
		l.tail = it
		l.n++
		l.bytes += it.size
		switch {
		case idle:
			b.queue(l, now)
		case l.asleep && l.attempts == 0 && b.full(l):
			b.wakeLane(l)
		}
	}
}

// keyOf says which lane a message belongs to; 0: to one of its own.
func (b *board) keyOf(m *message.Message) uint64 {
	const allOfIt = 1
	switch {
	case b.single:
		return allOfIt
	case b.batch == nil && m.Key == nil:
		return 0
	}
	h := maphash.String(b.seed, m.Topic) ^ uint64(uint32(m.Partition))*0x9e3779b97f4a7c15
	if b.batch == nil {
		h = h*31 + maphash.Bytes(b.seed, m.Key)
	}
	return max(h, allOfIt)
}

func (b *board) newLane(key uint64) *lane {
	l := b.free
	if l == nil {
		l = &lane{}
	} else {
		b.free = l.next
	}
	*l = lane{key: key}
	if key != 0 {
		b.lanes[key] = l
	}
	return l
}

// queue makes a lane ready, or puts it to sleep until its batch is full or has waited long enough.
func (b *board) queue(l *lane, now time.Time) {
	if due := b.fills(l); !b.flush && due.After(now) {
		b.sleep(l, due)
		return
	}
	b.pushReady(l)
}

// fills returns until when a lane waits for more messages; zero: it does not.
func (b *board) fills(l *lane) time.Time {
	if b.batch == nil || l.attempts > 0 || b.full(l) {
		return time.Time{}
	}
	return l.head.at.Add(b.batch.delay)
}

func (b *board) full(l *lane) bool {
	return b.batch != nil && (l.n >= b.batch.messages || l.bytes >= b.batch.bytes)
}

func (b *board) sleep(l *lane, due time.Time) {
	l.due, l.asleep = due, true
	heap.Push(&b.sleeping, l)
}

// wakeLane makes a sleeping lane ready before its time.
func (b *board) wakeLane(l *lane) {
	heap.Remove(&b.sleeping, l.place)
	l.asleep = false
	b.pushReady(l)
}

func (b *board) pushReady(l *lane) {
	l.next = nil
	if b.ready.tail == nil {
		b.ready.head = l
	} else {
		b.ready.tail.next = l
	}
	b.ready.tail = l
}

// wake makes ready what is due.
func (b *board) wake(now time.Time) {
	for len(b.sleeping) > 0 && !b.sleeping[0].due.After(now) {
		b.wakeLane(b.sleeping[0])
	}
}

// wakeAll has no lane wait for a full batch any more.
func (b *board) wakeAll() {
	b.flush = true
	for len(b.sleeping) > 0 {
		b.wakeLane(b.sleeping[0])
	}
}

// nextDue returns when wake, or an open breaker, has something to do; zero: never.
func (b *board) nextDue() time.Time {
	var at time.Time
	if len(b.sleeping) > 0 {
		at = b.sleeping[0].due
	}
	if b.breaker.state == open && b.ready.head != nil && (at.IsZero() || b.breaker.until.Before(at)) {
		at = b.breaker.until
	}
	return at
}

// take returns a lane whose head may be delivered now; nil: none may. The lane is the caller's until finish or park.
func (b *board) take(now time.Time) *lane {
	l := b.ready.head
	if l == nil || !b.breaker.allow(b.flying, now) {
		return nil
	}
	if b.ready.head = l.next; b.ready.head == nil {
		b.ready.tail = nil
	}
	l.next = nil
	b.flying++
	if l.attempts == 0 {
		l.taken = b.count(l)
	}
	l.attempts++
	return l
}

// count returns how many items at the head go together.
func (b *board) count(l *lane) int {
	if b.batch == nil {
		return 1
	}
	n, size := 0, 0
	for it := l.head; it != nil && n < b.batch.messages; it = it.next {
		if size += it.size; n > 0 && size > b.batch.bytes {
			break
		}
		n++
	}
	return n
}

// finish drops what was taken: it was delivered, went elsewhere, or is given up.
func (b *board) finish(l *lane, now time.Time) {
	b.flying--
	for range l.taken {
		it := l.head
		b.items--
		b.bytes -= it.size
		l.bytes -= it.size
		l.n--
		l.head = it.next
		b.marks.done(it.seq)
	}
	l.taken, l.attempts, l.id = 0, 0, ""
	if l.head != nil {
		b.queue(l, now)
		return
	}
	l.tail = nil
	if l.key != 0 {
		delete(b.lanes, l.key)
	}
	l.next, b.free = b.free, l
}

// park keeps what was taken for another attempt.
func (b *board) park(l *lane, due time.Time) {
	b.flying--
	b.sleep(l, due)
}

// drop leaves what was taken, and the rest of the lane, for a later delivery.
func (b *board) drop() { b.flying-- }

// sleepers is a heap of lanes, the one that is due first on top.
type sleepers []*lane

func (s sleepers) Len() int           { return len(s) }
func (s sleepers) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s sleepers) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push implements heap.Interface.
func (s *sleepers) Push(x any) {
	l := x.(*lane)
	l.place = len(*s)
	*s = append(*s, l)
}

// Pop implements heap.Interface.
func (s *sleepers) Pop() any {
	old := *s
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return l
}
