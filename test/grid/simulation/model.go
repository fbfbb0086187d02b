package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/qos/window"
)

// Bounds of the model.
const (
	windowBytes = 1 << 10 // of unacknowledged offsets, per partition: 128
	ringLength  = 6       // messages behind which a subscriber under none falls
	pollMost    = 6
)

// broker is a log and one consumer group. One lock guards it and its subscriptions.
type broker struct {
	schedule Schedule
	history  *history

	mu      sync.Mutex // guards the following
	random  *rand.Rand
	parts   [partitions]logPart
	subs    map[*subscription]bool
	saved   [partitions]checkpoint
	members []*subscription
	number  int // generation of the group
}

type logPart struct {
	start   int64
	records []bool // by offset; false: a hole, as compaction and transactions leave them
}

// checkpoint is a group's offset with its metadata.
type checkpoint struct {
	position int64
	ranges   string
}

func newBroker(s Schedule, h *history) *broker {
	return &broker{schedule: s, history: h, random: s.random(1), subs: map[*subscription]bool{}}
}

// name is how the judge knows a partition; it is also the key of its messages, whose number is their offset.
func name(p int) string { return strconv.Itoa(p) }

// write appends a message, and now and then a hole before it.
func (b *broker) write(p int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := &b.parts[p]
	if b.random.IntN(6) == 0 {
		part.records = append(part.records, false)
	}
	offset := int64(len(part.records))
	part.records = append(part.records, true)
	b.history.add(judge.Event{Kind: judge.Produced, Key: name(p), Seq: offset})
	b.history.add(judge.Event{Kind: judge.Stored, Key: name(p), Seq: offset, Partition: name(p), Offset: offset})
	b.wake()
}

// forget leaves the log of a partition only its last offsets, as retention does.
func (b *broker) forget(p int, keep int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := &b.parts[p]
	part.start = max(part.start, int64(len(part.records))-keep)
	b.wake()
}

func (b *broker) wake() {
	for s := range b.subs {
		s.wake()
	}
}

// subscribe opens a subscription. subscriber is how the judge knows whose checkpoints are saved; "": nobody's.
func (b *broker) subscribe(subscriber, at string, wake func()) *subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &subscription{b: b, subscriber: subscriber, wake: wake}
	b.subs[s] = true
	switch b.schedule.Level {
	case qos.AtMostOnce, qos.AtLeastOnce:
		b.members = append(b.members, s)
		b.rebalance()
	case qos.None:
		for p := range b.parts {
			s.next[p] = int64(len(b.parts[p].records))
			s.mine[p] = true
		}
	default:
		from, _ := cursor.Parse(at)
		for p := range b.parts {
			s.next[p], s.mine[p] = b.saved[p].position, true
			if from.Kind == cursor.At {
				s.next[p] = 0
			}
		}
		for _, pos := range from.At {
			s.next[pos.Partition] = pos.Offset + 1
			if b.schedule.Mutation == ResumeTooFar {
				s.next[pos.Partition]++
			}
		}
		s.delivered = s.next
	}
	return s
}

// rebalance gives the partitions to the members in turn. Who has gone on in an older generation is told by the next answer.
func (b *broker) rebalance() {
	b.number++
	for i, s := range b.members {
		s.generation = b.number
		for p := range b.parts {
			mine := p%len(b.members) == i
			if mine && !s.mine[p] {
				s.take(p)
			}
			s.mine[p] = mine
		}
		s.wake()
	}
}

// expel ends a membership without the member's knowledge: its session timed out.
func (b *broker) expel(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave(s)
}

func (b *broker) leave(s *subscription) {
	if i := slices.Index(b.members, s); i >= 0 {
		b.members = slices.Delete(b.members, i, i+1)
		if len(b.members) > 0 {
			b.rebalance()
		}
	}
}

// rejoin makes a member of one that was expelled: its heartbeat tells it so.
func (b *broker) rejoin(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs[s] && !slices.Contains(b.members, s) {
		s.mine = [partitions]bool{}
		b.members = append(b.members, s)
		b.rebalance()
	}
}

