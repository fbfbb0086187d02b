package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// quiet is how long a run waits for messages when none comes, where the job does not say; then those that are missing are lost.
	quiet = 20 * time.Second
	// readSize is what one read takes at most, in bytes. Buffers are lent for one read, so that idle connections have none.
	readSize = 256 << 10
	// dialing is how many connections are opened at a time: the queue of a listener is bounded.
	dialing = 64
)

// parser takes what comes over one connection, cut anywhere.
type parser interface {
	// feed returns an error where the other side says something that a run must not have.
	feed(p []byte) error
}

// streams are the clients of one run.
type streams struct {
	job    Job
	host   string
	path   string
	conns  []*conn
	last   atomic.Int64 // when the last came, Unix nanoseconds
	first  atomic.Int64
	lost   atomic.Int64 // gap events
	shards []shard

	opened   func(*conn)    // told of each connection; nil: nobody is
	watching sync.WaitGroup // those that read connections which nothing is waited for on
	gone     atomic.Int64   // such connections that ended
}

// shard is a histogram that some connections share.
type shard struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // guarded by mu
	_  [40]byte
}

// conn is one client.
type conn struct {
	all      *streams
	number   int
	net      net.Conn
	parser   parser
	seen     Set
	count    int64
	at       int64 // when the bytes that are parsed came
	shard    *shard
	lastID   []byte
	attempts int64
	ended    bool // the stream came to its end
}

// stream reads what Clients clients get until each has Total messages, or, where the level may lose some, nothing comes any more.
func stream(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	u, err := url.Parse(job.URL)
	if err != nil {
		return Outcome{}, err
	}
	s := &streams{job: job, host: u.Host, path: u.RequestURI(), shards: make([]shard, 4*runtime.GOMAXPROCS(0))}
	for i := range s.shards {
		s.shards[i].h = newHistogram()
	}
	defer s.close()
	if job.Live {
		if err := s.open(ctx); err != nil {
			return Outcome{}, err
		}
	}
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	tell.Say(Measuring, "")
	if !job.Live {
		if err := s.open(ctx); err != nil {
			return Outcome{}, err
		}
	}
	err = s.read(ctx)
	tell.Say(Measured, "")
	return s.outcome(), err
}

// open connects all clients.
func (s *streams) open(ctx context.Context) error {
	s.conns = make([]*conn, s.job.Clients)
	group := make(chan error)
	next := atomic.Int64{}
	workers := min(dialing, s.job.Clients)
	for range workers {
		go func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= len(s.conns) {
					group <- nil
					return
				}
				c := &conn{all: s, number: i, shard: &s.shards[i%len(s.shards)]}
				s.conns[i] = c
				if err := c.dial(ctx); err != nil {
					next.Store(int64(len(s.conns)))
					group <- fmt.Errorf("client %d: %w", i, err)
					return
				}
				if s.opened != nil {
					s.opened(c)
				}
			}
		}()
	}
	var first error
	for range workers {
		if err := <-group; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *streams) close() {
	for _, c := range s.conns {
		if c != nil && c.net != nil {
			_ = c.net.Close()
		}
	}
}

// source is the address that client i connects from: one address has some 28,000 ports.
func source(sources, i int) *net.TCPAddr {
	if sources == 0 {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%sources))}
}

