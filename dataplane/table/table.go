// Package table is the routing table of a worker: host and path to whatever serves them, immutable, so that a request
// reads it without a lock while the next one is built (spec 1.4). It does not know what an API is and starts no
// goroutine.
package table

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// maxSegments bounds the number of segments of a stored path, so that a lookup works on a small array on the stack. Ours;
// the longest path in the wild definitions we have has five.
const maxSegments = 31

// maxHost bounds the host names that are looked at, in bytes (RFC 1035 section 2.3.4).
const maxHost = 255

// Match is what a lookup found.
type Match[T any] struct {
	Value       T
	ContextPath string // the stored path, with its trailing slash
	Rest        int    // where the path info begins in the looked-up path; its length where there is none
}

// Table maps hosts and paths to values. It never changes; a Builder makes the next one. The zero Table is empty.
//
// It is a hash table in small segments, keyed by host and path prefix. A lookup probes once per path depth that is stored
// at all, the deepest first, which in practice is one to three probes whatever the number of APIs; a change copies
// the segment headers and the segments that it touches, and leaves the rest to both versions.
type Table[T any] struct {
	seed     maphash.Seed
	shift    uint8 // a segment is chosen by the upper bits of the hash
	segments [][]slot[T]
	plain    depths // of paths without a host
	hosted   depths
	size     int // routes
}

// depths counts the stored paths by their number of segments.
type depths struct {
	mask  uint32
	count [maxSegments + 1]int32
}

type slot[T any] struct {
	hash  uint64
	entry *entry[T]
}

// entry is one route and who claims it.
type entry[T any] struct {
	path   string // without its trailing slash, so "" is the root
	host   string // lower case; empty: every host
	stored string // with its trailing slash
	value  T      // of the first claim, here to spare a lookup one miss of the processor's cache
	claims []claim[T]
}

type claim[T any] struct {
	id    string
	value T
}

// Len returns the number of routes.
func (t *Table[T]) Len() int { return t.size }

// Lookup finds the value for a request: a route with the request's host before one without, and of those the longest path
// that is the request's path or followed in it by a slash. host may have any case and a port; path is the raw path of
// the request target. It does not allocate.
func (t *Table[T]) Lookup(host, path []byte) (m Match[T], ok bool) {
	if t.size == 0 || len(path) > 0 && path[0] != '/' {
		return m, false
	}
	var ends [maxSegments + 1]int
	n := boundaries(&ends, path, bits.Len32(t.plain.mask|t.hosted.mask))
	known := uint32(1)<<n - 1
	if t.hosted.mask != 0 {
		var buf [maxHost]byte
		if host = appendHost(buf[:0], host); len(host) > 0 {
			if m, ok = t.longest(host, path, &ends, t.hosted.mask&known); ok {
				return m, true
			}
		}
	}
	return t.longest(nil, path, &ends, t.plain.mask&known)
}

// longest tries the depths in mask, the deepest first.
func (t *Table[T]) longest(host, path []byte, ends *[maxSegments + 1]int, mask uint32) (m Match[T], ok bool) {
	for mask != 0 {
		d := bits.Len32(mask) - 1
		mask &^= 1 << d
		prefix := path[:ends[d]]
		hash := t.hash(host, prefix)
		for _, s := range t.segments[hash>>t.shift] {
			if s.hash == hash && s.entry.path == string(prefix) && s.entry.host == string(host) {
				return Match[T]{Value: s.entry.value, ContextPath: s.entry.stored, Rest: ends[d]}, true
			}
		}
	}
	return m, false
}

func (t *Table[T]) hash(host, prefix []byte) uint64 {
	h := maphash.Bytes(t.seed, prefix)
	if len(host) > 0 {
		const golden = 0x9E3779B97F4A7C15 // spreads the host over all bits
		h ^= bits.RotateLeft64(maphash.Bytes(t.seed, host)*golden, 31)
	}
	return h
}

// boundaries writes where the first 0, 1, 2 ... segments of path end, at most want of them, and returns how many it found.
func boundaries(ends *[maxSegments + 1]int, path []byte, want int) int {
	n := 1 // ends[0] is 0: the root ends before the first slash
	for at := 1; n < want && at < len(path); n++ {
		if i := bytes.IndexByte(path[at:], '/'); i >= 0 {
			at += i
		} else {
			at = len(path)
		}
		ends[n] = at
		at++
	}
	return n
}

// appendHost appends host in lower case and without its port; nothing where it is no host name.
func appendHost(dst, host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if len(host) > maxHost {
		return dst
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