// commit saves positions where the member's generation is the group's.
func (b *broker) commit(s *subscription, p int, at checkpoint) bool {
	fenced := slices.Contains(b.members, s) && s.generation == b.number
	grouped := b.schedule.Level == qos.AtMostOnce || b.schedule.Level == qos.AtLeastOnce
	if grouped && !fenced && b.schedule.Mutation != IgnoreFence {
		return false
	}
	if b.saved[p] == at {
		return true
	}
	b.saved[p] = at
	if s.subscriber != "" {
		b.history.add(judge.Event{Kind: judge.Checkpointed, Subscriber: s.subscriber, Cursor: judge.Cursor{name(p): at.position}})
	}
	return true
}

// subscription is a connectors.Subscription of the model.
type subscription struct {
	b          *broker
	subscriber string
	wake       func()
	closed     bool

	generation int
	mine       [partitions]bool
	next       [partitions]int64 // offset of the next message
	delivered  [partitions]int64 // auto: what may be saved
	windows    [partitions]*window.Window
	highest    [partitions]int64 // AdvanceOverHole
	late       [partitions]int64 // DeliverBeforeCommit: what is saved at the next Poll
	handed     []place           // out and not yet delivered
}

// place is where a message lies.
type place struct {
	partition int32
	offset    int64
}

// take begins a partition where the group has left it.
func (s *subscription) take(p int) {
	at := s.b.saved[p]
	ranges, err := window.DecodeRanges(at.ranges, at.position)
	if err != nil {
		panic(fmt.Sprintf("partition %d at %d: ranges %q: %v", p, at.position, at.ranges, err))
	}
	s.next[p], s.late[p], s.highest[p] = at.position, 0, 0
	switch s.b.schedule.Mutation {
	case RangesAsPosition:
		if n := len(ranges); n > 0 {
			s.next[p], ranges = ranges[n-1].To, nil
		}
	case RepeatOne:
		s.next[p] = max(0, at.position-1)
	}
	s.windows[p] = window.New(s.next[p], ranges, windowBytes)
}

// Poll implements connectors.Subscription.
func (s *subscription) Poll(most int) ([]message.Message, error) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.closed {
		return nil, io.EOF
	}
	s.saveLate()
	if g := s.gap(); g != nil {
		return g, nil
	}
	var out []message.Message
	first := b.random.IntN(partitions)
	for i := range partitions {
		if p := (first + i) % partitions; s.mine[p] {
			out = s.read(out, p, min(most, 1+b.random.IntN(pollMost)))
		}
	}
	if n := len(out); n > 1 && b.schedule.Mutation == SwapTwo && out[n-1].Partition == out[n-2].Partition && b.random.IntN(4) == 0 {
		out[n-1], out[n-2] = out[n-2], out[n-1]
	}
	for i := range out {
		s.handed = append(s.handed, place{out[i].Partition, out[i].Offset})
	}
	if b.schedule.Mutation == CommitPolled && len(out) > 0 && b.schedule.Level == qos.Auto {
		for p := range s.next {
			b.commit(s, p, checkpoint{position: s.next[p]})
		}
	}
	return out, nil
}

// gap moves what lies before the log's start, and under none what fell behind, and says so.
func (s *subscription) gap() []message.Message {
	b := s.b
	for p := range b.parts {
		if !s.mine[p] {
			continue
		}
		from, to := s.next[p], b.parts[p].start
		slow := b.schedule.Level == qos.None || b.schedule.Mutation == SkipSlow
		if end := int64(len(b.parts[p].records)); slow && end-s.next[p] > ringLength {
			to = end - ringLength/2
		}
		if from >= to {
			continue
		}
		s.next[p] = to
		if b.schedule.Mutation == DropGap {
			continue
		}
		return []message.Message{{Kind: message.Gap, Partition: int32(p), Content: fmt.Appendf(nil, "%d %d", from, to)}}
	}
	return nil
}

