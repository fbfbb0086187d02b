// Package window turns acks that come in any order into the position below which everything is acked: what an
// at-least-once checkpoint may say. What is acked above it can be told in a short text, to be saved beside the position, so
// that a takeover does not deliver it again. It reads no clock, does no I/O and starts no goroutine.
package window

import (
	"errors"
	"sort"
)

// Reasons to refuse an offset.
var (
	// ErrFull: the bound is reached; wait for acks.
	ErrFull = errors.New("window is full")
	// ErrOrder: the offset is not above the one before.
	ErrOrder = errors.New("offset does not go forward")
	// ErrForeign: saved ranges are not of this position, or are no ranges.
	ErrForeign = errors.New("sparse acks are not of this position")
)

// entryBytes is what one message in the window costs: its offset and its size.
const entryBytes = 12

// acked marks an entry; offsets leave this bit free.
const acked = 1 << 63

// Window follows one partition. It is used by one goroutine. Offsets may have holes (compaction, transactions): the window
// knows what it was given to track, and nothing else counts.
type Window struct {
	ring     []uint64 // offsets in order, with acked; its length is a power of two
	sizes    []uint32 // of the messages, at the same places
	head     int      // of the lowest entry
	n        int
	unacked  int   // entries that are not acked
	bytes    int64 // their sizes
	limit    int
	position int64   // below it all is acked
	next     int64   // lowest offset that may be tracked
	restored []Range // acked before the window began; ahead of next
}

// Range is a range of offsets, from From up to, not including, To.
type Range struct{ From, To int64 }

// New returns a window that begins at a position and grows to at most limit bytes, but always holds one message. restored
// is what DecodeRanges returned with the position, or nil; the window keeps it.
func New(position int64, restored []Range, limit int) *Window {
	size := 1
	for size*2*entryBytes <= limit {
		size *= 2
	}
	return &Window{limit: size, position: position, next: position, restored: restored}
}

// Position returns the offset below which everything tracked is acked: what to save.
func (w *Window) Position() int64 { return w.position }

// Len returns how many messages the window holds.
func (w *Window) Len() int { return w.n }

// Unacked returns how many messages the window holds that are not acked, and the sum of the sizes they were tracked with.
func (w *Window) Unacked() (messages int, bytes int64) { return w.unacked, w.bytes }

// Room returns how many messages can still be tracked before ErrFull.
func (w *Window) Room() int { return w.limit - w.n }

// Track takes the offset of the next message, before it is handed out, and tells whether to hand it out at all: one that
// was acked before the window began is not. Offsets go forward.
func (w *Window) Track(offset int64) (deliver bool, err error) { return w.TrackSized(offset, 0) }

// TrackSized is Track for a message that counts in Unacked with its size in bytes.
func (w *Window) TrackSized(offset int64, size uint32) (deliver bool, err error) {
	if offset < w.next {
		return false, ErrOrder
	}
	for len(w.restored) > 0 && w.restored[0].To <= offset {
		w.restored = w.restored[1:]
	}
	done := len(w.restored) > 0 && w.restored[0].From <= offset
	if done && w.n == 0 {
		w.next, w.position = offset+1, offset+1
		return false, nil
	}
	if w.n == len(w.ring) && !w.grow() {
		return false, ErrFull
	}
	w.next = offset + 1
	entry := uint64(offset)
	if done {
		entry |= acked
	}
	*w.at(w.n) = entry
	w.sizes[w.index(w.n)] = size
	w.n++
	if !done {
		w.unacked++
		w.bytes += int64(size)
	}
	return !done, nil
}

// Ack marks a message as received; one that the window does not hold is ignored. It tells whether the position moved.
func (w *Window) Ack(offset int64) bool {
	i := sort.Search(w.n, func(i int) bool { return w.offset(i) >= offset })
	if i == w.n || w.offset(i) != offset {
		return false
	}
	w.ack(i)
	return w.advance()
}

// AckThrough marks a message and all before it as received. It tells whether the position moved.
func (w *Window) AckThrough(offset int64) bool {
	for i := 0; i < w.n && w.offset(i) <= offset; i++ {
		w.ack(i)
	}
	return w.advance()
}

func (w *Window) ack(i int) {
	if w.isAcked(i) {
		return
	}
	*w.at(i) |= acked
	w.unacked--
	w.bytes -= int64(w.sizes[w.index(i)])
}

// advance drops what is acked from the lowest entry on.
func (w *Window) advance() bool {
	moved := false
	for w.n > 0 && *w.at(0)&acked != 0 {
		w.position = w.offset(0) + 1
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
		moved = true
	}
	return moved
}

func (w *Window) index(i int) int    { return (w.head + i) & (len(w.ring) - 1) }
func (w *Window) at(i int) *uint64   { return &w.ring[w.index(i)] }
func (w *Window) offset(i int) int64 { return int64(*w.at(i) &^ acked) }
func (w *Window) isAcked(i int) bool { return *w.at(i)&acked != 0 }

// grow doubles the ring within the limit.
func (w *Window) grow() bool {
	if len(w.ring) >= w.limit {
		return false
	}
	room := min(max(2*len(w.ring), 16), w.limit)
	ring, sizes := make([]uint64, room), make([]uint32, room)
	for i := range w.n {
		ring[i], sizes[i] = *w.at(i), w.sizes[w.index(i)]
	}
	w.ring, w.sizes, w.head = ring, sizes, 0
	return true
}
