package eventloop

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// drive writes what is waiting and asks the handler for more, once.
func (p *poller) drive(c *Conn, now time.Time) {
	if c.ended {
		return
	}
	if !c.entered {
		if err := p.enter(c); err != nil {
			p.end(c, err)
			return
		}
	}
	if c.cut.Load() {
		p.end(c, ErrCut)
		return
	}
	if c.resumed.Swap(false) && c.paused {
		c.paused, c.input = false, true
	}
	if c.input {
		p.read(c, false)
		if c.ended {
			return
		}
	}
	if len(c.rest) > 0 {
		if c.full {
			p.blocked(c, now)
			return
		}
		if !p.flush(c, now) {
			return
		}
		if c.closing {
			p.end(c, nil)
			return
		}
	}
	c.queued.Store(false)
	o := &p.out
	o.Reset(now)
	state := c.h.Next(o)
	if !p.write(c, o, now) {
		c.closing = state == Close
		return
	}
	switch state {
	case Close:
		p.end(c, nil)
		return
	case More:
		p.again(c)
	}
	if !o.due.IsZero() {
		p.wheel.put(c, o.due)
	}
}

// again queues c behind the others.
func (p *poller) again(c *Conn) {
	if !c.queued.Swap(true) {
		p.later(c)
	}
}

// later has drive called in the next round.
func (p *poller) later(c *Conn) {
	p.mu.Lock()
	p.ready = append(p.ready, c)
	p.mu.Unlock()
}

// write sends o; false: the connection took not all of it, and keeps a copy, or has ended.
func (p *poller) write(c *Conn, o *Output, now time.Time) bool {
	if o.size == 0 {
		return true
	}
	sent := 0
	for sent < o.size {
		n, err := p.send(c, o, sent)
		if n > 0 {
			sent += n
			continue
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			p.end(c, os.NewSyscallError("write", err))
			return false
		}
		c.full = true
		c.rest = o.rest(sent)
		c.progressed = now
		p.blocked(c, now)
		return false
	}
	c.h.Written()
	return true
}

// send makes one system call for what lies behind the first sent bytes of o.
func (p *poller) send(c *Conn, o *Output, sent int) (int, error) {
	if len(o.pieces) == 1 {
		return unix.Write(c.fd, o.bytes(0)[sent:])
	}
	p.iov = p.iov[:0]
	for i := range o.pieces {
		b := o.bytes(i)
		if sent >= len(b) {
			sent -= len(b)
			continue
		}
		p.iov = append(p.iov, b[sent:])
		sent = 0
		if len(p.iov) == maxPieces {
			break
		}
	}
	n, err := unix.Writev(c.fd, p.iov)
	clear(p.iov)
	return n, err
}

// maxPieces is how many pieces one system call takes (IOV_MAX).
const maxPieces = 1024

// flush sends what a connection did not take before.
func (p *poller) flush(c *Conn, now time.Time) bool {
	for len(c.rest) > 0 {
		n, err := unix.Write(c.fd, c.rest)
		switch {
		case n > 0:
			c.rest = c.rest[n:]
			c.progressed = now
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			c.full = true
			p.blocked(c, now)
			return false
		default:
			p.end(c, os.NewSyscallError("write", err))
			return false
		}
	}
	c.rest = nil
	c.h.Written()
	return true
}

// blocked watches over a connection that takes nothing.
func (p *poller) blocked(c *Conn, now time.Time) {
	if c.timeout <= 0 {
		return
	}
	until := c.progressed.Add(c.timeout)
	if !now.Before(until) {
		p.end(c, ErrSlow)
		return
	}
	p.wheel.put(c, until)
}

// read takes what the peer sent; over: there is an end to be found.
func (p *poller) read(c *Conn, over bool) {
	c.over = c.over || over
	if c.input = c.paused; c.paused || !c.hears && !c.over {
		return
	}
	if len(c.held) > 0 && !p.give(c, c.held) {
		return
	}
	for range inputRounds {
		n, err := unix.Read(c.fd, p.in)
		switch {
		case n > 0 && c.hears:
			if !p.give(c, p.in[:n]) {
				return
			}
		case n > 0:
			if c.ignored += n; c.ignored > maxIgnored {
				p.end(c, errTalks)
				return
			}
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return
		case err == nil:
			p.halfEnd(c)
			return
		default:
			p.end(c, os.NewSyscallError("read", err))
			return
		}
	}
	c.input = true // the others first
	p.later(c)     // not again: where this is a wake's drive, queued stands for that wake
}

// give hands input to the handler; false: it takes no more now, or the connection has ended.
func (p *poller) give(c *Conn, b []byte) bool {
	n, err := c.h.Input(b)
	if err != nil {
		p.end(c, err)
		return false
	}
	if n == len(b) {
		c.held = nil
		return true
	}
	if c.paused = true; c.held == nil {
		c.held = append([]byte(nil), b[n:]...) // b is the poller's
	} else {
		c.held = b[n:]
	}
	return false
}

// halfEnd tells the handler that the peer has ended its half.
func (p *poller) halfEnd(c *Conn) {
	if c.half {
		return
	}
	c.half = true
	err := io.EOF
	if c.hears {
		_, err = c.h.Input(nil)
	}
	if err != nil {
		p.end(c, err)
	}
}

// end takes a connection out of service.
func (p *poller) end(c *Conn, err error) {
	if c.ended {
		return
	}
	c.ended = true
	if c.entered {
		_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, c.fd, nil)
		p.slots[c.id] = nil
		p.free = append(p.free, c.id)
		p.wheel.remove(c)
	}
	c.rest, c.held = nil, nil
	c.h.Ended(err)
}

// drain ends all connections, those too that are added while it runs.
func (p *poller) drain() {
	p.mu.Lock()
	late := p.ready
	p.ready, p.ended = nil, true
	p.mu.Unlock()
	for _, c := range p.slots {
		if c != nil {
			p.end(c, ErrStopped)
		}
	}
	for _, c := range late {
		p.end(c, ErrStopped)
	}
}
