package table

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// perSegment is how many routes a segment holds on average before their number is doubled: few enough to be scanned
// within two cache lines.
const perSegment = 4

// ErrPath is wrapped by what is returned for a path that a table cannot hold.
var ErrPath = errors.New("unusable path")

// Route is one way to an API: a path that starts and ends with a slash, and a host, empty for every host.
type Route struct{ Host, Path string }

// String renders the route for people.
func (r Route) String() string { return r.Host + r.Path }

// Check tells whether a table can hold the route.
func (r Route) Check() error {
	switch {
	case !strings.HasPrefix(r.Path, "/") || !strings.HasSuffix(r.Path, "/") || strings.Contains(r.Path, "//"):
		return fmt.Errorf("%w %q: must start and end with one slash and have none in a row", ErrPath, r.Path)
	case depth(r.Path) > maxSegments:
		return fmt.Errorf("%w %q: has more than %d segments", ErrPath, r.Path, maxSegments)
	case len(r.Host) > maxHost:
		return fmt.Errorf("%w: host %q is longer than %d bytes", ErrPath, r.Host, maxHost)
	}
	return nil
}

// Change is what becomes of one API: its routes from now on, all checked; none removes it.
type Change[T any] struct {
	ID     string
	Routes []Route
	Value  T
}

// Conflict says that more than one API claims a route. The one whose id sorts first is served, whatever came first, so
// that all workers decide alike; the other takes over when it goes.
type Conflict struct {
	Route         Route
	Winner, Loser string
}

// Builder makes tables, each from the one before. One goroutine uses it.
type Builder[T any] struct {
	table  *Table[T]
	routes map[string][]Route // by API
	fresh  map[int]struct{}   // segments that no published table has seen; nil between calls of Apply
}

// NewBuilder returns a builder whose first table is empty.
func NewBuilder[T any]() *Builder[T] {
	t := &Table[T]{seed: maphash.MakeSeed()}
	t.resize(1)
	return &Builder[T]{table: t, routes: map[string][]Route{}}
}

// Apply returns the table with the changes made, all at once, and the conflicts that the changed routes are part of.
// Tables returned earlier stay as they are.
func (b *Builder[T]) Apply(changes []Change[T]) (*Table[T], []Conflict) {
	next := *b.table
	next.segments = slices.Clone(next.segments)
	b.table, b.fresh = &next, make(map[int]struct{}, len(changes))
	for _, c := range changes {
		b.remove(c.ID)
		if len(c.Routes) == 0 {
			continue
		}
		for _, r := range c.Routes {
			b.claim(r, claim[T]{c.ID, c.Value})
		}
		b.routes[c.ID] = slices.Clone(c.Routes)
	}
	b.fresh = nil
	return &next, b.conflicts(changes)
}

// remove takes back every claim of an API.
func (b *Builder[T]) remove(id string) {
	for _, r := range b.routes[id] {
		hash, seg, at := b.locate(r)
		if at < 0 {
			continue // the route was listed twice
		}
		old := b.own(seg)[at].entry
		left := slices.DeleteFunc(slices.Clone(old.claims), func(c claim[T]) bool { return c.id == id })
		if len(left) > 0 {
			b.table.segments[seg][at] = slot[T]{hash, &entry[T]{old.path, old.host, old.stored, left[0].value, left}}
			continue
		}
		b.table.segments[seg] = slices.Delete(b.table.segments[seg], at, at+1)
		b.count(r, -1)
	}
	delete(b.routes, id)
}

// claim adds c to the route.
func (b *Builder[T]) claim(r Route, c claim[T]) {
	hash, seg, at := b.locate(r)
	if at >= 0 {
		old := b.own(seg)[at].entry
		claims := slices.DeleteFunc(slices.Clone(old.claims), func(o claim[T]) bool { return o.id == c.id })
		claims = append(claims, c)
		slices.SortFunc(claims, func(x, y claim[T]) int { return strings.Compare(x.id, y.id) })
		b.table.segments[seg][at].entry = &entry[T]{old.path, old.host, old.stored, claims[0].value, claims}
		return
	}
	e := &entry[T]{path: strings.TrimSuffix(r.Path, "/"), host: string(appendHost(nil, []byte(r.Host))), stored: r.Path, value: c.value, claims: []claim[T]{c}}
	b.own(seg)
	b.table.segments[seg] = append(b.table.segments[seg], slot[T]{hash, e})
	b.count(r, +1)
	if b.table.size > perSegment*len(b.table.segments) {
		b.table.resize(2 * len(b.table.segments))
		for i := range b.table.segments {
			b.fresh[i] = struct{}{}
		}
	}
}

// locate finds a route: the segment it belongs to and its place there, -1 where it is not.
func (b *Builder[T]) locate(r Route) (hash uint64, seg, at int) {
	host, path := string(appendHost(nil, []byte(r.Host))), strings.TrimSuffix(r.Path, "/")
	hash = b.table.hash([]byte(host), []byte(path))
	seg = int(hash >> b.table.shift)
	return hash, seg, slices.IndexFunc(b.table.segments[seg], func(s slot[T]) bool {
		return s.hash == hash && s.entry.path == path && s.entry.host == host
	})
}

// own returns a segment that may be changed, copied where a published table has it.
func (b *Builder[T]) own(seg int) []slot[T] {
	if _, ok := b.fresh[seg]; !ok {
		b.table.segments[seg] = slices.Clone(b.table.segments[seg])
		b.fresh[seg] = struct{}{}
	}
	return b.table.segments[seg]
}

func (b *Builder[T]) count(r Route, by int32) {
	d := &b.table.plain
	if r.Host != "" {
		d = &b.table.hosted
	}
	n := depth(r.Path)
	if d.count[n] += by; d.count[n] > 0 {
		d.mask |= 1 << n
	} else {
		d.mask &^= 1 << n
	}
	b.table.size += int(by)
}

func (b *Builder[T]) conflicts(changes []Change[T]) (out []Conflict) {
	for _, c := range changes {
		for _, r := range b.routes[c.ID] {
			_, seg, at := b.locate(r)
			claims := b.table.segments[seg][at].entry.claims
			for _, loser := range claims[1:] {
				out = append(out, Conflict{Route: r, Winner: claims[0].id, Loser: loser.id})
			}
		}
	}
	return out
}

// resize spreads the entries over n segments, a power of two.
func (t *Table[T]) resize(n int) {
	old := t.segments
	t.segments, t.shift = make([][]slot[T], n), 64
	for ; n > 1; n >>= 1 {
		t.shift--
	}
	for _, seg := range old {
		for _, s := range seg {
			i := s.hash >> t.shift
			t.segments[i] = append(t.segments[i], s)
		}
	}
}

// depth is the number of segments of a stored path.
func depth(path string) int { return strings.Count(path, "/") - 1 }
