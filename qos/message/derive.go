package message

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Fate is what becomes of a message in a derived run.
type Fate uint8

// Fates.
const (
	Kept    Fate = iota
	Dropped      // not for the client, and done with: it counts as received
	Held         // not for the client, and not done with: nobody may say that it was received
)

// Transform makes of m, which is a copy that it may change by replacing what it refers to, what subscribers get. An error ends
// every subscription that comes to m.
type Transform func(m *Message) (Fate, error)

// Derived is the part of a derived run that belongs to a part of the run that it was made of.
type Derived struct {
	View         // what was kept
	Fates []Fate // of each message of the original part, in order, up to the one that Err is about
	Err   error  // nil: all of the part was made
}

// derived is a run that was made of another: what one transform keeps of it. Messages keep their positions and ids.
type derived struct {
	key  any
	next *derived

	shared Batch // what readers of the derived run share

	making sync.Mutex   // guards who appends
	done   atomic.Int32 // originals that were looked at
	// What follows is written up to done only, and has its whole capacity from the start, so that readers below done need no
	// lock.
	kept     []int32 // how many of the first i+1 originals were kept
	fates    []Fate
	messages []Message
	failures atomic.Pointer[map[int32]error] // by place of the original; nil: none
}

// Derive returns what the transform called key makes of v, each message made once for all who share v, however many. key is
// comparable and stands for the transform with all its settings; what it makes must depend on the message alone. Where nothing
// is shared, ok is false, and the caller transforms for itself.
func (v View) Derive(key any, t Transform) (out Derived, ok bool) {
	if v.Batch == nil || v.Len() == 0 {
		return out, false
	}
	d := v.Batch.derived(key, cap(v.Run))
	if d == nil {
		return out, false
	}
	if int(d.done.Load()) < v.To {
		if grown := d.make(v.Run, v.To, t); grown > 0 {
			v.Batch.account(grown)
		}
	}
	to := v.To
	if failures := d.failures.Load(); failures != nil {
		for i := v.From; i < v.To; i++ {
			if err := (*failures)[int32(i)]; err != nil {
				to, out.Err = i, err
				break
			}
		}
	}
	out.Fates = d.fates[v.From:to:to]
	first, last := d.upTo(v.From), d.upTo(to)
	out.View = View{Batch: &d.shared, Run: d.messages[:last], From: first, To: last}
	return out, true
}

// upTo is how many of the first n originals were kept.
func (d *derived) upTo(n int) int {
	if n == 0 {
		return 0
	}
	return int(d.kept[n-1])
}

// make looks at all originals before to: who asks for a part in the middle has those before it made too, since places in
// the derived run depend on them.
func (d *derived) make(run []Message, to int, t Transform) (grown int64) {
	d.making.Lock()
	defer d.making.Unlock()
	for i := int(d.done.Load()); i < to; i++ {
		n := d.upTo(i)
		slot := &d.messages[:n+1][n]
		*slot = run[i]
		fate, err := t(slot)
		if err != nil {
			fate = Held
			d.fail(int32(i), err)
		}
		if fate == Kept {
			grown += growth(&run[i], slot)
			n++
		} else {
			*slot = Message{}
		}
		d.fates[i], d.kept[i] = fate, int32(n)
		d.done.Store(int32(i + 1))
	}
	return grown
}

// fail remembers what ends subscriptions at i. Failures are rare, so the map is copied.
func (d *derived) fail(i int32, err error) {
	failures := map[int32]error{i: err}
	if old := d.failures.Load(); old != nil {
		for k, v := range *old {
			failures[k] = v
		}
	}
	d.failures.Store(&failures)
}

// growth is the memory that a derived message has beside its original's, in bytes.
func growth(from, to *Message) int64 {
	n := int64(0)
	if unsafe.SliceData(from.Content) != unsafe.SliceData(to.Content) {
		n += int64(cap(to.Content))
	}
	if unsafe.SliceData(from.Headers) != unsafe.SliceData(to.Headers) {
		for i := range to.Headers {
			n += int64(unsafe.Sizeof(Header{})) + int64(len(to.Headers[i].Name)+len(to.Headers[i].Value))
		}
	}
	return n
}

// derived finds or makes the run called key; nil: the batch is closed and has none.
func (b *Batch) derived(key any, most int) *derived {
	for d := b.runs.Load(); d != nil; d = d.next {
		if d.key == key {
			return d
		}
	}
	d, made := b.addDerived(key, most)
	if made {
		b.account(int64(most) * (int64(unsafe.Sizeof(Message{})) + int64(unsafe.Sizeof(int32(0))) + int64(unsafe.Sizeof(Fate(0)))))
	}
	return d
}

func (b *Batch) addDerived(key any, most int) (d *derived, made bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := b.runs.Load(); d != nil; d = d.next {
		if d.key == key {
			return d, false
		}
	}
	if b.closed {
		return nil, false
	}
	d = &derived{key: key, next: b.runs.Load(), kept: make([]int32, most), fates: make([]Fate, most), messages: make([]Message, 0, most)}
	d.shared.Watch(b.account)
	b.runs.Store(d)
	return d, true
}
