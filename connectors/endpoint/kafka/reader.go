package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/qos/message"
)

// reader reads the live end of a feed's topics, all partitions, for all subscribers.
type reader struct {
	f     *feed
	cl    *kgo.Client
	pulse pulse
	ring  ring
	lay   atomic.Pointer[layout]

	down    atomic.Bool // the cluster has not answered for a while
	wantIDs atomic.Bool // somebody resumes
	fatal   atomic.Pointer[message.Failure]
	kick    chan struct{} // there is something for watch to do

	growMu sync.Mutex // makes layouts grow one after the other

	mu      sync.Mutex // guards the following
	subs    map[*subscription]struct{}
	queue   []*lease // who waits for a catch-up reader
	parked  []parked // what pages left, at most as many as there are catch-up readers
	stopped bool
}

// Timings of a reader.
const (
	silence       = 3 * time.Second        // fetchWait and a margin: a cluster that answers nothing for so long is gone
	watchEvery    = 250 * time.Millisecond // how exact silence and grace are
	grace         = 5 * time.Second        // a reader without subscribers waits so long for the next
	refreshEvery  = 30 * time.Second       // how late new partitions are found
	refreshAbsent = time.Second            // the same while a topic is missing
	// how late new topics that match a pattern are found; a Java consumer takes metadata.max.age.ms, five minutes
	refreshMatches = 10 * time.Second
)

// liveFetchBytes bounds a fetch of the shared reader, in bytes of records. The ring's batches keep whole responses alive, so it must
// be small beside the ring.
const liveFetchBytes = 4 << 20

// startReader finds the ends of the topics and makes a reader that begins there.
func (f *feed) startReader(ctx context.Context) (*reader, error) {
	topics, err := f.discover(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.tooMany(); err != nil {
		return nil, err
	}
	ends, err := f.control.ends(ctx, topics)
	if err != nil {
		return nil, err
	}
	switch {
	case f.mustExist && f.pattern != nil && len(ends.at) == 0:
		return nil, &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid + ": no topic matches " + f.pattern.text}
	case f.mustExist && len(ends.missing) > 0 && f.pattern == nil:
		return nil, missingTopic(ends.missing[0])
	case len(ends.missing) > 0 && f.pattern == nil:
		f.control.create(ctx, ends.missing)
	}
	lay, vec := f.layoutOf(ends)
	r := &reader{f: f, kick: make(chan struct{}, 1), subs: map[*subscription]struct{}{}}
	r.lay.Store(lay)
	r.ring.init(f.e, &f.reading, lay, vec)
	r.pulse.beat()
	if r.cl, err = f.consumer("consumer", &r.pulse, lay, vec, min(liveFetchBytes, max(f.e.limits.RingBytes/4, 64<<10)), fetchWait); err != nil {
		return nil, err
	}
	if err := f.e.tasks.Start(ctx, r.run); err != nil {
		r.cl.Close()
		return nil, err
	}
	return r, nil
}

func missingTopic(topic string) *message.Failure {
	return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
		Message: textInvalid + ": topic " + topic + " does not exist"}
}

// consumer makes a client that reads the partitions of lay from vec on, about bytes of records at once.
func (f *feed) consumer(role string, p *pulse, lay *layout, vec vector, bytes int, wait time.Duration) (*kgo.Client, error) {
	from := map[string]map[int32]kgo.Offset{}
	for i, p := range lay.places {
		if vec.at(i) == elsewhere {
			continue
		}
		if from[p.topic] == nil {
			from[p.topic] = map[int32]kgo.Offset{}
		}
		from[p.topic][p.partition] = kgo.NewOffset().At(vec.at(i))
	}
	a := newAppetite(bytes)
	fetch, partition := a.limits()
	return kgo.NewClient(append(f.e.clientOptions(role),
		kgo.WithHooks(p, a),
		kgo.ConsumePartitions(from),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // what is lost is told, not passed over (repair)
		kgo.KeepControlRecords(),                    // they move positions
		kgo.FetchMaxBytes(fetch),
		kgo.FetchMaxPartitionBytes(partition),
		kgo.FetchMaxWait(wait),
		kgo.BrokerMaxReadBytes(maxMessageBytes),
		kgo.MaxDecompressBatchBytes(maxBatchBytes),
	)...)
}

// run reads until ctx ends or nobody has listened for the grace. It owns the reader's goroutines.
func (r *reader) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stats := &r.f.e.stats
	stats.readers.Add(1)
	defer stats.readers.Add(-1)
	defer r.f.forgetLeft()
	defer r.ring.clear()
	defer r.cl.Close()
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { r.watch(ctx, stop, &parts) })
	parts.Go(func() { r.saveRegularly(ctx) })
	for {
		fetches := r.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		r.absorb(ctx, fetches)
	}
}

