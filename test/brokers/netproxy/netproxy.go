// Package netproxy is a TCP proxy for tests that break networks: it stands in front of a broker and cuts the link,
// swallows what is sent, delays it or makes it slow, as its owner says, while connections are open. It works on the
// byte stream only and knows no protocol; it loses or reorders no byte of a connection that it does not close.
//
// A Proxy owns its goroutines: one that accepts and four per connection. Close ends them and waits for them.
package netproxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

// Proxy forwards connections to a target. Its methods may be called from any goroutine.
type Proxy struct {
	port *ports.Port
	wg   sync.WaitGroup

	up, down  link // client to target, target to client
	delay     atomic.Int64
	bandwidth atomic.Int64

	mu sync.Mutex // guards the following
	// ln is nil while the link is cut: the kernel then refuses connections.
	ln     net.Listener
	target string
	conns  map[*conn]struct{}
	// pass is closed while bytes may flow; Blackhole puts an open one in its place.
	pass   chan struct{}
	holed  bool
	closed bool
}

// New starts a proxy in front of target ("127.0.0.1:9092") for the length of the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen starts a proxy in front of target on a leased port of loopback. The target may be unknown yet: see SetTarget.
func Listen(target string) (*Proxy, error) {
	port, err := ports.Lease()
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{port: port, target: target, conns: map[*conn]struct{}{}, pass: make(chan struct{})}
	close(p.pass)
	if err := p.Restore(); err != nil {
		port.Release()
		return nil, err
	}
	return p, nil
}

// Addr is where clients connect to. It stays the same over cuts.
func (p *Proxy) Addr() string { return p.port.Addr() }

// SetTarget changes where new connections are forwarded to.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Cut resets every connection on both sides and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	p.resetLocked()
}

// Reset resets every connection on both sides. New ones are accepted.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetLocked()
}

// Blackhole goes on accepting connections and forwards nothing, neither bytes nor the end of a stream, until Restore.
// What was sent meanwhile is delivered then, as TCP does after a partition has healed.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holed {
		p.holed, p.pass = true, make(chan struct{})
	}
}

// Restore ends Cut and Blackhole. Delay and bandwidth stay as they were set.
func (p *Proxy) Restore() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holed {
		p.holed = false
		close(p.pass)
	}
	if p.ln != nil || p.closed {
		return nil
	}
	ln, err := net.Listen("tcp", p.port.Addr())
	if err != nil {
		return fmt.Errorf("restore proxy: %w", err)
	}
	p.ln = ln
	p.wg.Go(func() { p.accept(ln) })
	return nil
}

// SetDelay holds every byte back for d, in each direction: a round trip takes 2d longer. 0 ends it.
func (p *Proxy) SetDelay(d time.Duration) { p.delay.Store(int64(d)) }

// SetBandwidth limits each direction to so many bytes per second, all connections together. 0 lifts the limit.
func (p *Proxy) SetBandwidth(bytesPerSecond int) { p.bandwidth.Store(int64(bytesPerSecond)) }

// Conns is the number of open connections.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Transferred is how many bytes were forwarded to the target and back.
func (p *Proxy) Transferred() (up, down int64) { return p.up.bytes.Load(), p.down.bytes.Load() }

// Close resets every connection, stops listening and waits for the proxy's goroutines.
func (p *Proxy) Close() {
	p.Cut()
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
	if first {
		p.port.Release()
	}
}

func (p *Proxy) resetLocked() {
	for c := range p.conns {
		c.reset()
	}
}

// accept serves one listener until it is closed.
func (p *Proxy) accept(ln net.Listener) {
	for {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		c := &conn{proxy: p, client: client.(*net.TCPConn), done: make(chan struct{})}
		p.mu.Lock()
		if p.ln != ln { // cut between the accept and here
			p.mu.Unlock()
			c.reset()
			return
		}
		p.conns[c] = struct{}{}
		p.wg.Go(c.run)
		p.mu.Unlock()
	}
}

// open returns a channel that is closed when bytes may flow.
func (p *Proxy) open() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pass
}

func (p *Proxy) currentTarget() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

func (p *Proxy) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}
