package kafka

import "sync/atomic"

// ring is the chain of recent messages that all subscribers at the live end share. Its writer is the reader's fetch
// goroutine; it forgets the oldest batches once they exceed the bound in bytes.
type ring struct {
	chain
	src   notifier
	limit int64
	stats *stats

	oldest atomic.Pointer[batch]
	newest atomic.Pointer[batch]
	floor  atomic.Pointer[batch] // the first after positions last went back
	bytes  atomic.Int64          // of the batches that are complete, and of what readers share of all
}

// batchShare is the part of the ring that one batch may fill, so that forgetting one forgets little.
const batchShare = 64

func (r *ring) init(e *Endpoint, lay *layout, vec vector) {
	r.limit = int64(e.limits.RingBytes)
	r.stats = &e.stats
	r.chain = chain{origin: e.origin, lay: lay, vec: vec, src: &r.src, strip: e.set.stripMagic, encode: e.set.encodeID,
		capBytes: max(e.limits.RingBytes/batchShare, 16<<10), sealed: r.account, grew: r.add64}
	r.oldest.Store(r.begin())
	r.newest.Store(r.tail)
	r.floor.Store(r.tail)
}

// account takes a complete batch into the ring's size and forgets what is too much.
func (r *ring) account(b *batch) {
	r.newest.Store(r.tail)
	r.add64(int64(b.size))
	for r.bytes.Load() > r.limit {
		old := r.oldest.Load()
		if old == r.tail {
			return
		}
		r.forget(old)
	}
}

func (r *ring) forget(old *batch) {
	r.oldest.Store(old.next.Load())
	old.drop()
	r.add64(-int64(old.size) - old.shared.Close())
}

func (r *ring) add64(n int64) {
	r.bytes.Add(n)
	r.stats.ringBytes.Add(n)
}

// wentBack begins a new epoch after the gap that tells of it: positions of before compare with none from here on.
func (r *ring) wentBack() {
	r.epoch++
	r.grow(r.room)
	r.floor.Store(r.tail)
}

// since is the first batch of this epoch that is still there.
func (r *ring) since() *batch {
	if floor := r.floor.Load(); floor.data.Load() != nil {
		return floor
	}
	return r.oldest.Load()
}

// translate makes a position of an earlier epoch one of this: where the log went back behind it, it follows. It tells
// whether there was anything to do.
func (r *ring) translate(v vector, epoch int64) (vector, bool) {
	floor := r.floor.Load()
	if floor.epoch == epoch {
		return v, false
	}
	return v.atMost(floor.base), true
}

// clear gives the ring's bytes back to the statistics.
func (r *ring) clear() { r.stats.ringBytes.Add(-r.bytes.Load()) }

// roomy tells whether the oldest batch is not about to be forgotten.
func (r *ring) roomy() bool { return r.bytes.Load() < r.limit/4*3 }

// join finds the last batch that begins at or before v everywhere: from there on the ring has everything that v lacks, and
// perhaps some that v has, for the subscriber to skip. It returns nil where the ring does not reach back so far, where the
// place would be forgotten at once, or where the messages there lack the ids that the subscriber needs.
func (r *ring) join(v vector, ids bool) *batch {
	oldest := r.since()
	if oldest.data.Load() == nil || !v.reaches(oldest.base) {
		return nil
	}
	at := oldest
	for {
		next := at.next.Load()
		if next == dropped {
			return nil // forgotten while we looked
		}
		if next == nil || !v.reaches(next.base) {
			break
		}
		at = next
	}
	if ids && !at.ids {
		return nil
	}
	if middle := (oldest.first + r.newest.Load().first) / 2; at.first < middle && !r.roomy() {
		return nil
	}
	return at
}

// covers tells whether v lies between what the ring has first and what it has last.
func (r *ring) covers(v vector) bool {
	newest := r.newest.Load()
	return r.join(v, false) != nil && newest.vectorAt(nil, newest.n.Load()).reaches(v)
}

// jump is where a subscriber that was overtaken goes on under none: the middle, so that it is not overtaken at once.
func (r *ring) jump() *batch {
	at := r.oldest.Load()
	middle := (at.first + r.newest.Load().first) / 2
	for at.first < middle {
		next := at.next.Load()
		if next == nil {
			break
		}
		if next == dropped {
			at = r.oldest.Load()
			continue
		}
		at = next
	}
	return at
}
