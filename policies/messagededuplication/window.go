package messagededuplication

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// digest is the first half of a key's SHA-256: two of a billion keys are alike with a chance of 1 to 10^20.
type digest [16]byte

// What the window knows of a key.
const (
	fresh   = iota
	pending // its message is under way
	seen
)

// perEntry is what a key costs, in bytes: the map's share and the queue's.
const perEntry = 112

// window remembers keys.
type window struct {
	policy *policy
	held   *atomic.Int64 // bytes of this window

	mu sync.Mutex
	// guards the following
	entries map[digest]*entry
	oldest  *entry // a list in the order of their time
	newest  *entry
}

type entry struct {
	digest  digest
	at      time.Time
	pending bool
	next    *entry
}

func (p *policy) newWindow() *window {
	w := &window{policy: p, held: new(atomic.Int64), entries: map[digest]*entry{}}
	// A connection's window ends with it, without anybody saying so.
	all := p.held // and not p, which leads to the window of publish
	runtime.AddCleanup(w, func(held *atomic.Int64) { all.Add(-held.Load()) }, w.held)
	return w
}

// begin tells what is known of a key, and where that is nothing remembers that its message is under way.
func (w *window) begin(d digest, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.oldest != nil && now.Sub(w.oldest.at) >= w.policy.window {
		w.forgetOldest()
	}
	if e := w.entries[d]; e != nil {
		if e.pending {
			return pending
		}
		return seen
	}
	for len(w.entries) >= w.policy.most || w.oldest != nil && w.policy.held.Load()+perEntry > w.policy.bytes {
		w.forgetOldest()
	}
	if w.policy.held.Load()+perEntry > w.policy.bytes {
		return fresh // others hold everything: this key is not remembered
	}
	e := &entry{digest: d, at: now, pending: true}
	w.entries[d] = e
	if w.newest == nil {
		w.oldest = e
	} else {
		w.newest.next = e
	}
	w.newest = e
	w.count(perEntry)
	return fresh
}

func (w *window) count(n int64) {
	w.held.Add(n)
	w.policy.held.Add(n)
}

// forgetOldest forgets the oldest entry. Its key may have been forgotten before, and remembered anew by a later entry.
func (w *window) forgetOldest() {
	e := w.oldest
	if w.oldest = e.next; w.oldest == nil {
		w.newest = nil
	}
	if w.entries[e.digest] == e {
		delete(w.entries, e.digest)
	}
	w.count(-perEntry)
}

// settle says what became of the message of a key: it counts where the message was stored, else the key is as if it had never
// been seen.
func (w *window) settle(d digest, stored bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[d]
	switch {
	case e == nil: // forgotten meanwhile
	case stored:
		e.pending = false
	default:
		delete(w.entries, d)
	}
}
