package eventloop

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller is one goroutine and its epoll set. Go's own poller watches the set, so that waiting costs no thread.
type poller struct {
	epoll *os.File
	raw   syscall.RawConn
	epfd  int
	event int // an eventfd in the set: written to end a wait
	box   driverBox

	sleeping atomic.Bool
	stopping atomic.Bool

	mu    sync.Mutex // guards the following
	ready []*Conn
	ended bool

	// The rest belongs to the goroutine.
	spare  []*Conn // last round's slice
	slots  []*Conn
	free   []int32
	gen    int32
	wheel  wheel
	out    Output
	iov    [][]byte
	in     []byte
	events []unix.EpollEvent
}

// maxPollers bounds the goroutines that poll: more than the processors of any machine.
const maxPollers = 256

// Sizes of what a poller keeps for all its connections.
const (
	eventsAtOnce = 256
	inputBytes   = 16 << 10
	inputRounds  = 4 // reads in a row from one connection
	eventSlot    = -1
)

func newPoller() (*poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{epfd: epfd, event: event, in: make([]byte, inputBytes), events: make([]unix.EpollEvent, eventsAtOnce)}
	p.box.driver = p
	p.wheel.begin = time.Now()
	err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: eventSlot})
	if err == nil {
		err = unix.SetNonblock(epfd, true) // so that os takes it into Go's poller
	}
	if err == nil {
		p.epoll = os.NewFile(uintptr(epfd), "epoll")
		p.raw, err = p.epoll.SyscallConn()
	}
	if err == nil {
		err = p.epoll.SetReadDeadline(time.Time{}) // fails where Go's poller does not watch it
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	if p.epoll != nil {
		_ = p.epoll.Close()
	} else {
		_ = unix.Close(p.epfd)
	}
	_ = unix.Close(p.event)
}

// descriptor returns the descriptor of a plain TCP connection.
func descriptor(nc net.Conn) (int, bool) {
	if u, ok := nc.(interface{ UnsafeConn() net.Conn }); ok {
		nc = u.UnsafeConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	fd := -1
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err == nil && fd >= 0
}

// add takes a connection. Its first Next comes from the goroutine.
func (p *poller) add(c *Conn) {
	c.queued.Store(true)
	c.driver.Store(&p.box)
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		c.ended = true
		c.h.Ended(ErrStopped)
		return
	}
	p.ready = append(p.ready, c)
	p.mu.Unlock()
	p.rouse()
}

// push implements driver.
func (p *poller) push(c *Conn) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return // drain has told it
	}
	p.ready = append(p.ready, c)
	p.mu.Unlock()
	p.rouse()
}

// rouse ends a wait. The poller sets sleeping before it looks at ready for the last time.
func (p *poller) rouse() {
	if p.sleeping.Swap(false) {
		one := [8]byte{1}
		_, _ = unix.Write(p.event, one[:]) // full is as good
	}
}

func (p *poller) stop() {
	p.stopping.Store(true)
	p.sleeping.Store(true)
	p.rouse()
}

func (p *poller) run() {
	for !p.stopping.Load() {
		now := time.Now()
		busy := p.serveReady(now)
		p.wheel.expire(now, func(c *Conn) { p.drive(c, now) })
		n, err := unix.EpollWait(p.epfd, p.events, 0)
		if err == nil && n > 0 {
			p.serveEvents(n, now)
			continue
		}
		if !busy {
			p.sleep()
		}
	}
	p.drain()
}

// serveReady calls those that were woken.
func (p *poller) serveReady(now time.Time) bool {
	p.mu.Lock()
	ready := p.ready
	p.ready = p.spare[:0]
	p.mu.Unlock()
	for i, c := range ready {
		ready[i] = nil
		p.drive(c, now)
	}
	p.spare = ready
	return len(ready) > 0
}

// sleep waits for an event, a wake or the next due time.
func (p *poller) sleep() {
	p.sleeping.Store(true)
	defer p.sleeping.Store(false)
	p.mu.Lock()
	waiting := len(p.ready) > 0
	p.mu.Unlock()
	if waiting || p.stopping.Load() {
		return
	}
	due, _ := p.wheel.next()
	if p.epoll.SetReadDeadline(due) != nil {
		return
	}
	n := 0
	err := p.raw.Read(func(uintptr) bool {
		n, _ = unix.EpollWait(p.epfd, p.events, 0)
		return n > 0
	})
	if err == nil {
		p.serveEvents(n, time.Now())
	}
}

func (p *poller) serveEvents(n int, now time.Time) {
	for i := range p.events[:n] {
		e := &p.events[i]
		if e.Fd == eventSlot {
			var b [8]byte
			_, _ = unix.Read(p.event, b[:])
			continue
		}
		c := p.slots[e.Fd]
		if c == nil || c.gen != e.Pad {
			continue // it ended in this round
		}
		if e.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 && c.full {
			c.full = false
			p.drive(c, now)
		}
		if !c.ended && e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			p.read(c, e.Events&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0)
		}
	}
}

// enter registers a connection that is driven for the first time.
func (p *poller) enter(c *Conn) error {
	if n := len(p.free); n > 0 {
		c.id, p.free = p.free[n-1], p.free[:n-1]
	} else {
		c.id = int32(len(p.slots))
		p.slots = append(p.slots, nil)
	}
	p.gen++
	c.gen = p.gen
	p.slots[c.id] = c
	c.entered = true
	const events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: events, Fd: c.id, Pad: c.gen})
	if err != nil {
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}
