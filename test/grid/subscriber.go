package grid

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// subscriberDriver is a client program of one entrypoint type, with nothing but what such a program keeps.
type subscriberDriver interface {
	// connect connects to url and reads until the connection ends, or ctx does. It calls s.begin when it was accepted, s.got for
	// each message in the order in which it reads them, and s.gap for each gap that it is told of. An error of s.got ends
	// the connection. The returned error says why it ended.
	connect(ctx context.Context, url string, s *session) error
}

// clientHeader names the client, as long as it lives (spec 2.0).
const clientHeader = "X-Gravitee-Client-Identifier"

// Pauses of clients.
const (
	retryPause = 50 * time.Millisecond // before connecting again
	slowPause  = 50 * time.Millisecond // of a slow client, after slowEvery messages
	slowEvery  = 16
)

// session is one subscriber over all its connections. Its driver's goroutine uses it.
type session struct {
	run      *run
	client   string // the identifier that it sends
	as       party
	resume   string     // its resume point; "": none
	number   int64      // messages of this connection
	unproved []identity // read since it last proved receipt
	leave    int        // it goes to the other worker after so many messages; 0: it stays
	stayed   int        // messages since it left; a page is a connection of its own
	unbroken bool       // its connections are one (http-get)
	open     bool
	fatal    error    // the program cannot go on
	conn     net.Conn // the last one, of clients that use dial
}

// errLeave ends a connection because the client wants to.
var errLeave = errors.New("the client leaves")

// begin notes that the server accepted the connection.
func (s *session) begin() {
	if s.unbroken && s.open {
		return
	}
	s.open, s.number = true, 0
	s.run.record.connected(s.as, s.start())
}

// start is where the connection begins, as far as the client's resume point says. See the package's documentation.
func (s *session) start() judge.Cursor {
	level := s.run.cell.level()
	switch {
	case level == qos.None:
		return nil
	case !s.run.record.began(s.as.self.Subscriber):
		return judge.Cursor{judge.Everywhere: 0}
	case level == qos.AtMostOnce || s.resume == "":
		return nil
	}
	return s.run.topic.cursor(s.resume)
}

// got notes a message. id is the client's resume point behind it; "": it sees none.
func (s *session) got(ctx context.Context, text, id string) error {
	m, err := s.run.topic.identify(text, id, s.number)
	if err != nil {
		s.fatal = err
		return err
	}
	s.number++
	s.run.record.delivered(s.as, m)
	if s.run.watched {
		s.unproved = append(s.unproved, m)
	}
	if id != "" {
		s.resume = id
	}
	if s.run.slow.Load() && s.number%slowEvery == 0 {
		pause(ctx, slowPause)
	}
	if s.stayed++; s.leave > 0 && s.stayed >= s.leave && !s.run.settling.Load() {
		s.stayed = 0
		return errLeave
	}
	return ctx.Err()
}

// prove notes that the client is about to prove receipt of all that it has read.
func (s *session) prove() {
	for _, m := range s.unproved {
		s.run.record.tell(s.as, judge.Event{Kind: judge.Acked, Key: m.key, Seq: m.seq})
	}
	s.unproved = s.unproved[:0]
}

// gap notes what the client is told that it does not get.
func (s *session) gap(reason string, ranges []lostRange) {
	if len(ranges) == 0 {
		s.run.record.tell(s.as, judge.Event{Kind: judge.Gap, Reason: reason})
	}
	for _, r := range ranges {
		e := judge.Event{Kind: judge.Gap, Reason: reason, Partition: fmt.Sprint(r.Partition), From: r.First, To: r.Next}
		if r.Partition < 0 {
			e.Partition, e.From, e.To = "", 0, 0
		}
		s.run.record.tell(s.as, e)
	}
}

// live connects to the workers in turn until ctx ends.
func (s *session) live(ctx context.Context, d subscriberDriver, first int) error {
	for turn := first; ctx.Err() == nil && s.fatal == nil; turn++ {
		err := d.connect(ctx, s.run.url(turn), s)
		if s.open && !s.unbroken && ctx.Err() == nil {
			s.open = false
			s.disconnected()
		}
		if errors.Is(err, errLeave) {
			s.run.left.Add(1)
			continue
		}
		s.run.note(err)
		pause(ctx, retryPause)
	}
	if s.open && s.run.cell.level() == qos.None {
		s.disconnected() // what comes later is not owed to it
	}
	return s.fatal
}

// disconnected is not told of the members together, of whom others may go on.
func (s *session) disconnected() {
	s.unproved = s.unproved[:0]
	s.run.record.add(judge.Event{Kind: judge.Disconnected, Subscriber: s.as.self.Subscriber})
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// gapDetail is the text of a gap, as subscribers of any entrypoint get it.
type gapDetail struct {
	Reason     string      `json:"reason"`
	Partitions []lostRange `json:"partitions"`
}

// lostRange is what is missing of one partition: offsets from First up to, not including, Next.
type lostRange struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Next      int64 `json:"next"`
}

// slowBuffer is what the kernel of a slow client may read ahead, in bytes. Less than twice loopback's largest segment (64 KiB)
// would have the two kernels wait for each other, whoever reads or writes.
const slowBuffer = 128 << 10

// dial connects with a small receive buffer where the run is about slow clients.
func (s *session) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil && s.run.slow.Load() {
		err = c.(*net.TCPConn).SetReadBuffer(slowBuffer)
	}
	s.conn = c
	return c, err
}

// closeWrite says that the client sends nothing more. It goes on reading.
func (s *session) closeWrite() error { return s.conn.(*net.TCPConn).CloseWrite() }

// web is an HTTP client of the session's own.
func (s *session) web() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.dial, ResponseHeaderTimeout: answerWithin}}
}

// answerWithin bounds the wait for an answer to begin: a worker that was killed or hangs must not hold a client for ever.
const answerWithin = 20 * time.Second

// notes keeps the last errors of clients, for the message of a run that stalls.
type notes struct {
	mu   sync.Mutex // guards the following
	last error
	n    int
}

func (n *notes) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last, n.n = err, n.n+1
}

// String tells the last error.
func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.n == 0 {
		return "no errors at the clients"
	}
	return fmt.Sprintf("%d errors at the clients, the last: %v", n.n, n.last)
}
