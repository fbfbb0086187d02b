package judge

import (
	"errors"
	"fmt"
	"maps"

	"github.com/sluice-gateway/sluice/qos"
)

// Verdict is the judgement of a history.
type Verdict struct {
	Produced, Stored, Refused int // messages
	Unknown                   int // messages of which the producer was told neither
	// Broken are the promises to producers.
	Broken      []Breach
	Subscribers []Report // in the order in which they subscribed
}

// Report is the judgement of one subscriber: a row of a report.
type Report struct {
	Subscriber string
	Level      qos.Level
	Delivered  int // messages that arrived
	Lost       int // stored messages within its range that did not, announced or not
	Duplicated int // deliveries of a message but its first
	Reordered  int // deliveries behind a later message of their key or partition, in one connection
	Gaps       int // gaps announced
	// Broken are the promises to the subscriber. The counts above count, whatever was promised.
	Broken []Breach
}

// Breach is one promise, broken.
type Breach struct {
	Rule    Rules
	Count   int    // messages or deliveries
	Example string // the first of them
}

// Err returns all promises broken, one error each; nil where all were kept.
func (v *Verdict) Err() error {
	var all []error
	for _, b := range v.Broken {
		all = append(all, fmt.Errorf("producers: %s of %d, the first: %s", b.Rule, b.Count, b.Example))
	}
	for i := range v.Subscribers {
		r := &v.Subscribers[i]
		for _, b := range r.Broken {
			all = append(all, fmt.Errorf("%s (%s): %s of %d, the first: %s", r.Subscriber, r.Level, b.Rule, b.Count, b.Example))
		}
	}
	return errors.Join(all...)
}

// Verdict judges what was added so far. More may be added after it.
func (j *Judge) Verdict() *Verdict {
	v := &Verdict{}
	broken := map[Rules]*breach{}
	for m := range j.messages {
		flags := j.messages[m].flags
		switch {
		case flags&stored != 0:
			v.Stored++
		case flags&refused != 0:
			v.Refused++
		case flags&produced != 0:
			v.Unknown++
		}
		if flags&produced != 0 {
			v.Produced++
		}
		if flags&refused != 0 && flags&(stored|seen) != 0 {
			note(broken, FalseRefusal, int32(m))
		}
	}
	v.Broken = j.breaches(broken, FalseRefusal)
	for _, s := range j.order {
		v.Subscribers = append(v.Subscribers, j.report(s))
	}
	return v
}

// scene is what judging one subscriber needs, computed once.
type scene struct {
	*subscriber
	through spans   // what its connections went through
	excused spans   // gaps announced
	begins  []int64 // by partition: the lowest offset that it asked for; -1: none
	whole   bool    // it asked for everything there is
	broken  map[Rules]*breach
	lost    int
}

func (j *Judge) report(s *subscriber) Report {
	c := &scene{subscriber: s, through: newSpans(append(s.current(), s.spans...)), excused: newSpans(s.gaps),
		whole: s.starts[0].others == 0, broken: map[Rules]*breach{}}
	for rule, b := range s.broken {
		c.broken[rule] = &breach{b.count, b.message}
	}
	for p := range j.partitions.name {
		c.begins = append(c.begins, s.begin(int32(p)))
	}
	for m := range j.messages {
		var f fate
		if m < len(s.fates) {
			f = s.fates[m]
		}
		c.judge(&j.messages[m], &f, int32(m))
	}
	maps.DeleteFunc(c.broken, func(rule Rules, _ *breach) bool { return s.rules&rule == 0 })
	return Report{Subscriber: s.name, Level: s.level, Delivered: s.delivered, Lost: c.lost, Duplicated: s.again, Reordered: s.reordered,
		Gaps: s.told, Broken: j.breaches(c.broken, s.rules)}
}

// begin is where the subscription begins in a partition: the lowest start that a connection asked for, else the first
// message delivered; -1: nowhere.
func (s *subscriber) begin(partition int32) int64 {
	out := int64(-1)
	for i := range s.starts {
		if start := s.starts[i].at(partition); start >= 0 && (out < 0 || start < out) {
			out = start
		}
	}
	if l := at(&s.lanes, partition); out < 0 && l.epoch != 0 {
		out = l.first
	}
	return out
}

func (c *scene) judge(r *record, f *fate, m int32) {
	if f.first != 0 && r.flags&(produced|stored|refused) == 0 {
		note(c.broken, Invention, m)
	}
	if f.first == 0 && r.flags&stored != 0 && c.expected(r) {
		c.lost++
		note(c.broken, Loss, m)
		if r.partition >= 0 && c.through.has(r.partition, r.offset) && !c.excused.has(r.partition, r.offset) {
			note(c.broken, SilentGap, m)
		}
	}
	if r.partition >= 0 {
		c.judgeCommits(r, f, m)
	}
}

// expected tells whether the subscriber was to get a stored message: it lies behind the subscription's begin and, where
// the subscriber is gone, not behind the last that it got.
func (c *scene) expected(r *record) bool {
	if r.partition < 0 {
		return c.whole && c.connected
	}
	begin := c.begins[r.partition]
	if begin < 0 || r.offset < begin {
		return false
	}
	l := &c.lanes[r.partition]
	return c.connected || (l.epoch != 0 && r.offset <= l.top)
}

func (c *scene) judgeCommits(r *record, f *fate, m int32) {
	if len(c.commits[r.partition]) == 0 {
		return
	}
	if above := c.commits.above(r.partition, r.offset); f.first != 0 && (above == 0 || above > f.first) {
		note(c.broken, DeliveryAboveCommit, m)
	}
	covered := c.commits.covered(r.partition, r.offset)
	if covered == 0 || c.excused.has(r.partition, r.offset) || (f.first == 0 && r.flags&stored == 0) {
		return
	}
	if f.first > covered || (f.first == 0 && c.through.has(r.partition, r.offset)) {
		note(c.broken, CommitAboveDelivery, m)
	}
	acked := f.acked
	if all := c.acks.above(r.partition, r.offset); all != 0 && (acked == 0 || all < acked) {
		acked = all
	}
	if acked == 0 || acked > covered {
		note(c.broken, CommitAboveAck, m)
	}
}

// breaches lists what was broken of some rules, in the order of the rules.
func (j *Judge) breaches(broken map[Rules]*breach, rules Rules) []Breach {
	var out []Breach
	for rule := Rules(1); rule <= lastRule; rule <<= 1 {
		if b := broken[rule]; b != nil && rules&rule != 0 {
			out = append(out, Breach{Rule: rule, Count: b.count, Example: j.describe(b.message)})
		}
	}
	return out
}

func (j *Judge) describe(m int32) string {
	r := &j.messages[m]
	text := fmt.Sprintf("key %q seq %d", j.keys.name[r.key], r.seq)
	if r.partition >= 0 {
		text += fmt.Sprintf(" at %s@%d", j.partitions.name[r.partition], r.offset)
	}
	return text
}
