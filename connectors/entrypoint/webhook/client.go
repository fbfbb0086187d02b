package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// Bounds of answers, in bytes.
const (
	maxAnswerHead = 16 << 10 // the status line and the headers
	maxAnswerBody = 64 << 10 // what is read of a body so that the connection can be used again
	excerptBytes  = 256      // of a body, for people
)

// client keeps connections to one receiver and makes calls over them. It is fasthttp's codec without its HostClient, which has no
// contexts, hides the status of an answer whose body is too large, and leaves a goroutine behind. It starts no goroutine.
type client struct {
	open        func(ctx context.Context) (net.Conn, error)
	idleTimeout time.Duration
	timeout     time.Duration

	mu sync.Mutex
	// guards the following
	idle []*conn // the last used last
	all  map[*conn]struct{}
	cut  bool
}

// conn is a connection, used by one call at a time.
type conn struct {
	net.Conn
	br    *bufio.Reader
	raw   syscall.RawConn // of the socket; nil: unknown
	since time.Time       // idle
	used  bool            // it has carried a call
	peer  bool            // what peek found: the peer has not closed
	look  func(fd uintptr) bool
}

// reply is what the receiver answered.
type reply struct {
	status  int
	after   time.Duration // Retry-After; 0: none
	excerpt []byte        // of the body
	header  *fasthttp.ResponseHeader
}

// drainTime bounds the wait for the body of an answer.
const drainTime = time.Second

var (
	errCut    = errors.New("the delivery ended before the receiver answered")
	errClosed = errors.New("the receiver closed the connection before it answered")
)

// never is no deadline.
var never time.Time

// early is an error that came before the first byte of an answer over a connection that had been used before: what an idle
// connection does that the receiver gives up at the same moment.
type early struct{ err error }

func (e *early) Error() string { return e.err.Error() }
func (e *early) Unwrap() error { return e.err }

// call sends a request and reads the answer. The reply is filled even where its body is not what was promised: the status counts.
func (c *client) call(ctx context.Context, request, body []byte, fresh bool, r *reply) error {
	k, err := c.get(ctx, fresh)
	if err != nil {
		return err
	}
	keep, err := k.exchange(request, body, c.timeout, r)
	if err != nil && c.isCut() {
		err = errCut
	}
	c.put(k, keep && err == nil)
	return err
}

// get takes an idle connection whose peer has not closed it, or opens one.
func (c *client) get(ctx context.Context, fresh bool) (*conn, error) {
	now := time.Now()
	for !fresh {
		k := c.pop()
		if k == nil {
			break
		}
		if now.Sub(k.since) < c.idleTimeout && k.alive() {
			return k, nil
		}
		c.put(k, false)
	}
	raw, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	k := &conn{Conn: raw, br: bufio.NewReaderSize(raw, maxAnswerHead)}
	k.raw = socket(raw)
	k.look = k.peek
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		_ = raw.Close()
		return nil, errCut
	}
	c.all[k] = struct{}{}
	return k, nil
}

func (c *client) pop() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		return nil
	}
	k := c.idle[len(c.idle)-1]
	c.idle[len(c.idle)-1] = nil
	c.idle = c.idle[:len(c.idle)-1]
	return k
}

func (c *client) put(k *conn, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep && !c.cut {
		k.used, k.since = true, time.Now()
		c.idle = append(c.idle, k)
		return
	}
	delete(c.all, k)
	_ = k.Close()
}

func (c *client) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// expire closes connections that were idle for too long and returns when the next will be; zero: none.
func (c *client) expire(now time.Time) (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.idle) && now.Sub(c.idle[n].since) >= c.idleTimeout {
		delete(c.all, c.idle[n])
		_ = c.idle[n].Close()
		n++
	}
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle) : len(c.idle)+n])
	if len(c.idle) == 0 {
		return time.Time{}
	}
	return c.idle[0].since.Add(c.idleTimeout)
}

// close cuts all connections, those in use too. No call gets another.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for k := range c.all {
		_ = k.Close()
	}
	clear(c.all)
	c.idle = nil
}

// exchange makes one call and tells whether the connection can carry another.
func (k *conn) exchange(request, body []byte, timeout time.Duration, r *reply) (keep bool, err error) {
	end := time.Now().Add(timeout)
	if err := k.SetDeadline(end); err != nil {
		return false, err
	}
	wrote := k.send(request, body)
	// An answer may be there although not all was sent: a receiver that refuses says why and hangs up.
	if err := k.readHead(r); err != nil {
		if wrote != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			err = wrote
		}
		return false, k.explain(err, timeout)
	}
	r.status = r.header.StatusCode()
	if value := r.header.Peek(fasthttp.HeaderRetryAfter); len(value) > 0 {
		r.after = retryAfter(string(value), time.Now())
	}
	if wrote != nil {
		return false, nil
	}
	if k.br.Buffered() == 0 { // the status is what counts: a body that dawdles does not hold up the next message
		rest := time.Now().Add(drainTime)
		if rest.Before(end) && k.SetReadDeadline(rest) != nil {
			return false, nil
		}
	}
	return k.drain(r) && !r.header.ConnectionClose(), nil
}

func (k *conn) send(request, body []byte) error {
	if _, err := k.Write(request); err != nil || len(body) == 0 {
		return err
	}
	_, err := k.Write(body)
	return err
}

// readHead reads the final status line and headers, past informational ones.
func (k *conn) readHead(r *reply) error {
	const most = 4 // informational answers
	for range most + 1 {
		if _, err := k.br.Peek(1); err != nil {
			if k.used && !errors.Is(err, os.ErrDeadlineExceeded) {
				return &early{err}
			}
			return err
		}
		if err := r.header.Read(k.br); err != nil {
			return err
		}
		if status := r.header.StatusCode(); status >= fasthttp.StatusOK {
			return nil
		}
	}
	return errors.New("the receiver sends one informational answer after the other")
}

// explain says what an error means to whoever runs the receiver.
func (k *conn) explain(err error, timeout time.Duration) error {
	var e *early
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer within %v", timeout)
	case errors.As(err, &e):
		return &early{closing(e.err)}
	}
	return closing(err)
}

func closing(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errClosed
	}
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) {
		return fmt.Errorf("the headers of the answer are larger than %d bytes", maxAnswerHead)
	}
	return fmt.Errorf("call the receiver: %w", err)
}

// drain reads the body, keeps its beginning, and tells whether it is over within bounds.
func (k *conn) drain(r *reply) bool {
	length := r.header.ContentLength()
	switch status := r.status; {
	case status == fasthttp.StatusNoContent, status == fasthttp.StatusNotModified, length == 0:
		return true
	case length > 0:
		first, _ := k.br.Peek(min(length, excerptBytes))
		r.excerpt = append(r.excerpt[:0], first...)
		if length > maxAnswerBody {
			return false
		}
		n, err := k.br.Discard(length)
		return err == nil && n == length
	case length == -1:
		return k.drainChunks(r)
	}
	return false // it ends with the connection
}

func (k *conn) drainChunks(r *reply) bool {
	body := io.LimitReader(httputil.NewChunkedReader(k.br), maxAnswerBody)
	if cap(r.excerpt) < excerptBytes {
		r.excerpt = make([]byte, 0, excerptBytes)
	}
	n, err := io.ReadFull(body, r.excerpt[:excerptBytes])
	r.excerpt = r.excerpt[:n]
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err != nil {
		return false
	}
	end, err := k.br.Peek(2) // behind the last chunk; a trailer ends the connection instead
	if err != nil || string(end) != "\r\n" {
		return false
	}
	_, err = k.br.Discard(len(end))
	return err == nil
}
