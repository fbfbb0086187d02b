package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pacer decides when records leave. Without it there is a choice between two evils: franz-go with a linger makes every
// caller wait, and without one it sends up to five small requests at once, which cost the broker more than the records in
// them. So records leave at once when nothing is in flight, and otherwise when what was in flight is answered: a lone
// caller waits for nothing, and under load the requests are as large as the load. What a slow partition holds up leaves
// after longestLinger in any case.
//
// The counts only grow. A round is in flight while fewer records are answered than were handed over when it left.
type pacer struct {
	in    atomic.Int64 // records that franz-go has taken
	out   atomic.Int64 // records that it has answered
	round atomic.Int64 // in, when records last left
}

// longestLinger is how long a record may wait for others while a round is in flight.
const longestLinger = time.Millisecond

// handed is called after a record was handed to the client.
func (p *pacer) handed(cl *kgo.Client) {
	in, round := p.in.Add(1), p.round.Load()
	if p.out.Load() >= round && p.round.CompareAndSwap(round, in) {
		leave(cl)
	}
}

// answered is called after a record was answered. Whoever hands over at the same time either is seen here or sees this.
func (p *pacer) answered(cl *kgo.Client) {
	out, round := p.out.Add(1), p.round.Load()
	if out < round {
		return
	}
	if in := p.in.Load(); in > round && p.round.CompareAndSwap(round, in) {
		leave(cl)
	}
}

// leave ends the linger of all partitions and waits for nothing: a flush whose time is over.
func leave(cl *kgo.Client) { _ = cl.Flush(over) }

// over is a context that has ended.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
