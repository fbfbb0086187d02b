package httppost

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

const (
	// maxAnswersBytes bounds the answers that a worker knows, in bytes. What came first is forgotten first.
	maxAnswersBytes = 16 << 20
	// maxKey bounds an Idempotency-Key, in bytes.
	maxKey = 255
	// entryBytes and slotBytes are what an entry and one of its messages cost, besides their texts, in bytes.
	entryBytes, slotBytes = 400, 120
)

// Failure keys of requests with an Idempotency-Key. They never change meaning.
const (
	keyKeyInvalid = "IDEMPOTENCY_KEY_INVALID"
	keyKeyReused  = "IDEMPOTENCY_KEY_REUSED" // with another request
	keyKeysFull   = "IDEMPOTENCY_KEYS_FULL"  // too many requests under way
)

// answers is what a worker remembers of requests that came with an Idempotency-Key: the first one with a key is carried out,
// later ones join it or are told what became of it. A request of which nothing was stored is forgotten, so that it can be
// tried again; one whose outcome is unknown is not, and says so again.
//
// It is one worker's and in memory: a request that reaches another worker, or this one after a restart, is a first one.
type answers struct {
	limit int // bytes

	mu sync.Mutex
	// guards the following
	entries map[string]*entry
	oldest  list.List // *entry: those that are settled, the one that was first at the front
	bytes   int
}

// entry is one key's request.
type entry struct {
	in     *answers
	key    string
	print  [sha256.Size]byte
	window time.Duration

	begun chan struct{} // closed once the following are set
	// order is what became of its messages; nil: there were none.
	order *order
	// failure is why none was published; nil: they were.
	failure *message.Failure

	// Guarded by in.mu.
	size    int
	expires time.Time     // zero: it is under way
	element *list.Element // in in.oldest; nil: it is under way
}

func newAnswers(limit int) *answers { return &answers{limit: limit, entries: map[string]*entry{}} }

// begin finds the entry of a request, or makes one: then the request is the first, and owes the entry underway or abandon.
func (a *answers) begin(x *exchange.Exchange, key string, window time.Duration, now time.Time) (en *entry, first bool, f *message.Failure) {
	if len(key) > maxKey {
		return nil, false, &message.Failure{Status: fasthttp.StatusBadRequest, Key: keyKeyInvalid,
			Message: "Invalid Idempotency-Key: longer than 255 bytes"}
	}
	scope := []string{"", x.Entrypoint, x.Plan, x.Application, key}
	if x.API != nil {
		scope[0] = x.API.ID
	}
	full, print := strings.Join(scope, "\x00"), fingerprint(x.HTTP)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire(now)
	if en = a.entries[full]; en != nil && (en.expires.IsZero() || now.Before(en.expires)) {
		if en.print != print {
			return nil, false, &message.Failure{Status: fasthttp.StatusUnprocessableEntity, Key: keyKeyReused,
				Message: "Idempotency-Key was used for another request; nothing was stored"}
		}
		return en, false, nil
	}
	if en != nil {
		a.forget(en)
	}
	en = &entry{in: a, key: full, print: print, window: window, begun: make(chan struct{}), size: entryBytes + len(full)}
	if !a.room(en.size) {
		return nil, false, &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: keyKeysFull,
			Message: "Too many requests with an Idempotency-Key are under way; nothing was stored"}
	}
	a.entries[full] = en
	a.bytes += en.size
	return en, true, nil
}

// fingerprint tells requests apart: where they go and what they hold, not how they are dressed, which may change from try to
// try (trace headers, dates).
func fingerprint(fctx *fasthttp.RequestCtx) (sum [sha256.Size]byte) {
	h := sha256.New()
	var size [8]byte
	for _, part := range [...][]byte{fctx.RequestURI(), fctx.Request.Header.ContentType(), fctx.PostBody()} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = h.Write(size[:])
		_, _ = h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// room makes room for n bytes; false where what is under way leaves none. Called with the lock held.
func (a *answers) room(n int) bool {
	for a.bytes+n > a.limit {
		front := a.oldest.Front()
		if front == nil {
			return false
		}
		a.forget(front.Value.(*entry))
	}
	return true
}

// expire forgets what is over at the old end. Called with the lock held.
func (a *answers) expire(now time.Time) {
	for front := a.oldest.Front(); front != nil && !now.Before(front.Value.(*entry).expires); front = a.oldest.Front() {
		a.forget(front.Value.(*entry))
	}
}

// forget is called with the lock held. Those who found the entry before keep it.
func (a *answers) forget(en *entry) {
	if a.entries[en.key] != en {
		return
	}
	delete(a.entries, en.key)
	a.bytes -= en.size
	if en.element != nil {
		a.oldest.Remove(en.element)
	}
}

// abandon says that nothing is published, because of f, or because there is nothing. A nil entry does nothing.
func (en *entry) abandon(f *message.Failure) {
	if en == nil {
		return
	}
	en.in.mu.Lock()
	en.in.forget(en)
	en.in.mu.Unlock()
	en.failure = f
	close(en.begun)
}

// underway says that the messages of o are about to be published. A nil entry does nothing.
func (en *entry) underway(o *order) {
	if en == nil {
		return
	}
	en.order = o
	close(en.begun)
}

// lost says that nobody will settle the entry: what was handed on, if o says so, stays unknown. A nil entry does nothing.
func (en *entry) lost(o *order) {
	switch {
	case en == nil:
	case o == nil:
		en.abandon(httpfront.AsFailure(errors.New("reading the batch panicked")))
	default:
		en.settle(o, time.Now())
	}
}

// settle says that all is known of o.
func (en *entry) settle(o *order, now time.Time) {
	keep, size := false, 0
	for i := range o.slots {
		s := &o.slots[i]
		size += slotBytes
		if !s.known.Load() {
			keep = true
			continue
		}
		keep = keep || s.outcome != refused
		size += len(s.text)
	}
	a := en.in
	a.mu.Lock()
	defer a.mu.Unlock()
	if en.element != nil {
		return
	}
	if !keep || !a.room(size) {
		a.forget(en)
		return
	}
	a.bytes += size
	en.size += size
	en.expires = now.Add(en.window)
	en.element = a.oldest.PushBack(en)
}
