package netproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunkBytes is the most that is read at once.
	chunkBytes = 32 << 10
	// queuedChunks bounds what a direction of a connection holds back, 2 MiB: enough for 20 MiB/s at 100 ms.
	queuedChunks = 64
	// slicesPerSecond is how finely a limited stream is cut.
	slicesPerSecond = 50
	dialLimit       = 10 * time.Second
)

// link is one direction of all connections.
type link struct {
	bytes atomic.Int64

	mu   sync.Mutex // guards the following
	free time.Time  // when the limited link has sent what was given to it
}

// reserve returns how long a piece of n bytes must wait on a link of the given bandwidth.
func (l *link) reserve(n int, bandwidth int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(int64(n) * int64(time.Second) / bandwidth))
	return l.free.Sub(now)
}

// conn is one proxied connection.
type conn struct {
	proxy *Proxy
	done  chan struct{} // closed by reset

	mu     sync.Mutex // guards the following
	client *net.TCPConn
	server *net.TCPConn // nil until dialled
	ended  bool
}

// chunk is a piece of a stream on its way; without data it is the stream's end.
type chunk struct {
	data []byte
	due  time.Time
}

// run forwards both directions until both have ended or the connection is reset.
func (c *conn) run() {
	defer c.proxy.remove(c)
	defer c.reset()
	if !c.pass() {
		return
	}
	server, err := net.DialTimeout("tcp", c.proxy.currentTarget(), dialLimit)
	if err != nil || !c.adopt(server.(*net.TCPConn)) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.forward(c.server, c.client, &c.proxy.up) })
	wg.Go(func() { c.forward(c.client, c.server, &c.proxy.down) })
	wg.Wait()
	c.end(false) // both streams were forwarded to their ends: what the kernel still holds must arrive
}

// adopt keeps the dialled side, unless the connection was reset meanwhile.
func (c *conn) adopt(server *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		server.Close()
		return false
	}
	c.server = server
	return true
}

// reset ends both sides with a RST, so that the peers see a broken connection and not a polite end.
func (c *conn) reset() { c.end(true) }

func (c *conn) end(abort bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	for _, side := range []*net.TCPConn{c.client, c.server} {
		if side != nil {
			if abort {
				_ = side.SetLinger(0)
			}
			side.Close()
		}
	}
}

// forward copies src to dst through a queue, in which each chunk waits for its delay.
func (c *conn) forward(dst, src *net.TCPConn, l *link) {
	queue := make(chan chunk, queuedChunks)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		c.read(src, queue)
	})
	defer reader.Wait()
	for ch := range queue {
		if !c.wait(time.Until(ch.due)) || !c.pass() {
			return
		}
		if ch.data == nil {
			_ = dst.CloseWrite()
			continue
		}
		if !c.write(dst, ch.data, l) {
			c.reset()
			return
		}
	}
}

// read queues what src sends. Its end is queued like data; a broken src resets the connection.
func (c *conn) read(src *net.TCPConn, queue chan<- chunk) {
	for {
		buf := make([]byte, chunkBytes)
		n, err := src.Read(buf)
		due := time.Now().Add(time.Duration(c.proxy.delay.Load()))
		if n > 0 && !c.put(queue, chunk{data: buf[:n], due: due}) {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				c.put(queue, chunk{due: due})
			} else {
				c.broken(due)
			}
			return
		}
	}
}

func (c *conn) put(queue chan<- chunk, ch chunk) bool {
	select {
	case queue <- ch:
		return true
	case <-c.done:
		return false
	}
}

// broken passes a RST on, in its turn: not before its delay, and not through a black hole.
func (c *conn) broken(due time.Time) {
	if c.wait(time.Until(due)) && c.pass() {
		c.reset()
	}
}

// write sends data in slices that the bandwidth allows.
func (c *conn) write(dst *net.TCPConn, data []byte, l *link) bool {
	for len(data) > 0 {
		n := len(data)
		if bandwidth := c.proxy.bandwidth.Load(); bandwidth > 0 {
			n = min(n, max(1, int(bandwidth/slicesPerSecond)))
			if !c.wait(l.reserve(n, bandwidth)) || !c.pass() {
				return false
			}
		}
		if _, err := dst.Write(data[:n]); err != nil {
			return false
		}
		l.bytes.Add(int64(n))
		data = data[n:]
	}
	return true
}

// wait returns false where the connection is reset before d has passed.
func (c *conn) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// pass waits for the end of a black hole; it returns false where the connection is reset before.
func (c *conn) pass() bool {
	for {
		gate := c.proxy.open()
		select {
		case <-gate:
		case <-c.done:
			return false
		}
		if gate == c.proxy.open() {
			return true
		}
	}
}
