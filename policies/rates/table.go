package rates

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Times of the exchange.
const (
	// Interval is how often counts are told that are in no hurry.
	Interval = 100 * time.Millisecond
	// MinGap is the shortest time between two messages of a worker.
	MinGap = 2 * time.Millisecond
	// hurry is which part of a limit all workers together may have counted and not told.
	hurry = 20
)

// Bounds of a table.
const (
	shards    = 16
	maxShard  = 1 << 16 // windows of a shard: a million in all, of about 200 bytes each
	maxShares = 256     // shares of other runs in one window
)

// Share is what one run of a worker counted in one window. Shares are absolute: the latest of a run replaces the one before.
type Share struct {
	Key   Key
	Reset int64 // the end of the window, in Unix milliseconds
	Calls int64
	// Origin is the run and Seq numbers what it told, so that what is old or comes twice is seen.
	Origin, Seq uint64
}

// Table counts in memory. Its zero value counts exactly for one worker; with the shares of others (Merge) it counts for all of
// them, and tells its own (Changed).
type Table struct {
	// Hurry is called when a share should be told to the others at once; nil: there are none. It must not block. Set
	// before the first call.
	Hurry func()

	workers atomic.Int64 // how many share the limits; 0 counts as 1
	shards  [shards]shard
}

type shard struct {
	mu sync.Mutex
	// guards the following
	windows map[Key]*window
	changed []Key // those with changed set
}

// window is one counter's current window, as one worker knows it.
type window struct {
	reset   int64 // Unix milliseconds
	own     int64
	told    int64 // of own
	changed bool  // own or reset is not told
	others  []Share
}

// SetWorkers says how many workers share the limits.
func (t *Table) SetWorkers(n int) { t.workers.Store(int64(n)) }

// Hit implements Counters. Its error is ErrFull or nil.
func (t *Table) Hit(_ context.Context, c Call) (Count, error) {
	now := time.Now()
	s := t.shard(c.Key)
	s.mu.Lock()
	w := s.windows[c.Key]
	if w == nil {
		if w = s.add(c.Key, now.UnixMilli()); w == nil {
			s.mu.Unlock()
			return Count{}, ErrFull
		}
	}
	if w.reset <= now.UnixMilli() {
		w.begin(now, c.Period)
	}
	w.own++
	total := w.total(now.UnixMilli())
	if t.Hurry != nil {
		s.touch(c.Key, w)
	}
	out := Count{Calls: total, Reset: time.UnixMilli(w.reset)}
	urgent := t.Hurry != nil && !c.Lazy && total <= c.Limit && w.own-w.told >= t.quantum(c.Limit)
	if urgent {
		w.told = w.own // said once: the next message has it
	}
	s.mu.Unlock()
	if urgent {
		t.Hurry()
	}
	return out, nil
}

// quantum is how many calls a worker counts before it tells so at once.
func (t *Table) quantum(limit int64) int64 {
	return max(1, limit/(hurry*max(1, t.workers.Load())))
}

// begin opens the next window: that of another worker which has begun it, else one of its own.
func (w *window) begin(now time.Time, p Period) {
	w.own, w.told = 0, 0
	w.forget(now.UnixMilli())
	w.reset = 0
	for i := range w.others {
		if w.reset == 0 || w.others[i].Reset < w.reset {
			w.reset = w.others[i].Reset
		}
	}
	if w.reset == 0 {
		w.reset = max(p.After(now).UnixMilli(), now.UnixMilli()+1)
	}
}

// forget drops the shares of windows that are over.
func (w *window) forget(now int64) {
	kept := w.others[:0]
	for _, o := range w.others {
		if o.Reset > now {
			kept = append(kept, o)
		}
	}
	w.others = kept
}

func (w *window) total(now int64) int64 {
	n := w.own
	for i := range w.others {
		if w.others[i].Reset > now {
			n += w.others[i].Calls
		}
	}
	return n
}

func (t *Table) shard(k Key) *shard { return &t.shards[k[0]%shards] }

// add makes a window. Each time a few others are looked at and dropped where they are over, so that nobody has to sweep; a full
// shard is swept whole. nil: it is full.
func (s *shard) add(k Key, now int64) *window {
	if s.windows == nil {
		s.windows = map[Key]*window{}
	}
	looked := 0
	for other, w := range s.windows {
		if looked++; looked > 4 && len(s.windows) < maxShard {
			break
		}
		if w.over(now) && !w.changed {
			delete(s.windows, other)
		}
	}
	if len(s.windows) >= maxShard {
		return nil
	}
	w := &window{}
	s.windows[k] = w
	return w
}

