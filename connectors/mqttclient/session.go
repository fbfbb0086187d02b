package mqttclient

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/message"
)

// session is one session that the broker keeps for a client identifier, and the subscribers on this worker that share it:
// each message goes to one of them. What may be answered to the broker, and when, is in proof.go.
type session struct {
	ask
	ss      *sessions
	e       *Endpoint
	refs    int  // guarded by sessions.mu
	closing bool // guarded by sessions.mu
	left    chan struct{}
	leave   sync.Once     // closes left: nobody is there any more
	done    chan struct{} // closed when run has returned
	kick    chan struct{} // there may be something to write
	space   chan struct{} // there may be room to read
	fatal   atomic.Pointer[message.Failure]
	decoder decoder // the reading goroutine's

	mu      sync.Mutex // guards the following
	members map[*member]struct{}
	waiting map[*member]struct{} // those that have nothing to poll
	have    int                  // QoS that the broker has granted us; -1: none yet
	linked  bool
	lastErr error
	changed chan struct{} // closed when any of these changes

	ready   backlog // received and with nobody
	cleared backlog // at-most-once: what the broker will not send again, with nobody
	win     window
	held    int              // bytes of what is in win
	order   queue[receipt]   // what the broker awaits an answer to, as it was received over this connection
	stale   map[uint16]int64 // packet identifiers that the broker may send again, and the message; had: none to be handed out
	fences  queue[fence]     // what awaits a PINGRESP
	fenced  int              // messages among them
	demand  int              // at-most-once: how many messages are wanted
	last    *member          // at-least-once: whom something was handed last
	several bool             // at-least-once: others were handed something too, over this connection or one before
	doubted int              // at-most-once: answered over a connection that broke before the broker had certainly read it
	links   int              // how many connections there were
	asking  []*member        // pages that want to know whether the broker has more
	lent    int              // bytes, among held, that pages have taken
	lentN   int              // and messages, among those in win
}

// receipt is a message that the broker awaits an answer to.
type receipt struct {
	seq int64 // had: answered as soon as its turn comes
	id  uint16
	qos byte
}

const had = -1

// mostHeld bounds the messages of a session that are not settled. It is more than receiveMaximum since messages of QoS 0,
// and brokers of MQTT 3.1.1, know no such bound.
const mostHeld = 4 * receiveMaximum

// sessionShare is the part of Limits.RingBytes that a session may hold, but leastHeld bytes at least: what is held is on its way
// to clients, and less than goes out in the time of a proof makes them wait for each other.
const (
	sessionShare = 16
	leastHeld    = 256 << 10
)

// mostShort is how many connections may end one after another within steady, each having been good for a subscription,
// before somebody else is taken to use our client id.
const mostShort = 8

func newSession(ss *sessions, a ask) *session {
	return &session{ask: a, ss: ss, e: ss.e, have: -1, left: make(chan struct{}), done: make(chan struct{}),
		kick: make(chan struct{}, 1), space: make(chan struct{}, 1), changed: make(chan struct{}),
		members: map[*member]struct{}{}, waiting: map[*member]struct{}{}, stale: map[uint16]int64{}}
}

// run connects and reads until ctx ends, nobody is left, or the broker refuses us or takes the session away.
func (s *session) run(ctx context.Context) {
	s.e.stats.sessions.Add(1)
	defer s.e.stats.sessions.Add(-1)
	defer close(s.done)
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	parts.Go(func() {
		select {
		case <-s.left:
			stop()
		case <-ctx.Done():
		}
	})
	err := s.keep(ctx)
	if err == supervise.ErrEnded { // else the session may be somebody else's
		s.erase(context.WithoutCancel(ctx))
	}
	s.finish(subscribeFailure(err))
	s.abandon()
}

// keep keeps a connection up. It returns why that is over.
func (s *session) keep(ctx context.Context) error {
	served, fails, refused, short := false, 0, 0, 0
	for ctx.Err() == nil {
		l, err := s.e.dial(ctx, s.hello())
		if err == nil {
			s.e.stats.connects.Add(1)
			begun := time.Now()
			err = s.serve(ctx, l, served)
			served = true
			if time.Since(begun) > steady {
				fails, refused, short = 0, 0, 0
			} else if s.wasGranted() {
				short++
			}
		}
		s.down(err)
		if ctx.Err() != nil {
			break
		}
		fails++
		if isLasting(err) {
			refused++
		}
		if short >= mostShort || s.isContested(ctx, err) {
			err = errContested
		}
		gaveUp := !served && fails > s.e.set.attempts || refused > 0 && !served || refused > s.e.set.attempts
		if gaveUp || isDenied(err) || isTakenOver(err) {
			return err
		}
		s.e.lost.Warn(s.e.log, "connection to the broker is closed", "client", s.clientID, "err", err)
		_ = pause(ctx, backoff(fails)) // the loop notices the end
	}
	return supervise.ErrEnded
}

