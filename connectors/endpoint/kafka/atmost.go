package kafka

import (
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of at-most-once: how much is saved as one reservation.
const (
	maxReserved      = 500
	maxReservedBytes = 1 << 20
)

// reservations is the ledger of at-most-once: a message is handed out when a position behind it is saved. To save less often
// than once per message, the next messages are taken from the place as one chunk, as many as there are within the bounds,
// and reserved together; the next chunk is under way while the client gets this one. What is reserved and not handed out is
// lost if the worker dies; a membership that ends in order gives it back.
type reservations struct {
	c      *counted
	ready  chunk // reserved
	flight chunk // its reservation is under way, or due
	err    error // of the place, behind all that was read
	serial int   // of the chunk in flight
	asked  int   // which chunk the save that is under way reserves; -1: none
	left   int   // how many messages a page still takes
	pages  bool
}

// chunk is messages with their marks, in order.
type chunk struct {
	messages []message.Message
	marks    []mark
}

func (k *chunk) empty() bool { return len(k.messages) == 0 }

// without drops the messages of a partition.
func (k *chunk) without(part int32) {
	var rest chunk
	for i, m := range k.marks {
		if m.part != part {
			rest.messages, rest.marks = append(rest.messages, k.messages[i]), append(rest.marks, m)
		}
	}
	*k = rest
}

func (r *reservations) seat(l *lane, from spot) { l.handed = from.next }

func (r *reservations) leave(l *lane) {
	r.ready.without(l.part)
	r.flight.without(l.part)
	l.read = l.handed
}

func (r *reservations) open(*lane) bool   { return false }
func (r *reservations) through(mark) bool { return false }
func (r *reservations) ack(mark) bool     { return false }

func (r *reservations) poll(most int) ([]message.Message, error) {
	if r.flight.empty() {
		r.reserve(most)
	}
	if r.ready.empty() {
		if r.flight.empty() {
			return nil, r.err
		}
		return nil, nil
	}
	n := 0
	for n < len(r.ready.messages) && n < most {
		m := r.ready.marks[n]
		if m.part < 0 {
			break // what is no data goes alone
		}
		r.c.lanes[m.part].handed = m.next
		n++
	}
	n = max(n, 1)
	view := r.ready.messages[:n:n]
	r.ready = chunk{r.ready.messages[n:], r.ready.marks[n:]}
	return view, nil
}

// reserve takes the next chunk from the place. A page reserves no more than it is sure to take.
func (r *reservations) reserve(most int) {
	k, bytes := chunk{}, 0
	limit := maxReserved
	if r.pages {
		if !r.ready.empty() {
			return
		}
		limit = min(most, r.left)
	}
	place := r.c.place
	data := 0
	for r.err == nil && len(k.messages) < limit && bytes < maxReservedBytes {
		view, err := place.Poll(limit - len(k.messages))
		if err != nil {
			r.err = err
			break
		}
		if len(view) == 0 {
			break
		}
		if view[0].Kind != message.Data {
			k.messages, k.marks = append(k.messages, view[0]), append(k.marks, mark{part: -1})
			continue
		}
		marks := place.cur.marks[place.idx-int32(len(view)) : place.idx]
		partial := r.c.partial()
		for i := range view {
			if bytes += view[i].Size(); bytes > maxReservedBytes && i > 0 {
				place.unread(len(view) - i)
				break
			}
			l := r.c.lanes[marks[i].part]
			l.read = marks[i].next
			k.messages, k.marks = append(k.messages, view[i]), append(k.marks, marks[i])
			if partial {
				r.c.identify(l, &k.messages[len(k.messages)-1])
			}
			data++
		}
	}
	r.left -= data
	if data == 0 {
		r.ready.messages, r.ready.marks = append(r.ready.messages, k.messages...), append(r.ready.marks, k.marks...)
		return
	}
	r.flight = k
	r.serial++
	notify(r.c.kick)
}

// due is the reservation that is under way. last: of lanes that end, what was handed out, so that the rest is for whoever
// comes next. Lanes of which nothing is saved get their start, so that whoever comes next begins there too.
func (r *reservations) due(last bool) []commitment {
	var out []commitment
	if r.asked = r.serial; last {
		r.asked = -1
	}
	for _, l := range r.c.lanes {
		switch {
		case l == nil:
		case r.pages && last: // an outsider may not go back: another page may have gone on
		case last && (l.leaving || r.c.closed) && l.saved.next != l.handed:
			out = append(out, commitment{l, spot{next: l.handed}})
		case last, l.leaving:
		case l.read != l.saved.next:
			out = append(out, commitment{l, spot{next: l.read}})
		}
	}
	return out
}

func (r *reservations) settled() bool {
	if r.c.closed || r.asked != r.serial || r.flight.empty() {
		return false
	}
	r.ready.messages = append(r.ready.messages, r.flight.messages...)
	r.ready.marks = append(r.ready.marks, r.flight.marks...)
	r.flight = chunk{}
	return true
}
