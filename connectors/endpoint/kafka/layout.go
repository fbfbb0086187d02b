package kafka

import (
	"cmp"
	"math"
	"sort"

	"github.com/sluice-gateway/sluice/qos/cursor"
)

// place is one partition.
type place struct {
	topic     string
	partition int32
}

// layout numbers the partitions of a feed. It is immutable; a new partition makes a longer layout whose first numbers are
// the old ones, so that a vector made under an older layout stays right: what it lacks, it has seen nothing of.
type layout struct {
	places []place
	index  map[string][]int32 // topic -> partition -> number, -1: none
	order  []int32            // numbers by topic and partition, as cursors list them
	rank   map[string]int     // order of topics in cursors: the configuration's
}

func newLayout(topics []string, places []place) *layout {
	l := &layout{index: map[string][]int32{}, rank: map[string]int{}}
	for i, t := range topics {
		l.rank[t] = i
	}
	return l.with(places)
}

// with returns a layout that has the given places too.
func (l *layout) with(more []place) *layout {
	n := &layout{rank: l.rank, index: make(map[string][]int32, len(l.index)+1)}
	n.places = append(append(make([]place, 0, len(l.places)+len(more)), l.places...), more...)
	for i, p := range n.places {
		row := n.index[p.topic]
		for len(row) <= int(p.partition) {
			row = append(row, -1)
		}
		row[p.partition] = int32(i)
		n.index[p.topic] = row
		n.order = append(n.order, int32(i))
	}
	sort.Slice(n.order, func(i, j int) bool {
		a, b := n.places[n.order[i]], n.places[n.order[j]]
		return cmp.Or(cmp.Compare(n.rank[a.topic], n.rank[b.topic]), cmp.Compare(a.topic, b.topic),
			cmp.Compare(a.partition, b.partition)) < 0
	})
	return n
}

// number returns a partition's number, or -1.
func (l *layout) number(topic string, partition int32) int32 {
	row := l.index[topic]
	if partition < 0 || int(partition) >= len(row) {
		return -1
	}
	return row[partition]
}

// A vector holds, by partition number, the next offset to read. Numbers beyond its length stand at 0.
type vector []int64

// elsewhere stands in a vector for a partition that is not read: another member of the group has it. It is past every
// position, so that whatever comes of the partition is known already.
const elsewhere = math.MaxInt64

func (v vector) at(i int) int64 {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// set returns v with the i-th place changed.
func (v vector) set(i int, next int64) vector {
	for len(v) <= i {
		v = append(v, 0)
	}
	v[i] = next
	return v
}

// reaches tells whether v is at or past w everywhere.
func (v vector) reaches(w vector) bool {
	for i := range max(len(v), len(w)) {
		if v.at(i) < w.at(i) {
			return false
		}
	}
	return true
}

// raise makes v at least w everywhere.
func (v vector) raise(w vector) vector {
	for i, next := range w {
		if next > v.at(i) {
			v = v.set(i, next)
		}
	}
	return v
}

// atMost returns v where it is not past w, else w: what a position is worth after the log went back to w.
func (v vector) atMost(w vector) vector {
	out := append(vector(nil), v...)
	for i, next := range out {
		if next != elsewhere {
			out[i] = min(next, w.at(i))
		}
	}
	return out
}

// pad makes v say of n partitions at least, the new ones being elsewhere.
func (v vector) pad(n int) vector {
	for len(v) < n {
		v = append(v, elsewhere)
	}
	return v
}

// positions appends v as cursors show it, in their order, to dst: the offset of the last message read.
func (l *layout) positions(dst []cursor.Position, v vector) []cursor.Position {
	for _, i := range l.order {
		p := l.places[i]
		dst = append(dst, cursor.Position{Topic: p.topic, Partition: p.partition, Offset: v.at(int(i)) - 1})
	}
	return dst
}
