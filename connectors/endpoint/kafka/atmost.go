package kafka

import (
	"slices"
	"time"

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
	last   time.Time // of a page: when the last reservation may begin; zero: no matter
	holder
}

// chunk is messages in order.
type chunk []piece

// piece is a part of a chunk, in one view.
type piece struct {
	view  message.View
	lanes []*lane // that its messages were read for; nil: it is no data, and alone
}

func (k chunk) len() (n int) {
	for i := range k {
		n += k[i].view.Len()
	}
	return n
}

// join moves what is in other behind k.
func (k *chunk) join(other *chunk) {
	*k = append(*k, *other...)
	*other = nil
}

func (r *reservations) seat(l *lane, from spot) (lost lostRange) {
	l.handed, l.began = from.next, from
	if r.pages {
		return lost
	}
	return r.claim(l, from)
}

// leave: of a lane that is given back, what was not handed out is for whoever comes next. Of one that was lost, what is
// reserved is nobody else's; whether what is in flight is, is in doubt.
func (r *reservations) leave(l *lane, lost bool) {
	if lost {
		r.keep(l, r.flight, r.serial)
	} else {
		r.ready = r.ready.choose(other(l), true)
		r.sure = r.sure.set(int(l.part), l.handed)
	}
	r.flight = r.flight.choose(other(l), true)
	l.read = l.handed
}

func (r *reservations) open(*lane) bool   { return false }
func (r *reservations) through(mark) bool { return false }
func (r *reservations) ack(mark) bool     { return false }

func (r *reservations) poll(most int) (message.View, error) {
	if len(r.flight) == 0 && r.ready.len() <= r.size/2 {
		r.reserve(most)
	}
	if len(r.ready) == 0 {
		if len(r.flight) == 0 {
			return message.View{}, r.err
		}
		r.waited = true
		return message.View{}, nil
	}
	first := &r.ready[0]
	view := first.view
	view.To = min(view.To, view.From+most)
	for i := range view.Len() {
		if first.lanes != nil {
			first.lanes[i].handed = view.Run[view.From+i].Offset + 1
		}
	}
	if first.view.From = view.To; first.view.Len() == 0 {
		r.ready = r.ready[1:]
	} else {
		first.lanes = first.lanes[view.Len():]
	}
	return view, nil
}

// reserve takes the next chunk from the place. A page reserves no more than it is sure to take.
func (r *reservations) reserve(most int) {
	limit := r.size
	if r.pages {
		if len(r.ready) > 0 || !r.last.IsZero() && time.Now().After(r.last) {
			return
		}
		limit = min(most, r.left)
	}
	var k chunk
	bytes, data := 0, 0
	for r.err == nil && k.len() < limit && bytes < maxReservedBytes {
		view, err := r.c.place.PollView(limit - k.len())
		if err != nil {
			r.err = err
			break
		}
		if view.Len() == 0 {
			break
		}
		if view.Run[view.From].Kind != message.Data {
			k = append(k, piece{view: view})
			continue
		}
		p := r.read(view, &bytes)
		data += p.view.Len()
		k = append(k, p)
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

// read makes a piece of what the place returned, and gives what is too much back to it.
func (r *reservations) read(view message.View, bytes *int) piece {
	place := r.c.place
	marks := place.cur.marks[place.idx-int32(view.Len()) : place.idx]
	lanes := make([]*lane, 0, view.Len())
	for i := range view.Messages() {
		if *bytes += view.Run[view.From+i].Size(); *bytes > maxReservedBytes && i > 0 {
			place.unread(view.Len() - i)
			view.To = view.From + i
			break
		}
		l := r.c.lanes[marks[i].part]
		l.read = marks[i].next
		lanes = append(lanes, l)
	}
	if r.c.partial() {
		view = message.Alone(slices.Clone(view.Messages()))
		for i, l := range lanes {
			r.c.identify(l, &view.Run[i])
		}
	}
	return piece{view, lanes}
}

// due is the reservation that is under way; where none is and everything was handed out, that it was. last: of lanes that end,
// what was handed out, so that the rest is for whoever comes next. Lanes of which nothing is saved get their start, so that
// whoever comes next begins there too.
func (r *reservations) due(last bool) []commitment {
	var out []commitment
	if r.asked = r.serial; last {
		r.asked = -1
	} else if len(r.flight) > 0 {
		r.begun = r.serial
	}
	told := r.told()
	idle := told && len(r.flight) == 0 && len(r.ready) == 0
	for _, l := range r.c.lanes {
		switch {
		case l == nil:
		case r.pages && last: // refused where another page has gone on (fence.go)
			if l.saved.next != l.handed {
				out = append(out, commitment{l, spot{next: l.handed}})
			}
		case last && (l.leaving || r.c.closed):
			if at := r.leaves(l, told); l.saved != at {
				out = append(out, commitment{l, at})
			}
		case last, l.leaving:
		case l.read != l.saved.next:
			out = append(out, commitment{l, spot{l.read, r.text(l)}})
		case idle && l.saved.text != "":
			out = append(out, commitment{l, spot{next: l.read}})
		}
	}
	return out
}

// leaves is what a lane leaves behind. A gap that its subscriber did not come to hear of is for who comes next to tell.
func (r *reservations) leaves(l *lane, told bool) spot {
	if !told && l.handed == l.began.next {
		return l.began
	}
	return spot{next: l.handed}
}

func (r *reservations) settled() bool {
	if r.c.closed || r.asked != r.serial || len(r.flight) == 0 {
		return false
	}
	switch {
	case r.waited && r.flight.len() >= r.size:
		r.size = min(2*r.size, maxReserved)
	case !r.waited && r.ready.len() > r.size/4:
		r.size = max(r.size/2, minReserved)
	}
	r.waited = false
	for _, l := range r.c.lanes {
		if l != nil && l.saved.next >= 0 {
			r.sure = r.sure.set(int(l.part), l.saved.next)
		}
	}
	r.ready.join(&r.flight)
	return true
}
