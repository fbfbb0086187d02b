package httppost

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/qos/message"
)

// waiter is where one request waits for what became of its message. Two know it: the handler, which may give up, and the
// endpoint, which may answer late. The last of them gives it back to the pool.
type waiter struct {
	result chan error // holds one, so that Acked never blocks
	users  atomic.Int32
}

var waiters = sync.Pool{New: func() any { return &waiter{result: make(chan error, 1)} }}

func getWaiter() *waiter {
	w := waiters.Get().(*waiter)
	w.users.Store(2)
	return w
}

// Acked implements message.Ack. The message ends here, also where the handler has gone.
func (w *waiter) Acked(m *message.Message, err error) {
	m.Release()
	w.result <- err
	w.leave()
}

func (w *waiter) leave() {
	if w.users.Add(-1) > 0 {
		return
	}
	select {
	case <-w.result: // the handler gave up before it came
	default:
	}
	waiters.Put(w)
}

// wait returns what became of the message. timed ends with the request's time, or with api, the API; the latter does
// not end the wait, since what was handed on will be answered.
func (w *waiter) wait(timed, api context.Context) error {
	defer w.leave()
	select {
	case err := <-w.result:
		return err
	case <-timed.Done():
	}
	if api.Err() != nil {
		rest, cancel := untilDeadline(timed)
		defer cancel()
		select {
		case err := <-w.result:
			return err
		case <-rest.Done():
		}
	}
	select {
	case err := <-w.result: // came at the same moment
		return err
	default:
		return &timeout
	}
}

// untilDeadline returns a context that ends with ctx's deadline, but not with its parent.
func untilDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	rest := context.WithoutCancel(ctx)
	if until, ok := ctx.Deadline(); ok {
		return context.WithDeadline(rest, until)
	}
	return context.WithCancel(rest)
}
