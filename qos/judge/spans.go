package judge

import (
	"cmp"
	"slices"
	"sort"
)

// span is a range of offsets in a partition, from up to, not including, to.
type span struct {
	partition int32
	from, to  int64
}

// spans is a set of offsets: sorted, and without overlaps.
type spans []span

func newSpans(in []span) spans {
	all := slices.Clone(in)
	slices.SortFunc(all, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.from, b.from))
	})
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].partition == s.partition && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (s spans) has(partition int32, offset int64) bool {
	i := sort.Search(len(s), func(i int) bool {
		return s[i].partition > partition || (s[i].partition == partition && s[i].to > offset)
	})
	return i < len(s) && s[i].partition == partition && s[i].from <= offset
}

// marks tells when positions of partitions first rose above an offset.
type marks map[int32][]mark

type mark struct {
	from, to int64 // what this rise newly covers
	at       int32 // number of the event
}

// raise notes a position. A position at or below an earlier one is no rise.
func (m marks) raise(partition int32, from, to int64, at int32) {
	list := m[partition]
	if n := len(list); n > 0 {
		from = max(from, list[n-1].to)
	}
	if from < to {
		m[partition] = append(list, mark{from, to, at})
	}
}

// above returns when the position first was above offset; 0: never.
func (m marks) above(partition int32, offset int64) int32 {
	if at, ok := m.find(partition, offset); ok {
		return at.at
	}
	return 0
}

// covered returns when offset was first covered, by a position of a connection that began at or below it; 0: never.
func (m marks) covered(partition int32, offset int64) int32 {
	if at, ok := m.find(partition, offset); ok && at.from <= offset {
		return at.at
	}
	return 0
}

func (m marks) find(partition int32, offset int64) (mark, bool) {
	list := m[partition]
	i := sort.Search(len(list), func(i int) bool { return list[i].to > offset })
	if i == len(list) {
		return mark{}, false
	}
	return list[i], true
}
