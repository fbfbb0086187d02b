package push

import (
	"cmp"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// maxRemovals bounds the tombstones that are remembered; a worker that is further behind gets a manifest instead of
// a delta. 4,096 of them are under 1 MiB.
const maxRemovals = 4_096

// entry is one deployment in the index. It is immutable.
type entry struct {
	deployment *wire.Deployment
	definition wire.Digest
	hash       wire.Digest
	streams    []wire.Stream
	since      wire.At // where this index first saw it: at or after its revision
}

// removal is the tombstone of an API in some streams.
type removal struct {
	apiID   string
	streams []wire.Stream
	at      wire.At // where this index first saw it: at or after the change
}

// streamState is one stream's members and their digest.
type streamState struct {
	entries map[string]*entry
	digest  wire.Digest
}

// streamChanges is what one step of the index did to a stream.
type streamChanges struct {
	changed []*entry
	removed []string
}

// index is the deployments by stream, with digests, kept as the source moves on. One goroutine calls advance; any
// may read.
type index struct {
	mu sync.RWMutex
	// guards the following
	at       wire.At
	floor    wire.At // changes after it are all known
	loaded   bool
	apis     map[string]*entry
	streams  map[wire.Stream]*streamState
	removals []removal        // oldest first
	refused  map[string]error // deployments that cannot be sent
	moved    chan struct{}    // closed at the next advance
}

func newIndex() *index {
	return &index{
		apis:    map[string]*entry{},
		streams: map[wire.Stream]*streamState{},
		refused: map[string]error{},
		moved:   make(chan struct{}),
	}
}

// advance takes the source's news in and returns what changed in each stream, and where they stood before.
func (x *index) advance(src Source) (prev, at wire.At, changes map[wire.Stream]*streamChanges) {
	// Only this goroutine writes, so reading without the lock is safe here.
	prev = x.at
	delta, ok := Changes{}, false
	if inc, is := src.(Incremental); is && x.loaded {
		delta, ok = inc.Since(prev)
	}
	if !ok {
		snap := src.Snapshot()
		if !snap.Loaded || (x.loaded && snap.At.Compare(prev) <= 0) {
			return prev, prev, nil
		}
		delta = x.diff(snap)
	}
	if ok && delta.At.Compare(prev) <= 0 {
		return prev, prev, nil
	}
	return prev, delta.At, x.apply(delta)
}

// diff says what leads from the index to the snapshot.
func (x *index) diff(snap Snapshot) Changes {
	delta := Changes{At: snap.At}
	seen := make(map[string]struct{}, len(snap.Deployments))
	for _, d := range snap.Deployments {
		seen[d.APIID] = struct{}{}
		if e := x.apis[d.APIID]; e == nil || e.deployment.GetRevision() != d.Revision {
			delta.Changed = append(delta.Changed, d)
		}
	}
	for id := range x.apis {
		if _, ok := seen[id]; !ok {
			delta.Removed = append(delta.Removed, id)
		}
	}
	for id := range x.refused {
		if _, ok := seen[id]; !ok {
			delta.Removed = append(delta.Removed, id)
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
	for _, id := range delta.Removed {
		x.remove(id, nil, delta.At, out)
		delete(x.refused, id)
	}
	for i, e := range made {
		id := delta.Changed[i].APIID
		delete(x.refused, id)
		if errs[i] != nil { // out of the streams, not left at what it was: each node must come to the same digest
			x.remove(id, nil, delta.At, out)
			x.refused[id] = errs[i]
			continue
		}
		x.put(e, delta.At, out)
	}
	if !x.loaded || delta.At.Epoch != x.at.Epoch {
		x.floor, x.removals = delta.At, nil
	}
	x.trim()
	x.at, x.loaded = delta.At, true
	close(x.moved)
	x.moved = make(chan struct{})
	return out
}

func newEntry(d Deployment, at wire.At) (*entry, error) {
	e := &entry{
		deployment: &wire.Deployment{ApiId: d.APIID, Revision: d.Revision, Tags: d.Tags, Definition: d.Definition},
		streams:    wire.StreamsOf(d.Tags),
		since:      at,
	}
	if err := wire.CheckDeployment(e.deployment); err != nil {
		return nil, err
	}
	e.definition = wire.HashDefinition(d.Definition)
	e.hash = wire.HashEntry(d.APIID, d.Revision, e.definition)
	return e, nil
}

// put enters e in its streams and removes its predecessor from the others. The lock is held.
func (x *index) put(e *entry, at wire.At, out map[wire.Stream]*streamChanges) {
	id := e.deployment.GetApiId()
	x.remove(id, e.streams, at, out)
	for _, name := range e.streams {
		s := x.streams[name]
		if s == nil {
			s = &streamState{entries: map[string]*entry{}}
			x.streams[name] = s
		}
		if old := s.entries[id]; old != nil {
			s.digest = s.digest.Sub(old.hash)
		}
		s.entries[id] = e
		s.digest = s.digest.Add(e.hash)
		changesOf(out, name).changed = append(changesOf(out, name).changed, e)
	}
	x.apis[id] = e
}

// remove takes the API out of its streams, but for those to keep. The lock is held.
func (x *index) remove(id string, keep []wire.Stream, at wire.At, out map[wire.Stream]*streamChanges) {
	old := x.apis[id]
	if old == nil {
		return
	}
	var gone []wire.Stream
	for _, name := range old.streams {
		if slices.Contains(keep, name) {
			continue
		}
		s := x.streams[name]
		s.digest = s.digest.Sub(old.hash)
		delete(s.entries, id)
		gone = append(gone, name)
		changesOf(out, name).removed = append(changesOf(out, name).removed, id)
	}
	if len(gone) > 0 {
		x.removals = append(x.removals, removal{apiID: id, streams: gone, at: at})
	}
	if len(keep) == 0 {
		delete(x.apis, id)
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

// summary is a stream's position, digest and size. A stream that no API belongs to is empty, not unknown.
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
	removed []string
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
		if slices.Contains(r.streams, name) && !x.member(name, r.apiID) {
			c.removed = append(c.removed, r.apiID)
		}
	}
	return c, true
}

// member tells whether the API is in the stream. A lock is held.
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
