package mqttclient

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/message"
)

// feed serves one topic filter: one connection and one upstream subscription for all subscribers.
type feed struct {
	fs      *feeds
	e       *Endpoint
	filter  string
	refs    int // guarded by feeds.mu
	ring    ring
	waiting waiting
	fatal   atomic.Pointer[message.Failure] // why it has ended

	decoder decoder // the reading goroutine's

	mu      sync.Mutex // guards the following, and the writing side of ring
	kept    retained
	link    *link         // nil: not connected
	want    byte          // QoS to subscribe with: the highest that a subscriber needs
	have    int           // QoS that the broker has granted us over link; -1: none yet
	lastErr error         // why there is no link
	changed chan struct{} // closed when any of these changes
}

const (
	// grace is how long a feed without subscribers waits for the next.
	grace = 5 * time.Second
	// watchEvery is how exact grace is.
	watchEvery = 250 * time.Millisecond
	// joinTimeout bounds how long a subscriber waits for the connection, whatever ReconnectAttempts says.
	joinTimeout = 10 * time.Second
)

func newFeed(fs *feeds, filter string) *feed {
	f := &feed{fs: fs, e: fs.e, filter: filter, have: -1, changed: make(chan struct{})}
	f.ring.init(fs.e.limits.RingBytes, &fs.e.stats)
	f.kept.init(fs.e.limits.RingBytes / retainedShare)
	return f
}

// run connects and reads until ctx ends, nobody has listened for the grace, or the broker refuses us.
func (f *feed) run(ctx context.Context) {
	f.e.stats.readers.Add(1)
	defer f.e.stats.readers.Add(-1)
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	defer f.ring.clear()
	parts.Go(func() { f.watch(ctx, stop) })
	served, fails, refused := false, 0, 0
	for ctx.Err() == nil {
		l, err := f.e.dial(ctx, fresh())
		if err == nil {
			f.e.stats.connects.Add(1)
			begun := time.Now()
			err = f.serve(ctx, l, served)
			served = true
			if time.Since(begun) > steady {
				fails, refused = 0, 0
			}
		}
		f.down(err)
		if ctx.Err() != nil {
			break
		}
		fails++
		if isLasting(err) {
			refused++
		}
		if gaveUp := !served && fails > f.e.set.attempts; gaveUp || refused > 0 && !served || refused > f.e.set.attempts || isDenied(err) {
			f.finish(subscribeFailure(err))
			return
		}
		f.e.lost.Warn(f.e.log, "connection to the broker is closed", "filter", f.filter, "err", err)
		_ = pause(ctx, backoff(fails)) // the loop notices the end
	}
	f.finish(subscribeFailure(supervise.ErrEnded))
}

// isDenied: the broker refuses the subscription itself, which no retry changes.
func isDenied(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.packet == packetSubscribe
}

// serve subscribes over l and reads until it breaks or ctx ends. again: there was a connection before.
func (f *feed) serve(ctx context.Context, l *link, again bool) error {
	defer l.close()
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts.Go(func() { l.ping(ctx) })
	f.mu.Lock()
	want := f.want
	f.mu.Unlock()
	if err := l.send(f.subscribe(want, sendRetained)); err != nil {
		return err
	}
	f.up(l, want, again)
	return f.read(ctx, l)
}

// up takes the connection into service. Subscribers of before are told what they may have missed.
func (f *feed) up(l *link, want byte, again bool) {
	f.mu.Lock()
	f.link = l
	f.kept.renew(time.Now())
	if again {
		f.ring.event(gapMessage(0, reasonConnection))
		f.ring.event(message.ConnectionNotice(false))
	}
	raise := f.want > want // somebody came meanwhile
	f.mu.Unlock()
	f.waiting.fire()
	if raise {
		_ = l.send(f.subscribe(f.e.set.consumeQoS, keepRetained)) // the reader notices a failure
	}
}

// down takes the connection out of service and tells subscribers.
func (f *feed) down(err error) {
	f.mu.Lock()
	if f.link != nil {
		f.ring.event(message.ConnectionNotice(true))
	}
	f.link, f.have, f.lastErr = nil, -1, err
	f.change()
	f.mu.Unlock()
	f.waiting.fire()
}

// change tells those who wait for a change. The caller holds mu.
func (f *feed) change() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Retain handling of a SUBSCRIBE (MQTT 5, 3.8.3.1).
const (
	sendRetained byte = 0
	newRetained  byte = 1 // where there is no such subscription yet
	keepRetained byte = 2
)

