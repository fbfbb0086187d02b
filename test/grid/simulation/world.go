package simulation

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/qos/message"
)

// sessionTimeout is when a group misses a member that died.
const sessionTimeout = 300 * time.Millisecond

// simulated is one schedule being played.
type simulated struct {
	schedule Schedule
	history  *history
	broker   *broker
	actors   sync.WaitGroup
	all      context.Context // ends everything
	loop     *eventloop.Loop // of both workers: a goroutine for each connection

	mu      sync.Mutex // guards the following
	random  *rand.Rand
	workers [2]context.Context
	kills   [2]context.CancelFunc
	api     context.Context
	stop    context.CancelCauseFunc // of the API
	servers []*server
	number  uint64
}

// Play plays a schedule and judges what happened. It must be called in a bubble of testing/synctest. An error says that the
// simulation itself is wrong.
func Play(s Schedule) (*judge.Verdict, error) {
	h := &history{}
	loop, err := eventloop.New(0)
	if err != nil {
		return nil, err
	}
	w := &simulated{schedule: s, history: h, broker: newBroker(s, h), random: s.random(0), loop: loop}
	var end context.CancelFunc
	w.all, end = context.WithCancel(context.Background())
	w.api, w.stop = context.WithCancelCause(w.all)
	for i := range w.workers {
		w.workers[i], w.kills[i] = context.WithCancel(w.all)
	}
	looping := make(chan error, 1)
	go func() { looping <- w.loop.Run(w.all) }()
	w.prepare()
	clients, leave := context.WithCancel(w.all)
	c := w.client(alone)
	if s.Members {
		c = w.client("first")
	}
	w.actors.Go(func() { c.run(clients) })
	faulty := make(chan struct{})
	w.actors.Go(func() { defer close(faulty); w.faults(clients, c) })
	w.write()
	<-faulty
	for deadline := time.Now().Add(settleIn); time.Since(h.lastArrival()) < 4*time.Second && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	leave()
	end()
	w.actors.Wait()
	if err := <-looping; err != nil {
		return nil, err
	}
	return h.verdict()
}

// prepare tells the judge of the subscribers that are no connections.
func (w *simulated) prepare() {
	begin := judge.Cursor{judge.Everywhere: 0}
	if w.schedule.Members {
		w.history.add(judge.Event{Kind: judge.Subscribed, Subscriber: both, Level: w.schedule.Level.String(), Rules: w.rules(both), Cursor: begin})
	}
	if w.schedule.Level == qos.Auto {
		w.history.add(judge.Event{Kind: judge.Subscribed, Subscriber: wire, Level: w.schedule.Level.String(), Rules: w.rules(wire), Cursor: begin})
	}
}

// rules are the promises to a subscriber. What the log forgets is lost, so that then nothing is promised about loss.
func (w *simulated) rules(subscriber string) judge.Rules {
	rules := judge.RulesOf(w.schedule.Level)
	if w.schedule.Retention {
		rules &^= judge.Loss
	}
	switch subscriber {
	case both:
		return rules &^ (order | judge.SilentGap)
	case wire:
		return judge.CommitAboveDelivery | judge.Invention
	case alone:
		return rules &^ judge.CommitAboveDelivery
	}
	return order | judge.Invention
}

// saver is whose checkpoints the broker tells of.
func (w *simulated) saver() string {
	switch {
	case w.schedule.Level == qos.None:
		return ""
	case w.schedule.Level == qos.Auto:
		return wire
	case w.schedule.Members:
		return both
	}
	return alone
}

func (w *simulated) client(name string) *client {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	return &client{w: w, name: name, random: w.schedule.random(100 + w.number)}
}

// connect opens a connection to a worker; nil: it does not answer.
func (w *simulated) connect(c *client) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	alive := w.workers[w.random.IntN(len(w.workers))]
	if alive.Err() != nil {
		return nil
	}
	w.number++
	nc, network := net.Pipe()
	s := &server{schedule: w.schedule, history: w.history, link: &link{pipe: network}, random: w.schedule.random(100 + w.number),
		alive: alive, api: w.api, nc: nc, over: make(chan struct{})}
	if w.schedule.Level == qos.Auto {
		s.wire = wire
	}
	at := ""
	if w.schedule.Cursors {
		at = c.resume
	}
	c.begin()
	s.sub = w.broker.subscribe(w.saver(), at, s.conn.Wake)
	w.servers = append(w.servers, s)
	w.number++
	chance := w.schedule.random(100 + w.number)
	w.actors.Go(func() { s.link.carry(chance) })
	w.actors.Go(func() {
		s.run(w.loop)
		time.Sleep(sessionTimeout)
		s.sub.missed()
	})
	return s.link
}

// write is the producer.
func (w *simulated) write() {
	r := w.schedule.random(2)
	for range messages {
		time.Sleep(moment(r, 2*span/messages))
		w.broker.write(r.IntN(partitions))
	}
}

// faults does harm, again and again, and then heals.
func (w *simulated) faults(ctx context.Context, c *client) {
	r := w.schedule.random(3)
	var other []func()
	for until := time.Now().Add(span); time.Now().Before(until); {
		time.Sleep(moment(r, span/6))
		switch r.IntN(8) {
		case 0, 1:
			w.kill(r.IntN(len(w.workers)))
		case 2:
			if l := c.link.Load(); l != nil {
				l.end(true)
			}
		case 3:
			c.slow.Store(!c.slow.Load())
		case 4:
			if w.schedule.Retention {
				w.broker.forget(r.IntN(partitions), r.Int64N(4))
			}
		case 5:
			w.expel(r)
		case 6:
			w.redeploy()
		case 7:
			if w.schedule.Members {
				other = append(other, w.join(ctx))
			}
		}
		if len(other) > 0 && r.IntN(3) == 0 {
			other[0]()
			other = other[1:]
		}
	}
	for _, leave := range other {
		leave()
	}
	c.slow.Store(false)
}

// kill ends a worker as a power cut would, and starts it again.
func (w *simulated) kill(i int) {
	w.mu.Lock()
	w.kills[i]()
	w.mu.Unlock()
	time.Sleep(moment(w.schedule.random(4), 200*time.Millisecond))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.workers[i], w.kills[i] = context.WithCancel(w.all)
}

// redeploy ends the API's connections politely: a new revision took over.
func (w *simulated) redeploy() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop(message.ErrRedeploy)
	w.api, w.stop = context.WithCancelCause(w.all)
}

// expel has the group lose a member that lives on, and find it again.
func (w *simulated) expel(r *rand.Rand) {
	w.mu.Lock()
	if len(w.servers) == 0 || w.schedule.Level == qos.None || w.schedule.Level == qos.Auto {
		w.mu.Unlock()
		return
	}
	s := w.servers[len(w.servers)-1-r.IntN(min(2, len(w.servers)))]
	w.mu.Unlock()
	w.broker.expel(s.sub)
	time.Sleep(moment(r, 300*time.Millisecond))
	w.broker.rejoin(s.sub)
}

// join has another member come; what it returns has it leave.
func (w *simulated) join(ctx context.Context) func() {
	w.mu.Lock()
	w.number++
	n := w.number
	w.mu.Unlock()
	c := w.client("member-" + name(int(n)))
	live, leave := context.WithCancel(ctx)
	w.actors.Go(func() { c.run(live) })
	return func() {
		leave()
		if l := c.link.Load(); l != nil {
			l.end(true)
		}
	}
}
