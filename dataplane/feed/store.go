package feed

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// key names what streams bring: a subscription may have the id of an API.
type key struct {
	item wire.Item
	id   string
}

// held is one deployment as a stream brought it. It is immutable.
type held struct {
	deployment *wire.Deployment
	definition wire.Digest
	hash       wire.Digest
	at         wire.At // its revision, in the epoch that brought it
}

func newHeld(d *wire.Deployment, epoch uint64) *held {
	def := wire.HashDefinition(d.GetDefinition())
	return &held{
		deployment: d, definition: def, hash: wire.HashEntry(d.GetApiId(), d.GetRevision(), def),
		at: wire.At{Epoch: epoch, Revision: d.GetRevision()},
	}
}

// state is one stream's deployments. Its follower alone writes it, under the store's lock.
type state struct {
	item     wire.Item
	at       wire.At
	digest   wire.Digest
	entries  map[string]*held
	complete bool // a first snapshot is in
}

// store is what all streams brought, and which APIs and subscriptions the sink has not seen since.
//
// A worker with several tags follows several streams, which need not be at the same position. An API never goes back
// for that: what a stream holds that is behind is not believed against one that is ahead (gone), and an API that left
// one stream is served as it was until the others are as far (due). Subscriptions are kept so in their own streams.
type store struct {
	selector wire.Selector
	news     chan struct{} // one value: something was committed

	mu sync.Mutex
	// guards the following
	streams map[wire.Stream]*state
	dirty   map[key]struct{}
	gone    map[key]wire.At // not deployed for this worker at this position
	apis    int             // what take has given out and not taken back
	due     map[key]wire.At // left a stream; to be looked for in all streams of the item up to this position
}

func newStore(sel wire.Selector) *store {
	s := &store{
		selector: sel, news: make(chan struct{}, 1), streams: map[wire.Stream]*state{},
		dirty: map[key]struct{}{}, gone: map[key]wire.At{}, due: map[key]wire.At{},
	}
	for _, name := range sel.Streams() {
		s.streams[name] = &state{item: name.Item(), entries: map[string]*held{}}
	}
	return s
}

// commit takes a change of the stream in.
func (s *store) commit(st *state, c *change, at wire.At) {
	s.mu.Lock()
	if c.replaces {
		s.replace(st, c, at)
	} else {
		for id, h := range c.overlay {
			s.dirty[key{st.item, id}] = struct{}{}
			if h == nil {
				delete(st.entries, id)
			} else {
				st.entries[id] = h
			}
		}
	}
	for id, to := range c.left {
		k := key{st.item, id}
		s.dirty[k] = struct{}{}
		switch {
		case to == nil:
			s.gone[k] = at
		case s.selector.Match(to.GetTags()):
			s.due[k] = wire.At{Epoch: at.Epoch, Revision: to.GetRevision()}
		default:
			s.gone[k] = wire.At{Epoch: at.Epoch, Revision: to.GetRevision()}
		}
	}
	st.at, st.digest, st.complete = at, c.digest, true
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default: // told already
	}
}

