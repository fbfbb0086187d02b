package kafka

import (
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of at-most-once: how much is saved as one reservation. It begins small, doubles when the client has to wait for the
// next, and halves when it leaves much of one: what a worker that dies takes with it is about what the client takes in the time
// of a save.
const (
	minReserved      = 16
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
	size   int   // of the next chunk, in messages
	waited bool  // the client came for messages while the chunk was in flight
	left   int   // how many messages a page still takes
	pages  bool
}

// chunk is messages in order, each with the lane that it was read for; nil: it is no data.
type chunk struct {
	messages []message.Message
	lanes    []*lane
}

func (k *chunk) empty() bool { return len(k.messages) == 0 }

func (k *chunk) add(m message.Message, l *lane) {
	k.messages, k.lanes = append(k.messages, m), append(k.lanes, l)
}

// join moves what is in other behind k.
func (k *chunk) join(other *chunk) {
	k.messages, k.lanes = append(k.messages, other.messages...), append(k.lanes, other.lanes...)
	*other = chunk{}
}

// without drops the messages of a lane.
func (k *chunk) without(l *lane) {
	var rest chunk
	for i, of := range k.lanes {
		if of != l {
			rest.add(k.messages[i], of)
		}
	}
	*k = rest
}

func (r *reservations) seat(l *lane, from spot) { l.handed = from.next }

// leave: of a lane that is given back, what was not handed out is for whoever comes next. Of one that was lost, what is
// reserved is nobody else's; whether what is in flight is, is not known.
func (r *reservations) leave(l *lane, lost bool) {
	r.flight.without(l)
	if !lost {
		r.ready.without(l)
	}
	l.read = l.handed
}

func (r *reservations) open(*lane) bool   { return false }
func (r *reservations) through(mark) bool { return false }
func (r *reservations) ack(mark) bool     { return false }

func (r *reservations) poll(most int) ([]message.Message, error) {
	if r.flight.empty() && len(r.ready.messages) <= r.size/2 {
		r.reserve(most)
	}
	if r.ready.empty() {
		if r.flight.empty() {
			return nil, r.err
		}
		r.waited = true
		return nil, nil
	}
	n := 0
	for n < len(r.ready.messages) && n < most {
		l := r.ready.lanes[n]
		if l == nil {
			break // what is no data goes alone
		}
		l.handed = r.ready.messages[n].Offset + 1
		n++
	}
	n = max(n, 1)
	view := r.ready.messages[:n:n]
	r.ready = chunk{r.ready.messages[n:], r.ready.lanes[n:]}
	return view, nil
}

// reserve takes the next chunk from the place. A page reserves no more than it is sure to take.
func (r *reservations) reserve(most int) {
	k, bytes := chunk{}, 0
	limit := r.size
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
			k.add(view[0], nil)
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
			k.add(view[i], l)
			if partial {
				r.c.identify(l, &k.messages[len(k.messages)-1])
			}
			data++
		}
	}
	r.left -= data
	if data == 0 {
		r.ready.join(&k)
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
	switch {
	case r.waited && len(r.flight.messages) >= r.size:
		r.size = min(2*r.size, maxReserved)
	case !r.waited && len(r.ready.messages) > r.size/4:
		r.size = max(r.size/2, minReserved)
	}
	r.waited = false
	r.ready.join(&r.flight)
	return true
}
