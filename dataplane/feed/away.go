package feed

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// logEvery is how often attempts that fail are logged: a worker may try for days.
const logEvery = 10 * time.Second

var errNotTried = errors.New("not connected to NATS yet")

// away is why there is no connection to NATS. Its methods may be called from any goroutine.
type away struct {
	err    atomic.Pointer[error]
	logged atomic.Int64 // when, in Unix nanoseconds
}

func (a *away) set(err error) { a.err.Store(&err) }

func (a *away) clear() {
	a.err.Store(nil)
	a.logged.Store(0) // the next time that it fails is news
}

func (a *away) why() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// rarely tells whether it is time to log again.
func (a *away) rarely(now time.Time) bool {
	last := a.logged.Load()
	return now.UnixNano()-last >= int64(logEvery) && a.logged.CompareAndSwap(last, now.UnixNano())
}

// failed notes an attempt to connect that failed.
func (f *Feed) failed(err error) {
	if f.cfg.Explain != nil {
		err = f.cfg.Explain(err)
	}
	f.away.set(fmt.Errorf("not connected to NATS: %w", err))
	if f.away.rarely(time.Now()) {
		f.log.Warn("no connection to NATS, trying on", "worker", f.cfg.Worker, "err", err)
	}
}

// refusedBy returns what the last server that answered has refused this client with, nil for none: the library reports
// a server that cannot be reached by ReconnectErrCB, and keeps TLS and authentication failures to itself.
func refusedBy(nc *nats.Conn) error {
	if nc == nil || nc.IsConnected() {
		return nil
	}
	return nc.LastError()
}