// dial connects, asks for the stream and reads the head of the answer; what came behind it is parsed.
func (c *conn) dial(ctx context.Context) error {
	d := net.Dialer{}
	if from := source(c.all.job.Sources, c.number); from != nil {
		d.LocalAddr = from
	}
	nc, err := d.DialContext(ctx, "tcp", c.all.host)
	if err != nil {
		return err
	}
	c.net = nc
	if c.all.job.Form == WebSocket {
		c.parser = &frames{c: c}
	} else {
		c.parser = &events{c: c}
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := nc.Write(c.request()); err != nil {
		return err
	}
	r := bufio.NewReaderSize(nc, 4<<10)
	if err := readHead(r, c.all.job.Form); err != nil {
		return err
	}
	_ = nc.SetDeadline(time.Time{})
	rest, _ := r.Peek(r.Buffered())
	if err := c.take(rest); err != io.EOF {
		return err
	}
	c.ended = true // the answer was whole at once; run decides what follows
	return nil
}

// take parses what came.
func (c *conn) take(p []byte) error {
	c.at = time.Now().UnixNano()
	before := c.count
	err := c.parser.feed(p)
	if c.count > before {
		c.all.last.Store(c.at)
	}
	return err
}

func (c *conn) request() []byte {
	req := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", c.all.path, c.all.host)
	if id := c.all.job.Client; id != "" {
		req = fmt.Appendf(req, "X-Gravitee-Client-Identifier: %s-%d\r\n", id, c.number)
	}
	if c.all.job.Form == WebSocket {
		return append(req, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"...)
	}
	if len(c.lastID) > 0 {
		req = fmt.Appendf(req, "Last-Event-ID: %s\r\n", c.lastID)
	}
	return append(req, "Accept: text/event-stream\r\n\r\n"...)
}

// readHead reads a response's head to its empty line.
func readHead(r *bufio.Reader, form string) error {
	want := []byte(" 200 ")
	if form == WebSocket {
		want = []byte(" 101 ")
	}
	status, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if !bytes.Contains(status, want) {
		status = bytes.Clone(status)
		rest, _ := r.Peek(r.Buffered())
		return fmt.Errorf("answered %q %.500q", status, rest)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read the answer's head: %w", err)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
	}
}

// read has every client read until it has what it waits for.
func (s *streams) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		for _, c := range s.conns {
			_ = c.net.SetReadDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	s.last.Store(time.Now().UnixNano())
	var wg sync.WaitGroup
	for _, c := range s.conns {
		wg.Go(func() {
			if err := c.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	tick := time.NewTicker(s.job.glance())
	defer tick.Stop()
	for {
		select {
		case <-ended:
			if err := context.Cause(ctx); err != nil && !errors.Is(err, errIncomplete) {
				return err
			}
			return nil
		case <-tick.C:
			if time.Since(time.Unix(0, s.last.Load())) > s.job.patience(s.first.Load() > 0) {
				cancel(errIncomplete)
			}
		}
	}
}

// run reads one client's stream to its end.
func (c *conn) run(ctx context.Context) error {
	for c.missing() {
		err := io.EOF
		if !c.ended {
			err = c.some()
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil // whoever ended it knows why
		}
		if !c.all.job.Resume || !errors.Is(err, io.EOF) {
			return fmt.Errorf("client %d, after %d of %d messages: %w", c.number, c.count, c.all.job.Total, err)
		}
		_ = c.net.Close()
		c.ended = false
		c.attempts++
		if err := c.dial(ctx); err != nil {
			return fmt.Errorf("client %d comes back: %w", c.number, err)
		}
	}
	return nil
}

func (c *conn) missing() bool {
	if c.all.job.Same {
		return c.count < c.all.job.Total
	}
	return c.seen.Len() < c.all.job.Total
}

// got takes a message, from its first bytes on.
func (c *conn) got(content []byte) {
	s := c.all
	c.count++
	if s.first.Load() == 0 {
		s.first.CompareAndSwap(0, c.at)
	}
	if s.job.Same {
		return
	}
	n, at, ok := ReadStamp(content)
	if !ok || n >= maxNumber {
		return
	}
	c.seen.add(n)
	if at > 0 {
		c.shard.mu.Lock()
		record(c.shard.h, time.Duration(c.at-at))
		c.shard.mu.Unlock()
	}
}

func (s *streams) outcome() Outcome {
	h := newHistogram()
	for i := range s.shards {
		h.Merge(s.shards[i].h)
	}
	out := Outcome{Sent: s.job.Total * int64(s.job.Clients), Gaps: s.lost.Load(), Latency: summary(h)}
	end := int64(0)
	for _, c := range s.conns {
		n, again := c.count, int64(0)
		if !s.job.Same {
			n, again = c.seen.Len(), c.seen.Again()
		}
		out.Delivered += n
		out.Duplicated += again
		out.Lost += max(s.job.Total-n, 0)
		out.Reconnects += c.attempts
		end = max(end, c.at)
	}
	if s.job.Lossy {
		out.Lost = 0 // nothing of it was promised; what is missing is what was sent and not delivered
	}
	out.Messages = out.Delivered
	if first := s.first.Load(); first > 0 {
		out.Seconds = time.Duration(end - first).Seconds()
	}
	return out
}
