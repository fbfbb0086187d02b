package grid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// Options of runs.
type Options struct {
	Messages int           // of each run; one more per key and then some
	Span     time.Duration // in which they are written
	Dir      string        // where histories are kept of runs that broke a promise
	KeepAll  bool          // keep the others too
}

// Shape of a run's traffic.
const (
	partitions       = 6
	keysPerPartition = 4
	publishers       = 8  // clients of a publish run
	plainSize        = 64 // bytes of a message at least
)

// Waits of a run's end.
const (
	tailEvery   = 2 * time.Second  // for the last of each key; then another one is written
	stillWithin = 8 * time.Second  // without a delivery: what is missing by then is lost
	stallWithin = 60 * time.Second // without the last of every key
	batchWithin = 15 * time.Minute
)

// batch is the runs that are under one fault side by side.
type batch struct {
	world *World
	fault Fault
	span  time.Duration
	runs  []*run
}

// run is one cell under one fault.
type run struct {
	notes
	world    *World
	cell     Cell
	fault    Fault
	messages int
	span     time.Duration
	size     int  // bytes of a message
	leave    int  // the client leaves after so many messages; 0: it stays
	members  bool // there are two members
	watched  bool // proofs and checkpoints are noted
	path     string
	topic    topic
	record   *recorder
	history  string
	slow     atomic.Bool
	left     atomic.Int64 // how often a client left for the other worker
	settling atomic.Bool
	begun    time.Time
	took     time.Duration
	id       string             // of the API
	numbers  map[string]int64   // last number by key; the writer's
	stop     context.CancelFunc // ends the clients
	clients  sync.WaitGroup
	failed   chan error // of the clients
}

