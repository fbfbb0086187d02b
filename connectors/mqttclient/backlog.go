package mqttclient

import "github.com/sluice-gateway/sluice/qos/message"

// backlog is a queue of messages that gives them out as views of its own memory, which is never written twice.
type backlog struct {
	parts [][]message.Message // the last one may have room for more
	n     int
}

// How many messages a part has room for: few where they come one by one, many under load.
const (
	smallPart = 8
	largePart = 64
)

func (b *backlog) push(m *message.Message) {
	last := len(b.parts) - 1
	if last < 0 || len(b.parts[last]) == cap(b.parts[last]) {
		room := smallPart
		if b.n >= smallPart {
			room = largePart
		}
		b.parts = append(b.parts, make([]message.Message, 0, room))
		last++
	}
	b.parts[last] = append(b.parts[last], *m)
	b.n++
}

// take removes the next messages, at most so many; fewer than there are where they do not lie side by side.
func (b *backlog) take(most int) []message.Message {
	for len(b.parts) > 0 && len(b.parts[0]) == 0 && (len(b.parts) > 1 || cap(b.parts[0]) == 0) {
		b.parts = b.parts[1:]
	}
	if b.n == 0 {
		return nil
	}
	n := min(most, len(b.parts[0]))
	view := b.parts[0][:n:n]
	b.parts[0] = b.parts[0][n:]
	b.n -= n
	return view
}

// giveBack puts a view before everything else.
func (b *backlog) giveBack(view []message.Message) {
	b.parts = append([][]message.Message{view[:len(view):len(view)]}, b.parts...)
	b.n += len(view)
}

// add puts a view behind everything else.
func (b *backlog) add(view []message.Message) {
	b.parts = append(b.parts, view[:len(view):len(view)])
	b.n += len(view)
}

// window are the messages of a session that are not settled, by their numbers, which are dense and ascend.
type window struct {
	slots []slot
	head  int   // slots before it are of the past
	base  int64 // the number of the slot at head
}

// slot is what is known of one message.
type slot struct {
	size  int
	id    uint16 // packet identifier
	qos   byte
	live  bool // received over the present connection, and not answered there
	acked bool // it may be answered
	done  bool // nothing is left to do
}

func (w *window) push(s slot) int64 {
	w.slots = append(w.slots, s)
	return w.base + int64(len(w.slots)-w.head) - 1
}

// at returns the slot of a message that is not settled, else nil.
func (w *window) at(seq int64) *slot {
	i := seq - w.base
	if i < 0 || i >= int64(len(w.slots)-w.head) || w.slots[w.head+int(i)].done {
		return nil
	}
	return &w.slots[w.head+int(i)]
}

func (w *window) len() int { return len(w.slots) - w.head }

// compact is from how many slots of the past on they are given up.
const compact = 1024

// advance forgets what is settled and has nothing unsettled before it.
func (w *window) advance() {
	for w.head < len(w.slots) && w.slots[w.head].done {
		w.head++
		w.base++
	}
	switch {
	case w.head == len(w.slots):
		w.slots, w.head = w.slots[:0], 0
	case w.head >= compact && w.head*2 >= len(w.slots):
		w.slots = w.slots[:copy(w.slots, w.slots[w.head:])]
		w.head = 0
	}
}

// queue is a first-in-first-out of values in memory that is used again.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) push(v T)  { q.items = append(q.items, v) }
func (q *queue[T]) len() int  { return len(q.items) - q.head }
func (q *queue[T]) front() *T { return &q.items[q.head] }
func (q *queue[T]) clear()    { clear(q.items); q.items, q.head = q.items[:0], 0 }

func (q *queue[T]) pop() {
	var none T
	q.items[q.head] = none
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= compact && q.head*2 >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
