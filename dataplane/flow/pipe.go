package flow

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// pipe runs a chain that may block beside the goroutine that polls: what one Poll of the endpoint gave is one load, messages
// go through one after the other, and each may be taken as soon as it is through. While a load is under way no other is taken, which
// bounds what is in memory by what one Poll gives, and waits for the client as the endpoint does. A goroutine runs
// only while there is a load; close waits for it.
type pipe struct {
	chain   *chain
	context *policies.Context
	backend *backend        // where dead letters go
	ctx     context.Context // ends with close: a pipe lives as long as its subscription, which no call spans
	cancel  context.CancelFunc
	wake    func()
	working sync.WaitGroup

	mu sync.Mutex
	// guards the following
	done    []passed
	left    int // messages of the load that are not through
	asleep  bool
	stopped bool
}

// passed is a message that went through the chain.
type passed struct {
	message.Message
	fate message.Fate
	err  error
}

func newPipe(ctx context.Context, c *chain, pc *policies.Context, b *backend, wake func()) *pipe {
	p := &pipe{chain: c, context: pc, backend: b, wake: wake}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// take begins with a load; the pipe must not be busy.
func (p *pipe) take(load []message.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.left, p.asleep = len(load), true
	p.working.Go(func() { p.work(load) })
}

func (p *pipe) work(load []message.Message) {
	for i := range load {
		out := passed{Message: load[i]}
		out.fate, out.err = p.one(&out.Message)
		if p.ctx.Err() != nil {
			return // closed: nobody gets it, and it counts as not delivered
		}
		if out.fate != message.Kept {
			out.Message = load[i]
		}
		if p.put(out, len(load)-1-i) {
			p.wake()
		}
		if out.err != nil {
			return
		}
	}
}

// one runs the chain. A panic in a policy is a failure of this stream alone.
func (p *pipe) one(m *message.Message) (f message.Fate, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = message.Held, p.chain.panicked(r)
		}
	}()
	err = p.chain.run(p.ctx, p.context, m)
	if u, ok := err.(*undeliverable); ok {
		if err = p.backend.bury(p.ctx, p.context.Exchange, u, m); err == nil {
			err = policies.ErrDrop // it is where it can be looked at
		}
	}
	return fate(err)
}

// put adds a message that is through; wake: somebody waits for it.
func (p *pipe) put(out passed, left int) (wake bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, out)
	if p.left = left; out.err != nil {
		p.left = 0
	}
	wake, p.asleep = p.asleep, false
	return wake
}

// give returns what is through, in order, at most n.
func (p *pipe) give(n int) []passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, len(p.done))
	out := p.done[:n:n]
	p.done = p.done[n:]
	p.asleep = len(p.done) == 0
	return out
}

// busy tells whether messages are on their way.
func (p *pipe) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left > 0 || len(p.done) > 0
}

// empty tells whether all that was taken was given.
func (p *pipe) empty() bool { return !p.busy() }

// close ends the work and waits for it.
func (p *pipe) close() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.cancel()
	p.working.Wait()
}
