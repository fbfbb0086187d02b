package kafka

import (
	"errors"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/window"
)

// Bounds of at-least-once: beyond them Poll waits for proofs.
const (
	maxUnproven      = 8192
	maxUnprovenBytes = 8 << 20
	windowBytes      = 12 << 15 // 32,768 messages above the lowest that is not proved, per partition
	manyAcks         = 1000     // so many acks are saved before CheckpointEvery
)

// tracker is a lane's part of proofs.
type tracker = *window.Window

// proofs is the ledger of at-least-once: only what is proved to be received is saved, as the highest position below which
// everything is, with the single acks above it as text. Offsets that carry no message for the subscriber, such as control
// records and holes of compaction, are never in the window and so never hold it up.
type proofs struct {
	c       *counted
	handed  []mark // in the order of Poll, from head on
	head    int
	acks    int  // since the last save
	starved bool // Poll waits for proofs
	pages   bool // a page is bounded by itself: its proof is the next request
	next    []message.Message
}

func (p *proofs) seat(l *lane, from spot) {
	ranges, err := window.DecodeRanges(from.text, from.next)
	if err != nil { // somebody else's text: what it may say is delivered again
		ranges = nil
	}
	l.track = window.New(from.next, ranges, windowBytes)
}

func (p *proofs) leave(*lane, bool) {}

func (p *proofs) open(l *lane) bool {
	n, _ := l.track.Unacked()
	return n > 0
}

// room is how many messages may be handed out now.
func (p *proofs) room(most int) (messages int, bytes int64) {
	messages, bytes = maxUnproven, maxUnprovenBytes
	if p.pages {
		messages, bytes = math.MaxInt, math.MaxInt64
	}
	for _, l := range p.c.lanes {
		if l != nil {
			n, size := l.track.Unacked()
			messages, bytes = messages-n, bytes-size
			most = min(most, l.track.Room())
		}
	}
	return min(most, messages), bytes
}

func (p *proofs) poll(most int) ([]message.Message, error) {
	most, bytes := p.room(most)
	if p.starved = most <= 0 || bytes <= 0; p.starved {
		return nil, nil
	}
	if p.next != nil {
		view := p.next
		p.next = nil
		return view, nil
	}
	place := p.c.place
	var out []message.Message
	for len(out) < most && bytes > 0 {
		view, err := place.Poll(most - len(out))
		if err != nil && len(out) > 0 {
			break // it comes again
		}
		if err != nil || len(view) == 0 {
			return out, err
		}
		if view[0].Kind != message.Data {
			p.wentBack()
			if len(out) > 0 {
				p.next = view
				break
			}
			return view, nil
		}
		took, whole := p.take(view, place.cur.marks[place.idx-int32(len(view)):place.idx], &bytes, out)
		if whole {
			return view[:len(took)], nil
		}
		out = took
	}
	return out, nil
}

// take tracks what was read, until bytes are spent, and gives the rest back to the place. whole: what it took is the
// beginning of view, as it is; else it was copied behind out.
func (p *proofs) take(view []message.Message, marks []mark, bytes *int64, out []message.Message) (took []message.Message, whole bool) {
	c := p.c
	partial := c.partial()
	copying := out != nil || partial
	for i := range view {
		if *bytes <= 0 {
			c.place.unread(len(view) - i)
			view = view[:i]
			break
		}
		m, l := &view[i], c.lanes[marks[i].part]
		size := m.Size()
		deliver, err := l.track.TrackSized(m.Offset, uint32(size))
		if errors.Is(err, window.ErrOrder) { // the log was made anew or cut
			l.track = window.New(m.Offset, nil, windowBytes)
			deliver, _ = l.track.TrackSized(m.Offset, uint32(size))
		}
		l.read, l.handed = marks[i].next, marks[i].next
		if !deliver && !copying {
			copying, out = true, append(make([]message.Message, 0, len(view)), view[:i]...)
		}
		if !deliver {
			continue
		}
		*bytes -= int64(size)
		p.hand(marks[i])
		if copying {
			out = append(out, *m)
		}
		if partial {
			c.identify(l, &out[len(out)-1])
		}
	}
	if copying {
		return out, false
	}
	return view, true
}

// wentBack: after a gap the place may stand below what is tracked, in a log that was made anew or cut. What is known of the
// old one must not be saved for the new.
func (p *proofs) wentBack() {
	vec := p.c.place.vector(nil)
	for i, l := range p.c.lanes {
		if l != nil && !l.leaving && vec.at(i) < l.track.Position() {
			l.track = window.New(vec.at(i), nil, windowBytes)
			l.read, l.handed = vec.at(i), vec.at(i)
		}
	}
}

// hand remembers the order of what was handed out, for through.
func (p *proofs) hand(m mark) {
	if p.head > 0 && len(p.handed) == cap(p.handed) {
		p.handed = append(p.handed[:0], p.handed[p.head:]...)
		p.head = 0
	}
	p.handed = append(p.handed, m)
}

// through takes the oldest of that place: where a partition left and came back, a message may have been handed out twice, and
// the proof is of the first. What lies between the two is not proved.
func (p *proofs) through(m mark) bool {
	for i := p.head; i < len(p.handed); i++ {
		if p.handed[i] != m {
			continue
		}
		for _, before := range p.handed[p.head : i+1] {
			p.prove(before)
		}
		p.head = i + 1
		return p.proved()
	}
	return false
}

func (p *proofs) ack(m mark) bool {
	p.prove(m)
	for p.head < len(p.handed) {
		first := p.handed[p.head]
		if l := p.c.lane(first.part); l != nil && l.track.Position() < first.next {
			break
		}
		p.head++
	}
	return p.proved()
}

func (p *proofs) prove(m mark) {
	if l := p.c.lane(m.part); l != nil {
		l.track.Ack(m.next - 1)
		p.acks++
	}
}

// proved tells whether Poll may go on.
func (p *proofs) proved() bool {
	if p.head == len(p.handed) {
		p.handed, p.head = p.handed[:0], 0
	}
	if p.acks >= manyAcks {
		notify(p.c.kick)
	}
	if !p.starved {
		return false
	}
	most, bytes := p.room(1)
	return most > 0 && bytes > 0
}

func (p *proofs) due(bool) []commitment {
	var out []commitment
	var scratch [window.MaxText]byte
	for _, l := range p.c.lanes {
		if l == nil {
			continue
		}
		text := l.track.AppendRanges(scratch[:0])
		if next := l.track.Position(); next != l.saved.next || string(text) != l.saved.text {
			out = append(out, commitment{l, spot{next, string(text)}})
		}
	}
	p.acks = 0
	return slices.Clip(out)
}

func (p *proofs) settled() bool { return false }
