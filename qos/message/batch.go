package message

import (
	"sync"
	"sync/atomic"
)

// Batch is what subscribers of the same run of messages share beside the messages themselves: the bytes that clients of
// one form get for them, made once however many clients there are (DESIGN section 4, shared fetch). The run grows at its end
// and never changes otherwise. The zero value is ready. Methods may be called from any goroutine.
type Batch struct {
	forms atomic.Pointer[form]    // a list: there are as many as entrypoints with different settings, so few
	runs  atomic.Pointer[derived] // a list: there are as many as different chains of policies, so few

	mu sync.Mutex
	// guards the following
	bytes  int64
	grew   func(bytes int64)
	closed bool
}

// View is a part of a run of messages, as one subscriber gets it.
type View struct {
	Batch *Batch    // nil: nothing is shared
	Run   []Message // all of the run that is there so far; its capacity is all that there may ever be
	From  int       // the part begins here
	To    int       // and ends before here
}

// Alone returns the view of messages that no other subscriber gets.
func Alone(messages []Message) View { return View{Run: messages, To: len(messages)} }

// Len is how many messages v has.
func (v *View) Len() int { return v.To - v.From }

// Messages returns the messages of v.
func (v *View) Messages() []Message { return v.Run[v.From:v.To:v.To] }

// Encode appends what clients of one form get for m.
type Encode func(dst []byte, m *Message) []byte

// Take returns what clients of the form called key get for the first messages of v, as many as have size bytes together but
// at least one: p never changes. It moves v behind them. key must be comparable and stand for encode with all its
// settings. Where nothing is shared, ok is false and v stays: the caller encodes for itself.
func (v *View) Take(key any, size int, encode Encode) (p []byte, n int, ok bool) {
	if v.Batch == nil || v.Len() == 0 {
		return nil, 0, false
	}
	f := v.Batch.form(key, cap(v.Run))
	if f == nil {
		return nil, 0, false
	}
	from, made := f.upTo(v.Run, v.From, encode)
	to, at := from, v.From
	for at < v.To {
		end, more := f.upTo(v.Run, at+1, encode)
		made += more
		if at > v.From && int(end-from) > size {
			break
		}
		at, to = at+1, end
	}
	if made > 0 {
		v.Batch.account(made)
	}
	n = at - v.From
	v.From = at
	return (*f.buf.Load())[from:to:to], n, true
}

// Watch has grew told, under a lock, of every growth of what is shared, in bytes of memory, until Close. It must be called
// before the batch is shared.
func (b *Batch) Watch(grew func(bytes int64)) { b.grew = grew }

// Close ends the growth that is told of: who has views of the batch may still use it, nobody new will. It returns the bytes
// that Watch's function was told of.
func (b *Batch) Close() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.bytes
}

func (b *Batch) account(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grew != nil && !b.closed {
		b.bytes += n
		b.grew(n)
	}
}

// form is the bytes of one form.
type form struct {
	key  any
	next *form

	making sync.Mutex             // guards who appends
	done   atomic.Int32           // messages that have bytes
	ends   []uint32               // where each of them ends in buf
	buf    atomic.Pointer[[]byte] // in its whole capacity; replaced when it must grow, with all that was in it
}

// upTo returns where the first n messages of run end, and how much memory it took to make them.
func (f *form) upTo(run []Message, n int, encode Encode) (end uint32, made int64) {
	if int(f.done.Load()) < n {
		made = f.make(run, n, encode)
	}
	if n == 0 {
		return 0, made
	}
	return f.ends[n-1], made
}

func (f *form) make(run []Message, n int, encode Encode) (made int64) {
	f.making.Lock()
	defer f.making.Unlock()
	buf := *f.buf.Load()
	for i := int(f.done.Load()); i < n; i++ {
		end := uint32(0)
		if i > 0 {
			end = f.ends[i-1]
		}
		if buf == nil {
			buf = make([]byte, 0, guess(run))
			made += f.keep(buf, 0)
		}
		old := cap(buf)
		buf = encode(buf[:end], &run[i])
		f.ends[i] = uint32(len(buf))
		if cap(buf) != old {
			made += f.keep(buf, old)
		}
		f.done.Store(int32(i + 1))
	}
	return made
}

// keep makes buf the memory to read from.
func (f *form) keep(buf []byte, old int) (made int64) {
	whole := buf[:cap(buf)]
	f.buf.Store(&whole)
	return int64(cap(buf) - old)
}

// guess is how many bytes a form of run may have.
func guess(run []Message) int {
	const perMessage = 48 // lines and lengths
	n := 0
	for i := range run {
		n += perMessage + len(run[i].ID) + len(run[i].Content)
	}
	return n
}

// form finds or makes the form called key; nil: the batch is closed and has none.
func (b *Batch) form(key any, most int) *form {
	for f := b.forms.Load(); f != nil; f = f.next {
		if f.key == key {
			return f
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for f := b.forms.Load(); f != nil; f = f.next {
		if f.key == key {
			return f
		}
	}
	if b.closed {
		return nil
	}
	f := &form{key: key, next: b.forms.Load(), ends: make([]uint32, most)}
	f.buf.Store(new([]byte))
	b.forms.Store(f)
	return f
}
