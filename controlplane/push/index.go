package push

import (
	"cmp"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// maxRemovals bounds the tombstones that are remembered; a worker that is further behind gets a manifest instead of
// a delta. 16,384 of them are some 2 MiB: what a busy API loses in subscriptions while a worker is cut off.
const maxRemovals = 16_384

// entry is one deployment in the index. It is immutable.
type entry struct {
	key        Key
	deployment *wire.Deployment
	definition wire.Digest
	hash       wire.Digest
	streams    []wire.Stream
	since      wire.At // where this index first saw it: at or after its revision
}

// removal is the tombstone of what was deployed in some streams.
type removal struct {
	key     Key
	streams []wire.Stream
	at      wire.At // where this index first saw it: at or after the change
}

// streamState is one stream's members by id and their digest.
type streamState struct {
	entries map[string]*entry
	digest  wire.Digest
	changed wire.At // the last step that changed it, or the first that this index saw
}

// departure is what left a stream, and as what it is deployed elsewhere; nil when it is not.
type departure struct {
	id  string
	now *entry
}

// streamChanges is what one step of the index did to a stream.
type streamChanges struct {
	prev    wire.At // the stream did not change from here up to this step
	changed []*entry
	left    []departure
}

// index is the deployments by stream, with digests, kept as the source moves on. One goroutine calls advance; any
// may read.
type index struct {
	mu sync.RWMutex
	// guards the following
	at       wire.At
	base     wire.At // the first position that this index saw
	floor    wire.At // changes after it are all known
	loaded   bool
	items    map[Key]*entry
	streams  map[wire.Stream]*streamState
	removals []removal     // oldest first
	refused  map[Key]error // deployments that cannot be sent
	moved    chan struct{} // closed at the next advance
}

func newIndex() *index {
	return &index{
		items:   map[Key]*entry{},
		streams: map[wire.Stream]*streamState{},
		refused: map[Key]error{},
		moved:   make(chan struct{}),
	}
}

// advance takes the source's news in and returns what changed in each stream.
func (x *index) advance(src Source) (at wire.At, changes map[wire.Stream]*streamChanges) {
	// Only this goroutine writes, so reading without the lock is safe here.
	prev := x.at
	delta, ok := Changes{}, false
	if inc, is := src.(Incremental); is && x.loaded {
		delta, ok = inc.Since(prev)
	}
	if !ok {
		snap := src.Snapshot()
		if !snap.Loaded || (x.loaded && snap.At.Compare(prev) <= 0) {
			return prev, nil
		}
		delta = x.diff(snap)
	}
	if ok && delta.At.Compare(prev) <= 0 {
		return prev, nil
	}
	return delta.At, x.apply(delta)
}

// diff says what leads from the index to the snapshot.
func (x *index) diff(snap Snapshot) Changes {
	delta := Changes{At: snap.At}
	seen := make(map[Key]struct{}, len(snap.Deployments))
	for _, d := range snap.Deployments {
		seen[d.Key] = struct{}{}
		if e := x.items[d.Key]; e == nil || e.deployment.GetRevision() != d.Revision {
			delta.Changed = append(delta.Changed, d)
		}
	}
	for key := range x.items {
		if _, ok := seen[key]; !ok {
			delta.Removed = append(delta.Removed, key)
		}
	}
	for key := range x.refused {
		if _, ok := seen[key]; !ok {
			delta.Removed = append(delta.Removed, key)
		}
	}
	return delta
}

func (x *index) apply(delta Changes) map[wire.Stream]*streamChanges {
	slices.SortFunc(delta.Changed, func(a, b Deployment) int { return cmp.Compare(a.Revision, b.Revision) })
	made := make([]*entry, len(delta.Changed))
	errs := make([]error, len(delta.Changed))
	for i, d := range delta.Changed { // hashing is done before the lock is taken
		made[i], errs[i] = newEntry(d, delta.At)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	out := map[wire.Stream]*streamChanges{}
	for _, key := range delta.Removed {
		x.remove(key, nil, delta.At, out)
		delete(x.refused, key)
	}
	for i, e := range made {
		key := delta.Changed[i].Key
		delete(x.refused, key)
		if errs[i] != nil { // out of the streams, not left at what it was: each node must come to the same digest
			x.remove(key, nil, delta.At, out)
			x.refused[key] = errs[i]
			continue
		}
		x.put(e, delta.At, out)
	}
	if !x.loaded || delta.At.Epoch != x.at.Epoch {
		x.base, x.floor, x.removals = delta.At, delta.At, nil
	}
	x.stamp(delta.At, out)
	x.trim()
	x.at, x.loaded = delta.At, true
	close(x.moved)
	x.moved = make(chan struct{})
	return out
}

// stamp notes which streams changed in this step, and since when they had not. A stream that changes seldom, while others
// change often, then leads on for a worker from where it was last heard of: no gap is seen where nothing was missed. The
// lock is held.
func (x *index) stamp(at wire.At, out map[wire.Stream]*streamChanges) {
	for name, c := range out {
		s := x.streams[name]
		c.prev = s.changed
		if s.changed.Epoch != at.Epoch || s.changed.Before(x.base) {
			c.prev = x.at // what was between is not known here
		}
		s.changed = at
	}
}

func newEntry(d Deployment, at wire.At) (*entry, error) {
	e := &entry{
		key:        d.Key,
		deployment: &wire.Deployment{ApiId: d.ID, Revision: d.Revision, Tags: d.Tags, Definition: d.Definition},
		streams:    wire.StreamsOf(d.Item, d.Tags),
		since:      at,
	}
	if err := wire.CheckDeployment(e.deployment); err != nil {
		return nil, err
	}
	e.definition = wire.HashDefinition(d.Definition)
	e.hash = wire.HashEntry(d.ID, d.Revision, e.definition)
	return e, nil
}

// put enters e in its streams and removes its predecessor from the others. The lock is held.
func (x *index) put(e *entry, at wire.At, out map[wire.Stream]*streamChanges) {
	x.remove(e.key, e, at, out)
	for _, name := range e.streams {
		s := x.streams[name]
		if s == nil {
			s = &streamState{entries: map[string]*entry{}, changed: x.base} // it was empty from there on
			x.streams[name] = s
		}
		if old := s.entries[e.key.ID]; old != nil {
			s.digest = s.digest.Sub(old.hash)
		}
		s.entries[e.key.ID] = e
		s.digest = s.digest.Add(e.hash)
		changesOf(out, name).changed = append(changesOf(out, name).changed, e)
	}
	x.items[e.key] = e
}

// remove takes what is deployed out of its streams, but for those of what follows it, if anything does. The lock is held.
func (x *index) remove(key Key, next *entry, at wire.At, out map[wire.Stream]*streamChanges) {
	old := x.items[key]
	if old == nil {
		return
	}
	var gone []wire.Stream
	for _, name := range old.streams {
		if next != nil && slices.Contains(next.streams, name) {
			continue
		}
		s := x.streams[name]
		s.digest = s.digest.Sub(old.hash)
		delete(s.entries, key.ID)
		gone = append(gone, name)
		changesOf(out, name).left = append(changesOf(out, name).left, departure{id: key.ID, now: next})
	}
	if len(gone) > 0 {
		x.removals = append(x.removals, removal{key: key, streams: gone, at: at})
	}
	if next == nil {
		delete(x.items, key)
	}
}

// trim forgets the oldest tombstones. The lock is held.
func (x *index) trim() {
	if over := len(x.removals) - maxRemovals; over > 0 {
		x.floor = x.removals[over-1].at
		x.removals = slices.Clone(x.removals[over:])
	}
}

func changesOf(out map[wire.Stream]*streamChanges, name wire.Stream) *streamChanges {
	c := out[name]
	if c == nil {
		c = &streamChanges{}
		out[name] = c
	}
	return c
}

// position is where the index is, and whether it has loaded.
func (x *index) position() (wire.At, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.at, x.loaded
}

// summary is a stream's position, digest and size. A stream that nothing belongs to is empty, not unknown.
func (x *index) summary(name wire.Stream) (wire.At, wire.Digest, int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.streams[name]
	if s == nil {
		return x.at, wire.Digest{}, 0
	}
	return x.at, s.digest, len(s.entries)
}

// names lists the streams.
func (x *index) names() []wire.Stream {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make([]wire.Stream, 0, len(x.streams))
	for name := range x.streams {
		out = append(out, name)
	}
	return out
}

// content is a part of a stream at one position.
type content struct {
	at      wire.At
	digest  wire.Digest
	entries []*entry // in revision order
	left    []departure
}

// full is all of a stream.
func (x *index) full(name wire.Stream) content {
	x.mu.RLock()
	c := content{at: x.at}
	if s := x.streams[name]; s != nil {
		c.digest = s.digest
		c.entries = make([]*entry, 0, len(s.entries))
		for _, e := range s.entries {
			c.entries = append(c.entries, e)
		}
	}
	x.mu.RUnlock()
	byRevision(c.entries)
	return c
}

// since is what a worker at have lacks, and the deployments that it wants besides; false when have is before
// everything that the index remembers.
func (x *index) since(name wire.Stream, have wire.At, want []string) (content, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := content{at: x.at}
	if !x.loaded || have.Before(x.floor) {
		return c, false
	}
	wanted := make(map[string]struct{}, len(want))
	for _, id := range want {
		wanted[id] = struct{}{}
	}
	if s := x.streams[name]; s != nil {
		c.digest = s.digest
		for id, e := range s.entries {
			if _, ok := wanted[id]; ok || have.Before(e.since) {
				c.entries = append(c.entries, e)
			}
		}
	}
	byRevision(c.entries)
	for _, r := range slices.Backward(x.removals) {
		if !have.Before(r.at) {
			break
		}
		if slices.Contains(r.streams, name) && !x.member(name, r.key.ID) {
			c.left = append(c.left, departure{id: r.key.ID, now: x.items[r.key]})
		}
	}
	return c, true
}

// member tells whether an id is in the stream. A lock is held.
func (x *index) member(name wire.Stream, id string) bool {
	s := x.streams[name]
	return s != nil && s.entries[id] != nil
}

func byRevision(es []*entry) {
	slices.SortFunc(es, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.deployment.GetRevision(), b.deployment.GetRevision()),
			cmp.Compare(a.deployment.GetApiId(), b.deployment.GetApiId()))
	})
}
