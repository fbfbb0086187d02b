package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lease is one subscriber's time with a catch-up reader: a client of its own that reads from the subscriber's position
// on, a bounded number of bytes ahead, until it meets the ring. It is cut short while others wait; what was read ahead is
// then dropped, and the subscriber asks again with the position that it has reached.
type lease struct {
	r     *reader
	s     *subscription
	chain chain
	src   notifier

	gone    chan struct{} // closed when the subscriber has left
	goneOne sync.Once
	credit  chan struct{} // the subscriber has finished a batch
	eaten   atomic.Int64  // bytes of the batches it has finished

	held   []*batch // complete, perhaps not finished by the subscriber; of the goroutine that reads
	heldAt int64    // bytes before held[0]
	filled int64    // bytes of all complete batches
}

// Bounds of a lease.
const (
	sliceTime  = time.Second            // how long a lease lasts while others wait
	stallTime  = 10 * time.Second       // how long a subscriber may take nothing before its lease is cut in any case
	leaseWait  = 250 * time.Millisecond // how long a broker holds a fetch, and how often a lease looks around
	minCatchUp = 128 << 10              // bytes; below it a fetch holds too little to be worth its round trip
)

// newLease makes a lease whose chain begins, empty, at vec.
func newLease(r *reader, s *subscription, vec vector) *lease {
	set := &r.f.reading
	l := &lease{r: r, s: s, gone: make(chan struct{}), credit: make(chan struct{}, 1)}
	l.chain = chain{origin: r.f.e.origin, lay: r.lay.Load(), vec: append(vector(nil), vec...), src: &l.src, lease: l,
		strip: set.stripMagic, encode: set.encodeID, ids: s.resumes, sealed: l.hold, epoch: r.ring.floor.Load().epoch, capBytes: l.budget() / 4}
	l.chain.begin()
	return l
}

// budget is how many bytes a lease may hold, in the chain and in its client together. For a subscriber that takes few
// messages it is less, so that a page does not read megabytes ahead.
func (l *lease) budget() int {
	const perMessage = 4 << 10 // bytes; a guess at what is large
	n := l.r.f.e.limits.CatchUpBytes
	if l.s.limit > 0 {
		n = min(n, l.s.limit*perMessage)
	}
	return max(n, 2*minCatchUp)
}

// abandon says that the subscriber has left.
func (l *lease) abandon() { l.goneOne.Do(func() { close(l.gone) }) }

func (l *lease) isAbandoned() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// consumed is called by the subscriber when it leaves b for good.
func (l *lease) consumed(b *batch) {
	l.eaten.Add(int64(b.size))
	select {
	case l.credit <- struct{}{}:
	default:
	}
}

// hold remembers a complete batch, for drop.
func (l *lease) hold(b *batch) {
	l.held = append(l.held, b)
	l.filled += int64(b.size)
	eaten, n := l.eaten.Load(), 0
	for n < len(l.held) && l.heldAt+int64(l.held[n].size) <= eaten {
		l.heldAt += int64(l.held[n].size)
		n++
	}
	l.held = append(l.held[:0], l.held[n:]...)
}

// ask queues l for a catch-up reader.
func (r *reader) ask(l *lease) {
	r.mu.Lock()
	r.queue = append(r.queue, l)
	r.mu.Unlock()
	r.nudge()
}

// nudge makes watch look at the queue.
func (r *reader) nudge() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// next takes the longest waiting lease whose subscriber is still there; nil: none waits.
func (r *reader) next() *lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 {
		l := r.queue[0]
		r.queue[0] = nil
		r.queue = r.queue[1:]
		if !l.isAbandoned() {
			return l
		}
	}
	return nil
}

func (r *reader) contended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) > 0
}

// grant starts catch-up readers while there are free ones and subscribers that wait.
func (r *reader) grant(ctx context.Context, parts *sync.WaitGroup) {
	for r.contended() {
		select {
		case r.f.slots <- struct{}{}:
		default:
			return
		}
		l := r.next()
		if l == nil {
			<-r.f.slots
			return
		}
		parts.Go(func() {
			l.run(ctx)
			<-r.f.slots
			r.nudge()
		})
	}
}

// run reads until the ring is met, the lease is cut or the subscriber leaves.
func (l *lease) run(ctx context.Context) {
	stats := &l.r.f.e.stats
	stats.leases.Add(1)
	defer stats.leases.Add(-1)
	if l.meetRing() {
		return
	}
	stats.leased.Add(1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var p pulse
	cl, err := l.r.f.consumer("catch-up", &p, l.chain.lay, l.chain.vec, l.budget()/2, leaseWait)
	if err != nil {
		l.r.f.e.lost.Warn(l.r.f.e.log, "make a catch-up reader", "err", err)
		l.cut()
		return
	}
	defer cl.Close()
	begun := time.Now()
	for !l.isAbandoned() && ctx.Err() == nil {
		if l.r.contended() && time.Since(begun) > sliceTime || !l.room(ctx) {
			break
		}
		if l.r.lay.Load() != l.chain.lay {
			break // there are partitions that this lease does not read: without them it may never meet the ring
		}
		l.read(ctx, cl)
		if l.meetRing() {
			return
		}
	}
	l.cut()
}

// room waits until the subscriber has taken enough of what was read ahead. false: it takes too long.
func (l *lease) room(ctx context.Context) bool {
	if l.filled-l.eaten.Load() < int64(l.budget()/2) {
		return true
	}
	look := time.NewTicker(leaseWait)
	defer look.Stop()
	begun := time.Now()
	for l.filled-l.eaten.Load() >= int64(l.budget()/2) {
		select {
		case <-l.credit:
			begun = time.Now()
		case <-look.C:
			if waited := time.Since(begun); waited > stallTime || l.r.contended() {
				return false
			}
		case <-l.gone:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// read takes what the client has, or waits for it a little.
func (l *lease) read(ctx context.Context, cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	c := &l.chain
	fetches := cl.PollFetches(ctx)
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		part := c.lay.number(p.Topic, p.Partition)
		for _, rec := range p.Records {
			c.add(part, rec)
		}
	})
	for _, e := range fetches.Errors() {
		if e.Topic != "" {
			c.repair(ctx, l.r.f, cl, e)
		}
	}
	c.publish()
	l.src.fire()
}

// meetRing links the chain to the ring, if the ring has everything that follows.
func (l *lease) meetRing() bool {
	c := &l.chain
	vec, moved := l.r.ring.translate(c.vec, c.epoch)
	if moved {
		c.vec, c.epoch = vec, l.r.ring.floor.Load().epoch
		c.event(gapMessage(gap{Reason: reasonBeyond}))
		l.src.fire()
	}
	at := l.r.ring.join(c.vec, l.s.resumes)
	if at == nil {
		return false
	}
	c.tail.skip = append(vector{}, c.vec...)
	c.tail.next.Store(at)
	l.src.fire()
	return true
}

// cut drops what the subscriber has not read. It asks for another lease when it wants more.
func (l *lease) cut() {
	for _, b := range l.held {
		b.drop()
	}
	l.chain.tail.drop()
	l.src.fire()
}
