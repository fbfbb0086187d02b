package httpfront

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// deadlineGrain is how late the end of a request's time may be noticed, since all requests of one grain share a context: a
// context of its own would cost each request four allocations and a timer.
const deadlineGrain = 100 * time.Millisecond

// ErrRequestTimeout is the cause of a context of Deadlines whose time is over.
var ErrRequestTimeout error = &message.Failure{Status: 504, Key: message.KeyRequestTimeout, Message: "Request timeout"}

// Deadlines gives requests contexts that end after a fixed time, shared by the requests that came within a grain.
type Deadlines struct {
	timeout time.Duration
	current atomic.Pointer[deadline]
}

type deadline struct {
	context.Context
	cancel context.CancelFunc // never called: the context ends with its time or its parent, and others wait on it
	parent context.Context
	until  time.Time // requests that come before may use it
}

// NewDeadlines returns the contexts of requests that may take timeout; 0: any time.
func NewDeadlines(timeout time.Duration) *Deadlines { return &Deadlines{timeout: timeout} }

// Context returns a context that ends with parent, or between timeout and a grain later.
func (d *Deadlines) Context(parent context.Context, now time.Time) context.Context {
	if d.timeout <= 0 {
		return parent
	}
	c := d.current.Load()
	if c != nil && now.Before(c.until) && c.parent == parent {
		return c
	}
	next := &deadline{parent: parent, until: now.Add(deadlineGrain)}
	next.Context, next.cancel = context.WithDeadlineCause(parent, next.until.Add(d.timeout), ErrRequestTimeout)
	d.current.Store(next) // of several that came at once, all serve and one stays
	return next
}