// isContested: the broker has ended our connection in order and without a word, and takes another one at once. That is how
// MQTT 3.1.1 gives a session to somebody else, and Mosquitto does so in MQTT 5 as well. A broker that was stopped takes no
// connection at that moment, and a network that broke ends none in order.
func (s *session) isContested(ctx context.Context, err error) bool {
	if s.alone || !errors.Is(err, io.EOF) || !s.wasGranted() {
		return false
	}
	l, err := s.e.dial(ctx, fresh())
	if err != nil {
		return false
	}
	l.bye()
	l.close()
	return true
}

func (s *session) hello() hello {
	return hello{clientID: s.clientID, expiry: s.expiry, buffer: 16 << 10}
}

func (s *session) wasGranted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have >= 0
}

// serve subscribes over l and reads until it breaks or ctx ends. again: there was a connection before.
func (s *session) serve(ctx context.Context, l *link, again bool) error {
	defer l.close()
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	s.up(l.present, again)
	var written, err error
	parts.Go(func() {
		written = s.write(ctx, l)
		stop(written)
	})
	// MQTT 3.1.1 would send what is retained once more; but a Mosquitto that was restarted knows nothing of who shares.
	if !again || !l.present || s.e.version == V5 || isShared(s.filter) {
		err = l.send(s.subscribe())
	}
	if err == nil {
		err = s.read(ctx, l)
	}
	stop(err)
	parts.Wait()
	return endOf(context.Cause(ctx), written)
}

// endOf says how a connection ended. Where it was reset, the system tells the first who asks: if that was the writer, the
// reader finds an end in order, which would mean something else (isContested).
func endOf(cause, written error) error {
	if errors.Is(cause, io.EOF) && errors.Is(written, syscall.ECONNRESET) {
		return written
	}
	return cause
}

// subscribe makes the packet: what is retained comes only where the session has no such subscription yet, and not at all to
// those who share (MQTT 5, 4.8.2; Mosquitto 2.0 sends it to each of them unless it is told not to).
func (s *session) subscribe() *packets.ControlPacket {
	p := packets.NewControlPacket(packets.SUBSCRIBE)
	c := p.Content.(*packets.Subscribe)
	c.PacketID = 1
	retained := newRetained
	if isShared(s.filter) {
		retained = keepRetained
	}
	c.Subscriptions = []packets.SubOptions{{Topic: s.filter, QoS: s.qos, RetainAsPublished: true, RetainHandling: retained}}
	return p
}

// up takes the connection into service. present: the broker has kept the session; again: there was a connection before.
func (s *session) up(present, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linked = true
	s.links++
	if !again {
		return
	}
	reason := ""
	if s.doubted > 0 {
		reason, s.doubted = reasonConnection, 0
	}
	if !present { // the broker has forgotten what it had for us
		clear(s.stale)
		s.have = -1 // and the subscription with it
		s.e.stats.sessionsLost.Add(1)
		reason = reasonSession
	}
	if !s.alone && (present || s.first) {
		s.forsake()
	}
	for m := range s.members {
		if reason != "" {
			m.gap = reason
		}
		m.notify(false)
	}
	s.wakeAll()
	s.change()
}

// down takes the connection out of service. What it leaves unanswered, the broker sends again.
func (s *session) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.linked {
		for m := range s.members {
			m.notify(true)
		}
		s.wakeAll()
	}
	s.linked, s.lastErr = false, err
	s.change()
	s.order.clear()
	for i := s.fences.len() - 1; i >= 0; i-- {
		views := s.fences.items[s.fences.head+i].views
		for j := len(views) - 1; j >= 0; j-- {
			s.ready.giveBack(views[j])
			s.doubt(views[j])
		}
	}
	s.fences.clear()
	s.fenced = 0
	for i := s.win.head; i < len(s.win.slots); i++ {
		if sl := &s.win.slots[i]; !sl.done {
			s.unanswered(sl, s.win.base+int64(i-s.win.head))
		}
	}
	s.win.advance()
}

// change tells those who wait for a change. The caller holds mu.
func (s *session) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wakeAll wakes who has nothing to poll. The caller holds mu.
func (s *session) wakeAll() {
	for m := range s.waiting {
		m.wake()
	}
	clear(s.waiting)
}

// finish ends all subscriptions with fail, unless they have ended.
func (s *session) finish(fail *message.Failure) {
	s.ss.forget(s)
	if !s.fatal.CompareAndSwap(nil, fail) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
	s.wakeAll()
}

// join waits until the broker has granted the subscription and makes m a member. What a session brings before it answers
// shows that it had the subscription; and where there is more than may be held, the answer is not read until somebody takes
// some of it.
func (s *session) join(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeoutCause(ctx, joinTimeout, errTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if fail := s.fatal.Load(); fail != nil {
			return fail
		}
		if s.linked && (s.have >= 0 || s.ready.n > 0) {
			s.members[m] = struct{}{}
			if m.page != nil {
				m.page.link = s.links
			}
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		s.mu.Lock()
		if err != nil {
			if s.lastErr != nil {
				err = s.lastErr
			}
			return err
		}
	}
}
