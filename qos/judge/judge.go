// Package judge is the contract of qos, executable: it takes what happened, event by event, and tells which promises were
// broken. Simulations, fault schedules and runs with real brokers are all judged by it. It knows nothing of how a history
// was recorded, reads no clock, starts no goroutine, and costs O(n log n) in all.
//
// Messages are told apart by their key and their number in it, because that is what a producer knows and a body can carry.
// Their places in the log are learned from whoever sees them: a reader of the log, or a subscriber with message ids. Where
// no place is ever told, nothing is judged that needs one; record a reader of the log for whatever is to be judged
// by it.
package judge

import (
	"fmt"

	"github.com/sluice-gateway/sluice/qos"
)

// Judge collects one history. It is used by one goroutine; recorders with several put a lock around Add.
type Judge struct {
	now         int32 // number of the event, from 1
	keys        names
	partitions  names
	messages    []record
	byID        map[id]int32
	subscribers map[string]*subscriber
	order       []*subscriber // as they subscribed
}

// names gives numbers to names.
type names struct {
	number map[string]int32
	name   []string
}

func (n *names) of(name string) int32 {
	i, ok := n.number[name]
	if !ok {
		i = int32(len(n.name))
		n.number[name] = i
		n.name = append(n.name, name)
	}
	return i
}

type id struct {
	key int32
	seq int64
}

// record is what is known of a message.
type record struct {
	id
	partition int32 // -1: unknown
	offset    int64
	flags     uint8
}

const (
	produced uint8 = 1 << iota
	stored
	refused
	seen // by a subscriber
)

// New returns a judge of an empty history.
func New() *Judge {
	return &Judge{keys: names{number: map[string]int32{}}, partitions: names{number: map[string]int32{}}, byID: map[id]int32{}, subscribers: map[string]*subscriber{}}
}

// Add takes the next event. An error wraps ErrEvent and says that the history is not one; the event is then ignored.
func (j *Judge) Add(e *Event) error {
	if err := e.validate(); err != nil {
		return err
	}
	j.now++
	switch e.Kind {
	case Produced:
		j.mark(e, produced)
	case Stored:
		j.mark(e, stored)
	case Refused:
		j.mark(e, refused)
	case Subscribed:
		return j.subscribe(e)
	default:
		s := j.subscribers[e.Subscriber]
		if s == nil {
			return fmt.Errorf("%w: %s of %q, which never subscribed", ErrEvent, e.Kind, e.Subscriber)
		}
		return j.told(s, e)
	}
	return nil
}

func (j *Judge) subscribe(e *Event) error {
	if j.subscribers[e.Subscriber] != nil {
		return fmt.Errorf("%w: %q subscribes twice", ErrEvent, e.Subscriber)
	}
	level, ok := qos.ParseLevel(e.Level)
	if !ok {
		return fmt.Errorf("%w: level %q", ErrEvent, e.Level)
	}
	s := &subscriber{name: e.Subscriber, level: level, rules: e.Rules, commits: marks{}, acks: marks{}, broken: map[Rules]*breach{}}
	if s.rules == 0 {
		s.rules = RulesOf(level)
	}
	j.subscribers[e.Subscriber] = s
	j.order = append(j.order, s)
	s.connect(j, e.Cursor)
	return nil
}

// told takes an event of a subscriber.
func (j *Judge) told(s *subscriber, e *Event) error {
	switch e.Kind {
	case Resumed:
		s.connect(j, e.Cursor)
	case Disconnected:
		s.connected = false
	case Delivered:
		if !s.connected {
			return fmt.Errorf("%w: %q gets a message while disconnected", ErrEvent, s.name)
		}
		m := j.mark(e, seen)
		partition, offset := j.messages[m].partition, j.messages[m].offset
		if e.Partition != "" {
			partition, offset = j.partitions.of(e.Partition), e.Offset
		}
		s.deliver(j, m, partition, offset)
	case Acked:
		if e.Cursor == nil {
			s.ack(j.mark(e, 0), j.now)
		}
		for p, offset := range e.Cursor {
			s.acks.raise(j.partitions.of(p), 0, offset, j.now)
		}
	case Checkpointed:
		for p, offset := range e.Cursor {
			s.commit(j.partitions.of(p), offset, j.now)
		}
	case Gap:
		s.announce(j, e)
	}
	return nil
}

// mark notes what is said of a message and returns its number.
func (j *Judge) mark(e *Event, flag uint8) int32 {
	key := j.keys.of(e.Key)
	m, ok := j.byID[id{key, e.Seq}]
	if !ok {
		m = int32(len(j.messages))
		j.messages = append(j.messages, record{id: id{key, e.Seq}, partition: -1})
		j.byID[id{key, e.Seq}] = m
	}
	r := &j.messages[m]
	r.flags |= flag
	if r.partition < 0 && e.Partition != "" {
		r.partition, r.offset = j.partitions.of(e.Partition), e.Offset
	}
	return m
}
