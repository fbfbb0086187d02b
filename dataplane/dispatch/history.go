package dispatch

import (
	"container/list"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
)

// Bounds of the texts of an attempt, in bytes.
const (
	maxAttemptMessage = 200
	maxAttemptErr     = 512
	attemptBytes      = 160 // sizeof(connectors.Attempt), rounded up
)

// history keeps the last attempts of each subscription. Where all together are too large, those of the subscription that
// has not delivered for the longest time go first.
type history struct {
	each, most int // attempts of one subscription, bytes of all

	mu sync.Mutex
	// guards the following
	rings map[string]*list.Element // of *ring
	order *list.List               // the one that delivered last in front
	bytes int
}

// ring holds the last attempts of one subscription.
type ring struct {
	id       string
	attempts []connectors.Attempt
	next     int // where the next one goes, once the ring is full
	bytes    int
}

func (h *history) init(each, most int) {
	h.each, h.most, h.rings, h.order = each, most, map[string]*list.Element{}, list.New()
}

// add keeps an attempt.
func (h *history) add(id string, a connectors.Attempt) {
	a.Message, a.Err = clip(a.Message, maxAttemptMessage), clip(a.Err, maxAttemptErr)
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.rings[id]
	if e == nil {
		e = h.order.PushFront(&ring{id: id})
		h.rings[id] = e
	} else {
		h.order.MoveToFront(e)
	}
	r := e.Value.(*ring)
	h.bytes -= r.bytes
	r.add(a, h.each)
	h.bytes += r.bytes
	for h.bytes > h.most && h.order.Len() > 1 {
		h.drop(h.order.Back())
	}
}

func (r *ring) add(a connectors.Attempt, most int) {
	r.bytes += sizeOf(a)
	if len(r.attempts) < most {
		r.attempts = append(r.attempts, a)
		return
	}
	r.bytes -= sizeOf(r.attempts[r.next])
	r.attempts[r.next] = a
	r.next = (r.next + 1) % len(r.attempts)
}

func sizeOf(a connectors.Attempt) int { return attemptBytes + len(a.Message) + len(a.Err) }

// of returns a copy of what is kept, the oldest first.
func (h *history) of(id string) []connectors.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.rings[id]
	if e == nil {
		return nil
	}
	r := e.Value.(*ring)
	out := make([]connectors.Attempt, 0, len(r.attempts))
	return append(append(out, r.attempts[r.next:]...), r.attempts[:r.next]...)
}

// forget drops what is kept of a subscription.
func (h *history) forget(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.rings[id]; e != nil {
		h.drop(e)
	}
}

// drop drops a ring. The lock is held.
func (h *history) drop(e *list.Element) {
	r := h.order.Remove(e).(*ring)
	h.bytes -= r.bytes
	delete(h.rings, r.id)
}

// clip cuts s to at most n bytes of valid text, in memory of its own.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[:n], ""))
}