// over tells whether nothing of a window counts any more.
func (w *window) over(now int64) bool {
	if w.reset > now {
		return false
	}
	for i := range w.others {
		if w.others[i].Reset > now {
			return false
		}
	}
	return true
}

func (s *shard) touch(k Key, w *window) {
	if !w.changed {
		w.changed = true
		s.changed = append(s.changed, k)
	}
}

// Merge takes shares of other runs in; own names the run of this table, whose shares are passed over. What is older than
// what is known of a run changes nothing. It returns how many did not fit.
//
// Windows that began on several workers before they heard of each other become one: the first to end.
func (t *Table) Merge(own uint64, shares []Share) (refused int) {
	now := time.Now().UnixMilli()
	hurry := false
	for _, in := range shares {
		if in.Origin == own || in.Reset <= now || in.Calls < 0 {
			continue
		}
		s := t.shard(in.Key)
		s.mu.Lock()
		w := s.windows[in.Key]
		if w == nil {
			w = s.add(in.Key, now)
		}
		switch {
		case w == nil || !w.take(in, now):
			refused++
		case w.reset > in.Reset:
			w.end(in.Reset)
			s.touch(in.Key, w)
			hurry = true
		case w.reset > now:
			w.end(w.reset)
		}
		s.mu.Unlock()
	}
	if hurry && t.Hurry != nil {
		t.Hurry()
	}
	return refused
}

// end has the window and all its shares end at reset: those that began a little later are of the same window, and must not
// outlive it as the next one's.
func (w *window) end(reset int64) {
	w.reset = reset
	for i := range w.others {
		w.others[i].Reset = min(w.others[i].Reset, reset)
	}
}

// take keeps a share; false: there is no room.
func (w *window) take(in Share, now int64) bool {
	for i := range w.others {
		if o := &w.others[i]; o.Origin == in.Origin {
			if in.Seq > o.Seq {
				*o = in
			}
			return true
		}
	}
	if len(w.others) >= maxShares {
		if w.forget(now); len(w.others) >= maxShares {
			return false
		}
	}
	w.others = append(w.others, in)
	return true
}

// Changed appends the shares of this run that changed since the last call, at most most, and forgets that they did. more:
// there are others.
func (t *Table) Changed(dst []Share, most int) (out []Share, more bool) {
	now := time.Now().UnixMilli()
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n := 0
		for _, k := range s.changed {
			if len(dst) == most {
				break
			}
			n++
			w := s.windows[k]
			w.changed = false
			w.told = w.own
			if w.reset > now {
				dst = append(dst, Share{Key: k, Reset: w.reset, Calls: w.own})
			}
		}
		s.changed = append(s.changed[:0], s.changed[n:]...)
		more = more || len(s.changed) > 0
		s.mu.Unlock()
	}
	return dst, more
}

// Each calls with shares of windows that are not over: those of this run, which have no Origin, and those of runs that
// lost tells of. It stops when with returns false. Nothing else is held up for longer than one part of the table takes.
func (t *Table) Each(lost func(origin uint64) bool, with func(Share) bool) {
	var found []Share
	for i := range t.shards {
		found = t.shards[i].shares(found[:0], lost)
		for _, f := range found {
			if !with(f) {
				return
			}
		}
	}
}

func (s *shard) shares(dst []Share, lost func(uint64) bool) []Share {
	now := time.Now().UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, w := range s.windows {
		if w.reset > now && w.own > 0 {
			dst = append(dst, Share{Key: k, Reset: w.reset, Calls: w.own})
		}
		for _, o := range w.others {
			if o.Reset > now && lost(o.Origin) {
				dst = append(dst, o)
			}
		}
	}
	return dst
}

// Calls returns how many calls of a key are known of, in the window that is under way.
func (t *Table) Calls(k Key) int64 {
	now := time.Now().UnixMilli()
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[k]
	if w == nil {
		return 0
	}
	n := w.total(now)
	if w.reset <= now {
		n -= w.own
	}
	return n
}

// Len returns how many windows are kept.
func (t *Table) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.windows)
		s.mu.Unlock()
	}
	return n
}

// Text is the key for people and for other stores.
func (k Key) Text() string {
	const digits = "0123456789abcdef"
	var out [2 * len(k)]byte
	for i, b := range k {
		out[2*i], out[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(out[:])
}

var _ Counters = (*Table)(nil)