// subscribe makes the packet. Its identifier tells the QoS, for the answer.
func (f *feed) subscribe(qos, retainHandling byte) *packets.ControlPacket {
	p := packets.NewControlPacket(packets.SUBSCRIBE)
	s := p.Content.(*packets.Subscribe)
	s.PacketID = uint16(qos) + 1
	s.Subscriptions = []packets.SubOptions{{Topic: f.filter, QoS: qos, RetainAsPublished: true, RetainHandling: retainHandling}}
	return p
}

// read takes what the broker sends. Messages are acknowledged once they are in the ring, and shown to subscribers when no
// further one is at hand.
func (f *feed) read(ctx context.Context, l *link) error {
	var acks []byte
	for {
		p, err := l.read()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		switch c := p.Content.(type) {
		case *packets.Suback:
			if err := f.granted(c); err != nil {
				return err
			}
		case *packets.Publish:
			f.absorb(c)
			if c.QoS > 0 {
				acks = appendAck(acks, c.QoS, c.PacketID)
			}
		case *packets.Pubrel:
			acks = appendComp(acks, c.PacketID)
		}
		if l.hasPacket() && len(acks) < writeBytes {
			continue
		}
		f.show()
		if len(acks) > 0 {
			if _, err := l.write(acks); err != nil {
				return err
			}
			acks = acks[:0]
		}
	}
}

// deniedBy is the refusal in an answer to a SUBSCRIBE, if it is one.
func deniedBy(a *packets.Suback) error {
	if len(a.Reasons) == 1 && a.Reasons[0] < packets.SubackUnspecifiederror {
		return nil
	}
	r := &refusal{packet: packetSubscribe, code: packets.SubackUnspecifiederror, text: a.Properties.ReasonString}
	if len(a.Reasons) == 1 {
		r.code = a.Reasons[0]
	}
	return r
}

// granted takes the broker's answer to a SUBSCRIBE.
func (f *feed) granted(a *packets.Suback) error {
	if err := deniedBy(a); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have = max(f.have, int(a.PacketID)-1)
	f.change()
	return nil
}

// absorb puts a message into the ring and, where it is retained, aside for those who come later. What the broker sends
// anew after a reconnection, and is unchanged, is kept from those who have had it.
func (f *feed) absorb(p *packets.Publish) {
	now := time.Now()
	m, size := f.decoder.message(p, now)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Retain && !isShared(f.filter) && f.kept.put(&m, size, expires(p, now)) {
		return
	}
	f.ring.append(&m, size)
}

// show shows subscribers what was absorbed.
func (f *feed) show() {
	f.mu.Lock()
	f.ring.publish()
	f.mu.Unlock()
	f.waiting.fire()
}

// join waits until the broker has granted the QoS and gives s its place: the live end, after the retained messages.
func (f *feed) join(ctx context.Context, s *subscription, want byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, joinTimeout, errTimeout)
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.have < int(want) || f.link == nil {
		if fail := f.fatal.Load(); fail != nil {
			return fail
		}
		l, changed, raise := f.link, f.changed, want > f.want
		f.want = max(f.want, want)
		f.mu.Unlock()
		if raise && l != nil {
			_ = l.send(f.subscribe(want, keepRetained)) // the reader notices a failure
		}
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		f.mu.Lock()
		if err != nil {
			return errors.Join(err, f.lastErr)
		}
	}
	if fail := f.fatal.Load(); fail != nil {
		return fail
	}
	s.before = f.kept.list(time.Now())
	if f.kept.short {
		s.gaps = append(s.gaps, gapMessage(0, reasonRetained))
	}
	s.cur, s.idx = f.ring.end()
	return nil
}

// leave says that a subscriber has gone.
func (f *feed) leave() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.refs--
}

// finish ends all subscriptions with fail, unless they have ended.
func (f *feed) finish(fail *message.Failure) {
	f.fs.forget(f, false)
	if !f.fatal.CompareAndSwap(nil, fail) {
		return
	}
	f.mu.Lock()
	f.change()
	f.mu.Unlock()
	f.waiting.fire()
}

// watch ends a feed that nobody uses.
func (f *feed) watch(ctx context.Context, stop context.CancelFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	used := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			f.fs.mu.Lock()
			if f.refs > 0 {
				used = now
			}
			f.fs.mu.Unlock()
			if now.Sub(used) > grace && f.fs.forget(f, true) {
				stop()
				return
			}
		}
	}
}
