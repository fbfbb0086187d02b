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
	handed  []handedOut // in the order of Poll, from head on
	head    int
	repeats bool         // handed may hold a message twice: of a partition that was begun anew
	acks    int          // since the last save
	starved bool         // Poll waits for proofs
	pages   bool         // a page is bounded by itself: its proof is the next request
	next    message.View // what poll read and did not return
}

// handedOut is a message as it was handed out. A partition that is begun anew gets another tracker, so that the receipt of what
// was handed out before proves nothing of what comes now: the log may be another, and what lies between was not received.
type handedOut struct {
	mark
	track tracker
}

func (p *proofs) seat(l *lane, from spot) (lost lostRange) {
	ranges, err := window.DecodeRanges(from.text, from.next)
	if err != nil { // somebody else's text: what it may say is delivered again
		ranges = nil
	}
	p.track(l, from.next, ranges)
	return lost
}

// track begins a lane at next.
func (p *proofs) track(l *lane, next int64, ranges []window.Range) {
	l.track = window.New(next, ranges, windowBytes)
	p.repeats = p.head < len(p.handed)
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

func (p *proofs) poll(most int) (message.View, error) {
	most, bytes := p.room(most)
	if p.starved = most <= 0 || bytes <= 0; p.starved {
		return message.View{}, nil
	}
	if p.next.Len() > 0 {
		view := p.next
		p.next = message.View{}
		return view, nil
	}
	place := p.c.place
	var out []message.Message
	for len(out) < most && bytes > 0 {
		view, err := place.PollView(most - len(out))
		if err != nil && len(out) > 0 {
			break // it comes again
		}
		if err != nil || view.Len() == 0 {
			return message.Alone(out), err
		}
		if view.Run[view.From].Kind != message.Data {
			p.wentBack()
			if len(out) > 0 {
				p.next = view
				break
			}
			return view, nil
		}
		took, whole := p.take(view.Messages(), place.cur.marks[place.idx-int32(view.Len()):place.idx], &bytes, out)
		if whole {
			view.To = view.From + len(took)
			return view, nil
		}
		out = took
	}
	return message.Alone(out), nil
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
			p.track(l, m.Offset, nil)
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
		p.hand(handedOut{marks[i], l.track})
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
			p.track(l, vec.at(i), nil)
			l.read, l.handed = vec.at(i), vec.at(i)
		}
	}
}

// hand remembers the order of what was handed out, for through.
func (p *proofs) hand(h handedOut) {
	if p.head > 0 && len(p.handed) == cap(p.handed) {
		p.handed = append(p.handed[:0], p.handed[p.head:]...)
		p.head = 0
	}
	if p.repeats && len(p.handed)-p.head >= 2*maxUnproven {
		p.forgetFormer()
	}
	p.handed = append(p.handed, h)
}

// forgetFormer drops what was handed out of partitions as they were before they were begun anew: a client that has not proved
// it for so long does not.
func (p *proofs) forgetFormer() {
	kept := p.handed[:0]
	for _, h := range p.handed[p.head:] {
		if l := p.c.lane(h.part); l != nil && l.track == h.track {
			kept = append(kept, h)
		}
	}
	p.handed, p.head, p.repeats = kept, 0, false
}

// find looks for the oldest of that place; -1: it was not handed out, or is proved. Where a partition left and came back, a message
// may have been handed out twice, and the proof is of the first. What lies between the two is not proved. It costs no more than
// proving what lies before does.
func (p *proofs) find(m mark) int {
	for i := p.head; i < len(p.handed); i++ {
		if p.handed[i].mark == m {
			return i
		}
	}
	return -1
}

func (p *proofs) through(m mark) bool {
	at := p.find(m)
	if at < 0 {
		return false
	}
	for _, before := range p.handed[p.head : at+1] {
		p.prove(before)
	}
	p.head = at + 1
	return p.proved()
}

func (p *proofs) ack(m mark) bool {
	if p.repeats {
		at := p.find(m)
		if at < 0 {
			return false
		}
		p.prove(p.handed[at])
		p.handed[at].part = -1 // the next proof is of the next copy
	} else if l := p.c.lane(m.part); l != nil {
		p.prove(handedOut{m, l.track})
	}
	for p.head < len(p.handed) {
		if first := p.handed[p.head]; first.part >= 0 && first.track.Position() < first.next {
			break
		}
		p.head++
	}
	return p.proved()
}

func (p *proofs) prove(h handedOut) {
	if h.part >= 0 {
		h.track.Ack(h.next - 1)
		p.acks++
	}
}

// proved tells whether Poll may go on.
func (p *proofs) proved() bool {
	if p.head == len(p.handed) {
		p.handed, p.head, p.repeats = p.handed[:0], 0, false
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
