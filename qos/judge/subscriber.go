package judge

import "github.com/sluice-gateway/sluice/qos"

// subscriber is what happened to one.
type subscriber struct {
	name      string
	level     qos.Level
	rules     Rules
	connected bool
	epoch     int32      // number of the connection, from 1
	starts    []starting // of each connection
	lanes     []lane     // by partition
	keys      []high     // by key
	fates     []fate     // by message
	spans     []span     // of earlier connections, from their start to the last that they delivered
	gaps      []span
	told      int // gap events
	open      int // those without a range that hold for every partition
	commits   marks
	acks      marks
	delivered int // messages
	again     int // deliveries of them but the first
	reordered int
	broken    map[Rules]*breach
}

// breach counts how often a rule was broken, and remembers the first message.
type breach struct {
	count   int
	message int32
}

// starting is where a connection began.
type starting struct {
	cursor map[int32]int64
	others int64 // partitions that are not in cursor; -1: unknown
}

// at returns where the connection began in a partition; -1: unknown.
func (s *starting) at(partition int32) int64 {
	if offset, ok := s.cursor[partition]; ok {
		return offset
	}
	return s.others
}

// lane is a subscriber's view of a partition.
type lane struct {
	epoch int32 // of start and high; 0: nothing delivered
	start int64
	high  int64
	first int64 // lowest offset delivered in any connection
	top   int64 // highest offset delivered in any connection
	open  bool  // a gap without a range was announced here, and nothing was delivered since
	all   int   // subscriber.open when something was last delivered here
}

// high is the highest number delivered of a key, in connection epoch.
type high struct {
	epoch int32
	seq   int64
}

// fate is what became of a message. Events are told by their number; 0: none.
type fate struct {
	first, acked int32
	epoch        int32 // of the last delivery
}

// at returns the element i of a list that grows as needed.
func at[T any](list *[]T, i int32) *T {
	for int(i) >= len(*list) {
		var zero T
		*list = append(*list, zero)
	}
	return &(*list)[i]
}

func (s *subscriber) connect(j *Judge, c Cursor) {
	s.spans = append(s.spans, s.current()...)
	s.connected = true
	s.epoch++
	start := starting{cursor: map[int32]int64{}, others: -1}
	for p, offset := range c {
		if p == Everywhere {
			start.others = offset
		} else {
			start.cursor[j.partitions.of(p)] = offset
		}
	}
	s.starts = append(s.starts, start)
}

// current returns the ranges that the connection has gone through.
func (s *subscriber) current() []span {
	var out []span
	for p := range s.lanes {
		if l := &s.lanes[p]; l.epoch != 0 && l.epoch == s.epoch && l.start <= l.high {
			out = append(out, span{int32(p), l.start, l.high + 1})
		}
	}
	return out
}

// deliver takes a delivery of message m, from a place that is -1 where unknown.
func (s *subscriber) deliver(j *Judge, m, partition int32, offset int64) {
	f := at(&s.fates, m)
	again := f.epoch == s.epoch // in this connection: a duplicate, whatever came between
	if f.first == 0 {
		f.first = j.now
		s.delivered++
	} else {
		s.again++
		s.note(Duplicate, m)
	}
	f.epoch = s.epoch
	r := &j.messages[m]
	k := at(&s.keys, r.key)
	late := false
	if k.epoch != s.epoch || k.seq < r.seq {
		*k = high{s.epoch, r.seq}
	} else if !again && r.seq < k.seq {
		s.note(OrderPerKey, m)
		late = true
	}
	if partition >= 0 && !s.advance(partition, offset) && !again {
		s.note(OrderPerPartition, m)
		late = true
	}
	if late {
		s.reordered++
	}
}

// advance moves a lane and tells whether it went forward.
func (s *subscriber) advance(partition int32, offset int64) bool {
	l := at(&s.lanes, partition)
	before := l.top + 1
	if l.epoch == 0 {
		before, l.first, l.top = 0, offset, offset
	}
	l.first, l.top = min(l.first, offset), max(l.top, offset)
	if l.epoch == s.epoch {
		if offset <= l.high {
			return false
		}
		before = l.high + 1
	} else {
		l.epoch, l.start = s.epoch, offset
		if start := s.starts[len(s.starts)-1].at(partition); start >= 0 {
			l.start, before = start, start
		}
	}
	if l.open || l.all != s.open {
		s.gaps = append(s.gaps, span{partition, min(before, offset), offset})
		l.open, l.all = false, s.open
	}
	l.high = offset
	return true
}

func (s *subscriber) ack(m, now int32) {
	if f := at(&s.fates, m); f.acked == 0 {
		f.acked = now
	}
}

// commit notes a checkpoint: it covers what the connection has gone through, not what is below its start.
func (s *subscriber) commit(partition int32, offset int64, now int32) {
	start := s.starts[len(s.starts)-1].at(partition)
	if l := at(&s.lanes, partition); l.epoch == s.epoch {
		start = l.start
	}
	s.commits.raise(partition, max(start, 0), offset, now)
}

func (s *subscriber) announce(j *Judge, e *Event) {
	s.told++
	switch {
	case e.To > 0:
		s.gaps = append(s.gaps, span{j.partitions.of(e.Partition), e.From, e.To})
	case e.Partition != "":
		at(&s.lanes, j.partitions.of(e.Partition)).open = true
	default:
		s.open++
	}
}

func (s *subscriber) note(rule Rules, m int32) { note(s.broken, rule, m) }

func note(broken map[Rules]*breach, rule Rules, m int32) {
	if b := broken[rule]; b != nil {
		b.count++
		return
	}
	broken[rule] = &breach{1, m}
}
