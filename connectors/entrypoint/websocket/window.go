package websocket

import (
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of what a client may have been sent and not proved to have, under at-least-once. They are ours. One message of any
// size always goes.
const (
	maxUnproven      = 4096    // messages
	maxUnprovenBytes = 1 << 20 // bytes
	maxCredit        = 1 << 31 // messages that a client may be granted and not yet sent
)

// slowest is the rate, in bytes per second, below which a client that must prove what it has is too slow: what it is given
// to answer a ping grows with what lies before the ping.
const slowest = 16 << 10

// window is what the client was sent and has not proved to have, and how much more it wants. It keeps where messages
// lie, not the messages, which would keep far more memory alive than their own.
type window struct {
	counted  bool      // the level asks for proof: only then is anything remembered
	each     bool      // the client proves message by message; else write by write
	sent     []sent    // oldest first, from head on
	head     int       // those before are proved
	number   uint64    // of the last one sent; those of sent end with it
	proved   uint64    // all up to here is proved
	open     bool      // the last of sent may still be added to (not each)
	messages int       // that the entries from head on stand for
	bytes    int       // of those, not acknowledged
	progress time.Time // when something was last proved, or the first was sent
	limited  bool      // the client grants what it is sent
	credit   int       // how many more it wants, where limited
}

// sent is one message, or, of one write, the last.
type sent struct {
	topic     string
	offset    int64
	partition int32
	messages  int
	bytes     int
	acked     bool // alone
}

// room tells how many messages may be sent now.
func (w *window) room() int {
	room := maxUnproven
	if w.limited {
		room = w.credit
	}
	if w.counted {
		room = min(room, maxUnproven-w.messages)
		if w.bytes >= maxUnprovenBytes {
			room = 0
		}
	}
	return room
}

// add notes that m is being sent and returns its number; false: too many bytes are unproved, and it may not be sent unless it must.
func (w *window) add(m *message.Message, must bool) (uint64, bool) {
	if w.counted && !must && w.bytes >= maxUnprovenBytes {
		return 0, false
	}
	if w.limited && w.credit > 0 {
		w.credit--
	}
	if w.each || !w.open {
		w.number++
	}
	if !w.counted {
		return w.number, true
	}
	size := len(m.Content) + perMessage
	if w.head == len(w.sent) {
		w.progress = time.Now()
	}
	if w.each || !w.open {
		w.push(sent{})
		w.open = !w.each
	}
	s := &w.sent[len(w.sent)-1]
	s.topic, s.partition, s.offset = m.Topic, m.Partition, m.Offset
	s.messages++
	s.bytes += size
	w.messages++
	w.bytes += size
	return w.number, true
}

// fits returns how many of the first messages may be sent together now; must: all.
func (w *window) fits(messages []message.Message, must bool) int {
	if must || !w.counted {
		return len(messages)
	}
	bytes := w.bytes
	for i := range messages {
		if bytes >= maxUnprovenBytes {
			return i
		}
		bytes += len(messages[i].Content) + perMessage
	}
	return len(messages)
}

// addAll notes that messages are being sent which fitted.
func (w *window) addAll(messages []message.Message) {
	if !w.counted && !w.limited {
		return // nothing counts them, and who numbers them does not share them
	}
	for i := range messages {
		w.add(&messages[i], true)
	}
}

func (w *window) push(s sent) {
	if len(w.sent) == cap(w.sent) && w.head > 0 {
		n := copy(w.sent, w.sent[w.head:])
		clear(w.sent[n:])
		w.sent, w.head = w.sent[:n], 0
	}
	w.sent = append(w.sent, s)
}

// seal ends a write: a proof of the number that it returns proves everything in it. False: there is nothing in it to prove.
func (w *window) seal() (uint64, bool) {
	was := w.open
	w.open = false
	return w.number, was
}

// through notes the proof that the client has everything up to number; false: that was not sent.
func (w *window) through(number uint64) bool {
	if number > w.number {
		return false
	}
	w.proved = max(w.proved, number)
	return true
}

// one notes the proof of one message, and describes it in m where it was not proved before. known is false where it was not sent.
func (w *window) one(number uint64, m *message.Message) (news, known bool) {
	if number == 0 || number > w.number {
		return false, false
	}
	at := len(w.sent) - 1 - int(min(w.number-number, uint64(len(w.sent))))
	if at < w.head || number <= w.proved || w.sent[at].acked {
		return false, true
	}
	s := &w.sent[at]
	s.acked = true
	w.bytes -= s.bytes
	w.progress = time.Now()
	m.Topic, m.Partition, m.Offset = s.topic, s.partition, s.offset
	return true, true
}

// take removes what is proved from the front, and returns where the last message that a proof covered lies; nil: nothing new.
func (w *window) take() *message.Message {
	var last *sent
	first := w.number - uint64(len(w.sent)-w.head) + 1 // number of the oldest
	for ; w.head < len(w.sent); w.head++ {
		s := &w.sent[w.head]
		covered := first <= w.proved
		if !covered && !s.acked {
			break
		}
		first++
		if covered {
			last = s
		}
		w.messages -= s.messages
		if !s.acked {
			w.bytes -= s.bytes
		}
	}
	var m *message.Message
	if last != nil {
		w.progress = time.Now()
		m = &message.Message{Topic: last.topic, Partition: last.partition, Offset: last.offset}
	}
	w.rewind()
	return m
}

// rewind starts anew at the beginning of an empty list.
func (w *window) rewind() {
	if w.head < len(w.sent) {
		return
	}
	w.head, w.open = 0, false
	if cap(w.sent) > keptEntries {
		w.sent = nil
	}
	clear(w.sent)
	w.sent = w.sent[:0]
}

// keptEntries is how many entries an idle connection keeps room for.
const keptEntries = 8

// grant adds credit; false: more than there may be.
func (w *window) grant(messages uint64) bool {
	if messages > uint64(maxCredit-w.credit) {
		return false
	}
	w.limited = true
	w.credit += int(messages)
	return true
}

// empty tells whether everything sent is proved.
func (w *window) empty() bool {
	return w.head == len(w.sent)
}

// due returns when the oldest unproved write must be proved, given the time for one that the network carries at once.
func (w *window) due(wait time.Duration) (time.Time, bool) {
	if w.head == len(w.sent) {
		return time.Time{}, false
	}
	return w.progress.Add(wait + time.Duration(w.sent[w.head].bytes)*time.Second/slowest), true
}

// touch starts the time for the next proof anew.
func (w *window) touch(now time.Time) {
	w.progress = now
}

// carriage is the time that the network may take for what is not proved.
func (w *window) carriage() time.Duration {
	return time.Duration(w.bytes) * time.Second / slowest
}