// Run runs the cells under the fault, side by side, and judges them. An error says that the runs themselves failed; a
// promise that was broken is in the results.
func (w *World) Run(ctx context.Context, fault Fault, cells []Cell, o Options) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, batchWithin)
	defer cancel()
	b := &batch{world: w, fault: fault, span: o.Span}
	defer func() {
		for _, r := range b.runs {
			r.close()
		}
	}()
	for _, c := range cells {
		if !fault.Applies(c) {
			return nil, fmt.Errorf("%s does not happen to %s", fault.Name, c)
		}
		r, err := w.newRun(ctx, fault, c, o)
		if r != nil {
			b.runs = append(b.runs, r)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := b.through(ctx); err != nil {
		var all strings.Builder
		for _, r := range b.runs {
			fmt.Fprintf(&all, "\n%s: %s", r.cell, r.String())
		}
		return nil, fmt.Errorf("%s: %w%s", fault.Name, err, all.String())
	}
	var out []Result
	for _, r := range b.runs {
		res, err := r.judge(o)
		if err != nil {
			return nil, err
		}
		out = append(out, res)
	}
	return out, nil
}

// newRun makes the topic, the API and the history of a run. It may return one together with an error, to be closed.
func (w *World) newRun(ctx context.Context, fault Fault, c Cell, o Options) (*run, error) {
	name := strings.ReplaceAll(fmt.Sprintf("%s-%s-%d", c, fault.Name, w.topics.Add(1)), " ", "-")
	r := &run{world: w, cell: c, fault: fault, messages: o.Messages, span: o.Span, size: plainSize, path: "/" + name,
		history: filepath.Join(o.Dir, name+".jsonl"), numbers: map[string]int64{}, failed: make(chan error, publishers+1)}
	r.watched = c.Direction == Subscribe && c.level() == qos.AtLeastOnce && entrypoints[c.Entrypoint].proves
	if fault.prepare != nil {
		fault.prepare(r)
	}
	t, err := w.brokers[c.Endpoint].open(ctx, name, partitions, o.Messages)
	if err != nil {
		return r, fmt.Errorf("%s: %w", c, err)
	}
	if m, ok := t.(*mockTopic); ok && c.pushes() {
		m.streams = workers
	}
	r.topic = t
	if n := t.fixed(); n > 0 && r.leave > 0 {
		r.leave = max(n/leaves, 1)
	}
	if r.record, err = newRecorder(r.history); err != nil {
		return r, err
	}
	r.id, err = w.deploy(ctx, c, r.path, t)
	return r, err
}

// close ends the clients and takes the API away. A run that is through has done so itself.
func (r *run) close() {
	if r.stop != nil {
		r.stop()
		r.clients.Wait()
	}
	if r.topic != nil {
		r.topic.close()
	}
}

// url is where the API is served by the worker whose turn it is.
func (r *run) url(turn int) string { return r.world.cluster.Workers[turn%workers].Gateway + r.path }

// through takes the batch from the first connection to the last delivery.
func (b *batch) through(ctx context.Context) error {
	if err := b.each(func(r *run) error { return r.open(ctx) }); err != nil {
		return err
	}
	flow, end := context.WithCancel(ctx)
	faulty := make(chan error, 1)
	go func() {
		if b.fault.inflict == nil {
			faulty <- nil
			return
		}
		faulty <- b.fault.inflict(ctx, flow, b)
	}()
	err := b.each(func(r *run) error { return r.produce(ctx) })
	end()
	if err = errors.Join(err, <-faulty); err != nil {
		return err
	}
	if err := b.each(func(r *run) error { return r.settle(ctx) }); err != nil {
		return err
	}
	for _, r := range b.runs {
		if r.leave > 0 && r.left.Load() == 0 {
			return fmt.Errorf("%s: %w", r.cell, errNothing)
		}
	}
	for _, r := range b.runs { // one after the other: a revision each
		if err := b.world.node().Remove(ctx, r.id); err != nil {
			return err
		}
	}
	return nil
}

// each does something with all runs at once.
func (b *batch) each(do func(*run) error) error {
	errs := make(chan error, len(b.runs))
	for _, r := range b.runs {
		go func() {
			err := do(r)
			if err != nil {
				err = fmt.Errorf("%s: %w", r.cell, err)
			}
			errs <- err
		}()
	}
	var err error
	for range b.runs {
		err = errors.Join(err, <-errs)
	}
	return err
}

// open starts the subscriber of a run and returns when its first connection is accepted.
func (r *run) open(ctx context.Context) error {
	clients, stop := context.WithCancel(ctx)
	r.stop = stop
	if r.cell.Direction == Publish {
		return nil
	}
	s := r.session("client")
	if r.members {
		s = r.session("first")
	}
	r.clients.Go(func() { r.failed <- s.live(clients, entrypoints[r.cell.Entrypoint].subscribe(r.cell), 0) })
	if r.watched {
		r.clients.Go(func() {
			r.note(r.topic.watch(clients, func(at judge.Cursor) {
				if r.record.began(s.as.self.Subscriber) { // before, there is only where it begins
					r.record.tell(s.as, judge.Event{Kind: judge.Checkpointed, Cursor: at})
				}
			}))
		})
	}
	err := r.await(ctx, stallWithin, func() bool { return len(r.failed) > 0 || r.record.began(s.as.self.Subscriber) })
	if len(r.failed) > 0 {
		return <-r.failed
	}
	return err
}

// session is a subscriber: alone, or one member of several.
func (r *run) session(name string) *session {
	level := r.cell.level()
	s := &session{run: r, client: strings.Trim(r.path, "/"), leave: r.leave}
	s.as.self = judge.Event{Kind: judge.Subscribed, Subscriber: name, Level: level.String()}
	if r.cell.pushes() {
		s.as.self.Rules = r.pushed(judge.RulesOf(level))
	}
	if r.members {
		const order = judge.OrderPerKey | judge.OrderPerPartition
		s.as.self.Rules = order | judge.Invention
		s.as.union = judge.Event{Kind: judge.Subscribed, Subscriber: bothMembers, Level: level.String(), Rules: judge.RulesOf(level) &^ (order | judge.SilentGap)}
	}
	return s
}

// pushed are the promises to a webhook's receiver, which is called beside itself: the order is that of the keys, which MQTT has
// none of. Where a
// worker dies and the level repeats nothing, nobody is left to tell what it took along; a receiver has no connection that
// breaks.
func (r *run) pushed(rules judge.Rules) judge.Rules {
	rules &^= judge.OrderPerPartition
	if strings.HasPrefix(r.cell.Endpoint, "mqtt") {
		rules &^= judge.OrderPerKey
	}
	if r.fault.Name == "kill-worker" && r.cell.level() != qos.AtLeastOnce && r.cell.level() != qos.Auto {
		rules &^= judge.SilentGap
	}
	return rules
}

// bothMembers is the subscriber that stands for both members.
const bothMembers = "both"

// member is the second one, at the other worker, until ctx ends.
func (r *run) member(ctx context.Context) error {
	return r.session("second").live(ctx, entrypoints[r.cell.Entrypoint].subscribe(r.cell), 1)
}

// produce writes all messages of the run, or has its clients publish them.
func (r *run) produce(ctx context.Context) error {
	r.begun = time.Now()
	if r.cell.Direction == Publish {
		return r.publish(ctx)
	}
	if n := r.topic.fixed(); n > 0 {
		for i := range n {
			if err := r.topic.write(ctx, r.record, 0, identity{mockKey, int64(i)}, nil); err != nil {
				return err
			}
		}
		pause(ctx, r.span)
		return ctx.Err()
	}
	const beat = 20 * time.Millisecond
	perBeat := max(r.messages*int(beat)/int(r.span), 1)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for n := 0; n < r.messages; {
		for range min(perBeat, r.messages-n) {
			if err := r.write(ctx, n); err != nil {
				return err
			}
			n++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.topic.flush(ctx)
}

// write writes the n-th message, of the key whose turn it is.
func (r *run) write(ctx context.Context, n int) error {
	partition := n % partitions
	key := fmt.Sprintf("k%d.%d", partition, n/partitions%keysPerPartition)
	r.numbers[key]++
	m := identity{key, r.numbers[key]}
	return r.topic.write(ctx, r.record, partition, m, body(m, r.size))
}

func (r *run) publish(ctx context.Context) error {
	if r.topic.keeps() {
		r.record.add(r.witnessOf(log))
		for p := range partitions {
			r.record.add(r.witnessOf(fmt.Sprintf("%s/%d", log, p)))
		}
	}
	errs := make(chan error, publishers)
	for i := range publishers {
		p := &producer{run: r, number: i, client: fmt.Sprintf("%s-%d", strings.Trim(r.path, "/"), i), left: r.messages / publishers,
			every: r.span * publishers / time.Duration(r.messages), due: time.Now()}
		go func() { errs <- entrypoints[r.cell.Entrypoint].publish().publish(ctx, p) }()
	}
	var err error
	for range publishers {
		err = errors.Join(err, <-errs)
	}
	return err
}

// witnessOf is what a reader of the log is owed, see the package's documentation.
func (r *run) witnessOf(name string) judge.Event {
	e := judge.Event{Kind: judge.Subscribed, Subscriber: name, Level: r.cell.Level, Cursor: judge.Cursor{judge.Everywhere: 0}, Rules: judge.Invention}
	switch {
	case name != log:
		e.Rules |= judge.OrderPerKey
	case r.cell.level() != qos.None:
		e.Rules |= judge.Loss
	}
	return e
}

// settle waits until nothing more is to come, and ends the clients.
func (r *run) settle(ctx context.Context) error {
	r.settling.Store(true)
	r.slow.Store(false)
	if r.cell.Direction == Publish {
		r.took = time.Since(r.begun)
		return r.topic.witness(ctx, r.record)
	}
	err := r.tail(ctx)
	r.took = time.Since(r.begun)
	r.stop()
	r.clients.Wait()
	return errors.Join(err, <-r.failed)
}

// tail writes one more message per key until the last of every key arrives, and waits for those that are missing where
// that is promised, or likely.
func (r *run) tail(ctx context.Context) error {
	owed := r.cell.level() == qos.Auto || r.cell.level() == qos.AtLeastOnce
	for until := time.Now().Add(stallWithin); ; {
		if r.topic.fixed() == 0 {
			for n := range partitions * keysPerPartition {
				if err := r.write(ctx, n); err != nil {
					return err
				}
			}
			if err := r.topic.flush(ctx); err != nil {
				return err
			}
		}
		err := r.await(ctx, tailEvery, func() bool { return r.record.state().ended })
		if err == nil {
			break
		}
		if ctx.Err() != nil || len(r.failed) > 0 || time.Now().After(until) {
			return fmt.Errorf("the last messages do not arrive: %w", err)
		}
	}
	for before := int64(-1); owed && r.record.state().missing > 0; {
		now := r.record.state().deliveries
		if now == before {
			break
		}
		before = now
		if err := r.await(ctx, stillWithin, func() bool { return r.record.state().missing == 0 }); ctx.Err() != nil {
			return err
		}
	}
	return ctx.Err()
}

// errPatience: what was waited for did not come.
var errPatience = errors.New("waited in vain")

// await polls until ok, which must come true within the time.
func (r *run) await(ctx context.Context, within time.Duration, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			return errPatience
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// judge ends the history and judges it. It is kept where a promise was broken.
func (r *run) judge(o Options) (Result, error) {
	if err := r.record.close(); err != nil {
		return Result{}, err
	}
	v, err := Judge(r.history)
	if err != nil {
		return Result{}, err
	}
	res := r.result(v)
	if len(res.Broken) == 0 && !o.KeepAll {
		return res, os.Remove(r.history)
	}
	res.history = r.history
	return res, nil
}
