package feed

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// held is one deployment as a stream brought it. It is immutable.
type held struct {
	deployment *wire.Deployment
	definition wire.Digest
	hash       wire.Digest
}

func newHeld(d *wire.Deployment) *held {
	def := wire.HashDefinition(d.GetDefinition())
	return &held{deployment: d, definition: def, hash: wire.HashEntry(d.GetApiId(), d.GetRevision(), def)}
}

// state is one stream's deployments. Its follower alone writes it, under the store's lock.
type state struct {
	at       wire.At
	digest   wire.Digest
	entries  map[string]*held
	complete bool // a first snapshot is in
}

// store is what all streams brought, and which APIs the sink has not seen since.
type store struct {
	selector wire.Selector
	news     chan struct{} // one value: something was committed

	mu sync.Mutex
	// guards the following
	streams map[wire.Stream]*state
	dirty   map[string]struct{}
}

func newStore(sel wire.Selector) *store {
	s := &store{
		selector: sel, news: make(chan struct{}, 1), streams: map[wire.Stream]*state{}, dirty: map[string]struct{}{},
	}
	for _, name := range sel.Streams() {
		s.streams[name] = &state{entries: map[string]*held{}}
	}
	return s
}

// commit takes a change of the stream in.
func (s *store) commit(st *state, c *change, at wire.At) {
	s.mu.Lock()
	if c.replaces {
		for id := range st.entries {
			if c.overlay[id] == nil {
				s.dirty[id] = struct{}{}
			}
		}
		for id, h := range c.overlay {
			if old := st.entries[id]; old == nil || old.hash != h.hash {
				s.dirty[id] = struct{}{}
			}
		}
		st.entries = c.overlay
	} else {
		for id, h := range c.overlay {
			s.dirty[id] = struct{}{}
			if h == nil {
				delete(st.entries, id)
			} else {
				st.entries[id] = h
			}
		}
	}
	st.at, st.digest, st.complete = at, c.digest, true
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default: // told already
	}
}

// progress is how far a stream was when an update was taken.
type progress struct {
	stream wire.Stream
	at     wire.At
	digest wire.Digest
	apis   int
}

// batch is an update and the progress that its application stands for.
type batch struct {
	update   Update
	progress []progress
	total    int // APIs that are to be served then
}

// take returns what the sink lacks, given what it has, or false before every stream has its first snapshot. have is
// brought up to date.
func (s *store) take(have map[string]*held, first bool) (batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b batch
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		st := s.streams[name]
		if !st.complete {
			return batch{}, false
		}
		b.progress = append(b.progress, progress{stream: name, at: st.at, digest: st.digest, apis: len(st.entries)})
		b.update.Revision = max(b.update.Revision, st.at.Revision)
	}
	b.update.Full = first
	for id := range s.dirty {
		h, old := s.best(id), have[id]
		switch {
		case h == nil && old == nil:
		case h == nil:
			delete(have, id)
			b.update.Removed = append(b.update.Removed, id)
		case old == nil || old.hash != h.hash:
			have[id] = h
			d := h.deployment
			b.update.Changed = append(b.update.Changed, Deployment{
				APIID: id, Revision: d.GetRevision(), Tags: d.GetTags(), Definition: d.GetDefinition(),
			})
		}
	}
	clear(s.dirty)
	slices.Sort(b.update.Removed)
	slices.SortFunc(b.update.Changed, func(x, y Deployment) int {
		return cmp.Or(cmp.Compare(x.Revision, y.Revision), cmp.Compare(x.APIID, y.APIID))
	})
	b.total = len(have)
	return b, true
}

// best is the newest that a stream has of the API, nil when none has it or the tags exclude it. The lock is held.
func (s *store) best(id string) *held {
	var out *held
	for _, st := range s.streams {
		h := st.entries[id]
		if h != nil && (out == nil || h.deployment.GetRevision() > out.deployment.GetRevision()) {
			out = h
		}
	}
	if out != nil && s.selector.Excludes(out.deployment.GetTags()) {
		return nil
	}
	return out
}

// change is a step of a stream that is being put together; nothing of it is seen before it is committed.
type change struct {
	base     map[string]*held // nil when it replaces
	overlay  map[string]*held // nil value: removed
	digest   wire.Digest
	replaces bool
}

func changeOf(st *state) *change {
	return &change{base: st.entries, overlay: map[string]*held{}, digest: st.digest}
}

func replacement() *change { return &change{overlay: map[string]*held{}, replaces: true} }

func (c *change) get(id string) *held {
	if h, ok := c.overlay[id]; ok {
		return h
	}
	return c.base[id]
}

func (c *change) put(h *held) {
	id := h.deployment.GetApiId()
	if old := c.get(id); old != nil {
		c.digest = c.digest.Sub(old.hash)
	}
	c.digest = c.digest.Add(h.hash)
	c.overlay[id] = h
}

func (c *change) remove(id string) {
	old := c.get(id)
	if old == nil {
		return
	}
	c.digest = c.digest.Sub(old.hash)
	if c.replaces {
		delete(c.overlay, id)
	} else {
		c.overlay[id] = nil
	}
}

// record takes one record of a push or of a body of deployments.
func (c *change) record(r *wire.Record) error {
	switch p := r.GetPiece().(type) {
	case *wire.Record_Changed:
		c.put(newHeld(p.Changed))
	case *wire.Record_Removed:
		c.remove(p.Removed)
	default:
		return wire.ErrMalformed
	}
	return nil
}