// read appends the next messages of a partition.
func (s *subscription) read(out []message.Message, p, most int) []message.Message {
	b := s.b
	part := &b.parts[p]
	begin := len(out)
	for ; s.next[p] < int64(len(part.records)) && len(out)-begin < most; s.next[p]++ {
		offset := s.next[p]
		if !part.records[offset] {
			continue
		}
		if b.schedule.Level == qos.AtLeastOnce {
			deliver, err := s.windows[p].Track(offset)
			if err != nil { // full: it is waited for
				break
			}
			if !deliver {
				continue
			}
		}
		out = append(out, message.Message{Topic: topicName, Partition: int32(p), Offset: offset, Content: filling[:]})
	}
	if b.schedule.Level != qos.AtMostOnce || len(out) == begin {
		return out
	}
	if b.schedule.Mutation == DeliverBeforeCommit {
		s.late[p] = s.next[p]
		return out
	}
	if !b.commit(s, p, checkpoint{position: s.next[p]}) {
		s.mine[p] = false // expelled: another member has it
		return out[:begin]
	}
	return out
}

var filling = [padding]byte{0: '.'}

// saveLate is the DeliverBeforeCommit mutation.
func (s *subscription) saveLate() {
	for p, at := range s.late {
		if at > 0 {
			s.b.commit(s, p, checkpoint{position: at})
			s.late[p] = 0
		}
	}
}

// DeliveredThrough implements connectors.Subscription.
func (s *subscription) DeliveredThrough(m *message.Message) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	// The oldest of that place: after a takeover one may have been handed out again, and its proof is of the first.
	last := slices.Index(s.handed, place{m.Partition, m.Offset})
	if s.b.schedule.Mutation == ProveNewest {
		for i := range s.handed {
			if s.handed[i] == (place{m.Partition, m.Offset}) {
				last = i
			}
		}
	}
	for _, at := range s.handed[:last+1] {
		if s.b.schedule.Level == qos.Auto {
			s.delivered[at.partition] = max(s.delivered[at.partition], at.offset+1)
		} else if s.windows[at.partition] != nil {
			s.windows[at.partition].AckThrough(at.offset)
			s.highest[at.partition] = max(s.highest[at.partition], at.offset+1)
		}
	}
	s.handed = s.handed[last+1:]
}

// Acknowledge implements connectors.Subscription.
func (s *subscription) Acknowledge(m *message.Message) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.windows[m.Partition].Ack(m.Offset)
	s.highest[m.Partition] = max(s.highest[m.Partition], m.Offset+1)
}

// save writes what is delivered, as the endpoint does now and then.
func (s *subscription) save() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.saveNow()
}

func (s *subscription) saveNow() {
	for p := range s.mine {
		switch {
		case !s.mine[p]:
		case s.b.schedule.Level == qos.Auto && s.b.schedule.Mutation != CommitPolled:
			s.b.commit(s, p, checkpoint{position: s.delivered[p]})
		case s.b.schedule.Level == qos.AtLeastOnce:
			w := s.windows[p]
			at := checkpoint{w.Position(), string(w.AppendRanges(nil))}
			if s.b.schedule.Mutation == AdvanceOverHole && s.highest[p] > 0 {
				at = checkpoint{position: s.highest[p]}
			}
			s.b.commit(s, p, at)
		}
	}
}

// positions returns the offsets of the next messages.
func (s *subscription) positions() [partitions]int64 {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.next
}

// AppendCursor implements connectors.Subscription.
func (s *subscription) AppendCursor(dst []byte) []byte {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	at := make([]cursor.Position, partitions)
	for p := range at {
		at[p] = cursor.Position{Topic: topicName, Partition: int32(p), Offset: s.next[p] - 1}
	}
	return cursor.Append(dst, at, true)
}

// Close implements connectors.Subscription.
func (s *subscription) Close(context.Context) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return
	}
	s.saveNow()
	s.end()
}

// missed ends a subscription whose worker died: its session timed out.
func (s *subscription) missed() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if !s.closed {
		s.end()
	}
}

// end is called with the broker's lock held.
func (s *subscription) end() {
	s.closed = true
	delete(s.b.subs, s)
	s.b.leave(s)
}

var _ connectors.Subscription = (*subscription)(nil)