// replace puts a whole new set in the place of the stream's. The lock is held.
func (s *store) replace(st *state, c *change, at wire.At) {
	for id := range st.entries {
		if c.overlay[id] == nil {
			s.dirty[key{st.item, id}], s.due[key{st.item, id}] = struct{}{}, at
		}
	}
	for id, h := range c.overlay {
		if old := st.entries[id]; old == nil || old.hash != h.hash {
			s.dirty[key{st.item, id}] = struct{}{}
		}
	}
	st.entries = c.overlay
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
func (s *store) take(have map[key]*held, first bool) (batch, bool) {
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
	for k := range s.dirty {
		h, old := s.best(k), have[k]
		if s.deferred(k, h, old) {
			continue
		}
		delete(s.dirty, k)
		delete(s.due, k)
		switch {
		case h == nil && old == nil:
		case h == nil:
			delete(have, k)
			s.apis -= count(k)
			b.update.remove(k)
		case old == nil || old.hash != h.hash:
			have[k] = h
			if old == nil {
				s.apis += count(k)
			}
			b.update.change(k, h.deployment)
		}
	}
	maps.DeleteFunc(s.gone, func(k key, at wire.At) bool { return !s.behind(k.item, at) })
	b.update.sort()
	b.total = s.apis
	return b, true
}

// count is 1 for an API, which is counted, and 0 for others.
func count(k key) int {
	if k.item == wire.ItemAPI {
		return 1
	}
	return 0
}

func (u *Update) remove(k key) {
	if k.item == wire.ItemSubscription {
		u.RemovedSubscriptions = append(u.RemovedSubscriptions, k.id)
	} else {
		u.Removed = append(u.Removed, k.id)
	}
}

func (u *Update) change(k key, d *wire.Deployment) {
	if k.item == wire.ItemSubscription {
		u.Subscriptions = append(u.Subscriptions, SubscriptionChange{
			ID: k.id, Revision: d.GetRevision(), Tags: d.GetTags(), Definition: d.GetDefinition(),
		})
		return
	}
	u.Changed = append(u.Changed, Deployment{
		APIID: k.id, Revision: d.GetRevision(), Tags: d.GetTags(), Definition: d.GetDefinition(),
	})
}

// sort puts changes into revision order.
func (u *Update) sort() {
	slices.Sort(u.Removed)
	slices.Sort(u.RemovedSubscriptions)
	slices.SortFunc(u.Changed, func(x, y Deployment) int {
		return cmp.Or(cmp.Compare(x.Revision, y.Revision), cmp.Compare(x.APIID, y.APIID))
	})
	slices.SortFunc(u.Subscriptions, func(x, y SubscriptionChange) int {
		return cmp.Or(cmp.Compare(x.Revision, y.Revision), cmp.Compare(x.ID, y.ID))
	})
}

// best is the newest that a stream has of an API or subscription, nil when none has it or the tags exclude it. The lock is
// held.
func (s *store) best(k key) *held {
	var out *held
	for _, st := range s.streams {
		if st.item != k.item {
			continue
		}
		h := st.entries[k.id]
		if h == nil || st.at.Before(s.gone[k]) {
			continue
		}
		if out == nil || out.at.Before(h.at) {
			out = h
		}
	}
	if out != nil && s.selector.Excludes(out.deployment.GetTags()) {
		return nil
	}
	return out
}

// deferred tells whether what is served, old, is to stay although the streams now say h: because a stream that is
// behind may yet say better. The lock is held.
func (s *store) deferred(k key, h, old *held) bool {
	if old == nil {
		return false
	}
	until := s.due[k]
	if h != nil {
		until = later(until, old.at)
		if !h.at.Before(until) {
			return false
		}
	}
	return s.behind(k.item, until)
}

// behind tells whether a stream of the item has not reached the position. The lock is held.
func (s *store) behind(item wire.Item, at wire.At) bool {
	for _, st := range s.streams {
		if st.item == item && st.at.Before(at) {
			return true
		}
	}
	return false
}

// change is a step of a stream that is being put together; nothing of it is seen before it is committed.
type change struct {
	base     map[string]*held       // nil when it replaces
	overlay  map[string]*held       // nil value: removed
	left     map[string]*wire.Moved // tombstones; nil value: not deployed anywhere
	digest   wire.Digest
	epoch    uint64
	replaces bool
}

func changeOf(st *state, to wire.At) *change {
	return &change{
		base: st.entries, overlay: map[string]*held{}, left: map[string]*wire.Moved{}, digest: st.digest, epoch: to.Epoch,
	}
}

func replacement(to wire.At) *change {
	return &change{overlay: map[string]*held{}, left: map[string]*wire.Moved{}, epoch: to.Epoch, replaces: true}
}

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
	delete(c.left, id)
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
		c.put(newHeld(p.Changed, c.epoch))
	case *wire.Record_Removed:
		c.remove(p.Removed)
		c.left[p.Removed] = nil
	case *wire.Record_Moved:
		c.remove(p.Moved.GetApiId())
		c.left[p.Moved.GetApiId()] = p.Moved
	default:
		return wire.ErrMalformed
	}
	return nil
}