// absorb puts what was fetched into the ring and wakes who waits for it.
func (r *reader) absorb(ctx context.Context, fetches kgo.Fetches) {
	if r.wantIDs.Load() {
		r.ring.withIDs()
	}
	r.ring.setLayout(r.lay.Load())
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		part := r.number(place{p.Topic, p.Partition})
		r.ring.setLayout(r.lay.Load())
		for _, rec := range p.Records {
			r.ring.add(part, rec)
		}
	})
	for _, e := range fetches.Errors() {
		if r.ring.repair(ctx, r.f, r.cl, e) {
			r.ring.wentBack()
		}
		if isDenied(e.Err) {
			r.fail(&message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: invalid(e.Err), Err: e.Err})
		}
	}
	r.ring.publish()
	r.ring.src.fire()
}

// number returns a partition's number; a new partition gets one.
func (r *reader) number(p place) int32 {
	if n := r.lay.Load().number(p.topic, p.partition); n >= 0 {
		return n
	}
	return r.extend([]place{p}).number(p.topic, p.partition)
}

// extend gives numbers to the places that have none, and reads them from their beginning: nobody has seen anything of
// them.
func (r *reader) extend(places []place) *layout {
	r.growMu.Lock()
	defer r.growMu.Unlock()
	lay := r.lay.Load()
	add := map[string]map[int32]kgo.Offset{}
	var fresh []place
	for _, p := range places {
		if lay.number(p.topic, p.partition) >= 0 {
			continue
		}
		fresh = append(fresh, p)
		if add[p.topic] == nil {
			add[p.topic] = map[int32]kgo.Offset{}
		}
		add[p.topic][p.partition] = kgo.NewOffset().AtStart()
	}
	if len(fresh) > 0 {
		lay = lay.with(fresh)
		r.lay.Store(lay)
		r.pulse.beat() // the first fetch may be the first request for long
		r.cl.AddConsumePartitions(add)
	}
	return lay
}

// fail ends all subscriptions with f.
func (r *reader) fail(f *message.Failure) {
	if r.fatal.CompareAndSwap(nil, f) {
		r.wakeAll()
	}
}

// wakeAll wakes every subscriber: something happened beside the messages.
func (r *reader) wakeAll() {
	r.mu.Lock()
	all := make([]*subscription, 0, len(r.subs))
	for s := range r.subs {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		s.wake()
	}
}

// watch notices that the cluster is gone or back, that partitions were added, that a subscriber fell behind, and that
// nobody listens any more.
func (r *reader) watch(ctx context.Context, stop context.CancelFunc, parts *sync.WaitGroup) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	idle, refreshed := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
			r.grant(ctx, parts)
		case now := <-tick.C:
			r.checkPulse(now)
			r.expire(now)
			r.grant(ctx, parts)
			if r.listening() {
				idle = now
			} else if now.Sub(idle) > grace && r.f.retire(r) {
				stop()
				return
			}
			if now.Sub(refreshed) > r.refreshPace() {
				r.refresh(ctx)
				refreshed = time.Now()
			}
		}
	}
}

func (r *reader) listening() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.subs) > 0
}

// checkPulse compares what the cluster does with what subscribers were told.
func (r *reader) checkPulse(now time.Time) {
	lay := r.lay.Load()
	gone := len(lay.places) > 0 && r.pulse.silentFor(now) > silence
	if gone != r.down.Load() {
		r.down.Store(gone)
		r.f.e.log.Warn("connection to the cluster changed", "closed", gone)
		r.wakeAll()
	}
}

func (r *reader) refreshPace() time.Duration {
	switch have := len(r.lay.Load().index); {
	case have < len(r.f.topics), have == 0:
		return refreshAbsent
	case r.f.pattern != nil:
		return refreshMatches
	}
	return refreshEvery
}

// refresh looks for new partitions, and for new topics that match the pattern.
func (r *reader) refresh(ctx context.Context) {
	topics, err := r.f.discover(ctx)
	var found offsets
	if err == nil {
		found, err = r.f.control.ends(ctx, topics)
	}
	if err != nil {
		if ctx.Err() == nil {
			r.f.e.lost.Warn(r.f.e.log, "look for new partitions", "err", err)
		}
		return
	}
	r.extend(found.places())
	if r.f.pattern != nil {
		r.f.counted.follow(r, topics)
	}
}
