package supervise

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Turns lets one request of a name at a time go on: pages of one client, which would take each other's messages. The zero value
// is ready.
type Turns struct {
	mu  sync.Mutex // guards the following
	all map[string]*turn
}

type turn struct {
	busy    chan struct{} // holds one value while somebody has the turn
	waiting int           // who has it or waits for it; guarded by Turns.mu
}

// statusActive: somebody else has what this one wants.
const statusActive = 409

// Take waits for the name's turn, at most so long, and returns what gives it back. The error is a *message.Failure where it is not
// that ctx has ended.
func (t *Turns) Take(ctx context.Context, name string, most time.Duration) (release func(), err error) {
	t.mu.Lock()
	if t.all == nil {
		t.all = map[string]*turn{}
	}
	mine := t.all[name]
	if mine == nil {
		mine = &turn{busy: make(chan struct{}, 1)}
		t.all[name] = mine
	}
	mine.waiting++
	t.mu.Unlock()
	release = sync.OnceFunc(func() { <-mine.busy; t.leave(name, mine) })
	select {
	case mine.busy <- struct{}{}: // even where there is no time to wait
		return release, nil
	default:
	}
	wait := time.NewTimer(most)
	defer wait.Stop()
	select {
	case mine.busy <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-wait.C:
		err = &message.Failure{Status: statusActive, Key: message.KeyClientActive,
			Message: "Another request with the same client identifier is under way; ask for one page after the other"}
	}
	t.leave(name, mine)
	return nil, err
}

func (t *Turns) leave(name string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.waiting--; mine.waiting == 0 {
		delete(t.all, name)
	}
}
