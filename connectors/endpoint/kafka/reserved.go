package kafka

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/qos/message"
)

// A reservation may be saved although nobody was told so: the broker died between the two, and the membership with it. Who
// has the partition next then begins behind messages that nobody handed out. So a reservation says in the metadata of its
// commit who made it and from where it had not yet handed out, until it has handed out everything or gives it back:
//
//   - Who made it, and kept the messages, hands them out when the partition comes back. Nobody came between: his is still the
//     last commit.
//   - Anybody else announces them as a gap. Some may have been handed out by who made it; that is for nobody to know.

// reservedForm begins the text of a reservation; the sparse acks of at-least-once begin otherwise.
const reservedForm = "r1."

// reservedText says who reserved a partition up to the position that is saved, and from where he had not handed out.
func reservedText(name string, first int64) string {
	return reservedForm + name + "." + strconv.FormatInt(first, 10)
}

// parseReserved reads a reservedText. ok is false for anything else.
func parseReserved(text string) (name string, first int64, ok bool) {
	text, ok = strings.CutPrefix(text, reservedForm)
	if !ok {
		return "", 0, false
	}
	name, number, _ := strings.Cut(text, ".")
	first, err := strconv.ParseInt(number, 10, 64)
	return name, first, err == nil && first >= 0 && name != ""
}

// holder is what a ledger of reservations knows of those it asked for.
type holder struct {
	name  string
	begun int    // the last chunk for which a save was begun
	sure  vector // by partition: up to here it was handed out, or is ready to be

	// doubt is the chunk that was in flight when the membership was lost, where its save had been begun: whether it is reserved
	// shows when its partitions come back. One chunk at most is kept; of others, that they are missing is told.
	doubt  chunk
	serial int             // of doubt
	ends   map[int32]int64 // by partition: where its reservation ends
}

func newHolder() holder { return holder{name: rand.Text()} }

// keep puts what is in flight of a lane in doubt.
func (h *holder) keep(l *lane, flight chunk, serial int) {
	pieces := flight.choose(of(l.part), false)
	if h.begun != serial || len(pieces) == 0 {
		return
	}
	if h.serial != serial || h.ends == nil {
		h.doubt, h.serial, h.ends = nil, serial, map[int32]int64{}
	}
	h.doubt.join(&pieces)
	h.ends[l.part] = l.read
}

// take returns the messages in doubt of a partition that came back at next, if they are those reserved up to there. They are
// in doubt no more, whatever the answer.
func (h *holder) take(part int32, next int64) chunk {
	end, ok := h.ends[part]
	if !ok {
		return nil
	}
	pieces := h.doubt.choose(of(part), false)
	h.doubt = h.doubt.choose(func(l *lane) bool { return l.part != part }, false)
	delete(h.ends, part)
	if end != next {
		return nil
	}
	return pieces
}

// claim begins a lane where somebody reserved up to from.next, and returns what is lost of that. What is still at hand of his own
// reservation comes first.
func (r *reservations) claim(l *lane, from spot) (lost lostRange) {
	name, first, ok := parseReserved(from.text)
	known := r.sure.at(int(l.part))
	r.sure = r.sure.set(int(l.part), from.next)
	kept := r.take(l.part, from.next)
	switch {
	case !ok:
		return lost
	case name == r.name:
		here := len(kept) > 0
		r.ready.join(&kept)
		r.adopt(l)
		if here {
			return lost
		}
		first = max(first, known)
	}
	if said, ok := r.c.claims[l.part]; ok { // the client's cursor proves what lies before it
		first = max(first, said)
	}
	return lostRange{l.at.topic, l.at.partition, first, from.next}
}

// adopt makes a lane that came back the owner of what is ready of its partition, so that it is given back where that is
// possible.
func (r *reservations) adopt(l *lane) {
	for _, p := range r.ready {
		for i, was := range p.lanes {
			if was.part == l.part {
				p.lanes[i] = l
				l.handed = min(l.handed, p.view.Run[p.view.From+i].Offset)
			}
		}
	}
}

// told tells whether every gap was handed out.
func (r *reservations) told() bool {
	event := func(p piece) bool { return p.lanes == nil }
	return len(r.c.place.pending) == 0 && !slices.ContainsFunc(r.ready, event) && !slices.ContainsFunc(r.flight, event)
}

// text of a lane's reservation that is to be saved. A page says nothing: it has no end of which others would know.
func (r *reservations) text(l *lane) string {
	if r.pages || l.handed >= l.read {
		return ""
	}
	return reservedText(r.name, l.handed)
}

// of tells the lanes of a partition, whenever they had it.
func of(part int32) func(*lane) bool { return func(l *lane) bool { return l.part == part } }

// other tells the lanes that another is not.
func other(than *lane) func(*lane) bool { return func(l *lane) bool { return l != than } }

// choose returns the messages of some lanes. What is no data is in none, and stays if events says so.
func (k chunk) choose(wanted func(*lane) bool, events bool) (out chunk) {
	for _, p := range k {
		if p.lanes == nil && events {
			out = append(out, p)
		} else if p = p.choose(wanted); len(p.lanes) > 0 {
			out = append(out, p)
		}
	}
	return out
}

func (p piece) choose(wanted func(*lane) bool) piece {
	if !slices.ContainsFunc(p.lanes, func(l *lane) bool { return !wanted(l) }) {
		return p
	}
	var left []message.Message
	var lanes []*lane
	for i, m := range p.view.Messages() {
		if wanted(p.lanes[i]) {
			left, lanes = append(left, m), append(lanes, p.lanes[i])
		}
	}
	return piece{message.Alone(left), lanes}
}
