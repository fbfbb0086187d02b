package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/proto/peer"
)

// idleClient is how long an unused connection to a peer is kept; shorter than idlePeer, so that this end closes first.
const idleClient = time.Minute

// clients keeps idle connections to peers.
type clients struct {
	tls *tls.Config

	mu   sync.Mutex
	idle map[string][]idleConn // by address, guarded by mu; nil once closed
}

type idleConn struct {
	net.Conn
	since time.Time
}

func newClients(conf *tls.Config) *clients {
	return &clients{tls: conf, idle: map[string][]idleConn{}}
}

// Ask sends a request to the peer at address and returns its answer, or why there is none: ErrUnreachable where
// nothing was sent, ErrOutcomeUnknown where the answer was lost, or the peer's own failure.
func (s *Store) Ask(ctx context.Context, address string, req *peer.Request) (*peer.Response, error) {
	req.V = 1
	if deadline, ok := ctx.Deadline(); ok {
		req.TimeoutMs = max(1, time.Until(deadline).Milliseconds())
	}
	conn, err := s.clients.get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	resp, err := exchange(ctx, conn, req)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: ask %s: %w", ErrOutcomeUnknown, address, err), conn.Close())
	}
	s.clients.put(address, conn)
	return resp, failureError(resp)
}

// failureError is the error that an answer stands for.
func failureError(resp *peer.Response) error {
	switch resp.GetFailure() {
	case peer.Failure_FAILURE_NONE:
		return nil
	case peer.Failure_FAILURE_NOT_LEADER:
		return fmt.Errorf("%w: %s", ErrNotLeader, resp.GetMessage())
	case peer.Failure_FAILURE_REFUSED:
		return fmt.Errorf("%w: %s", ErrRefused, resp.GetMessage())
	default:
		return fmt.Errorf("%w: %s", ErrOutcomeUnknown, resp.GetMessage())
	}
}

// exchange sends and receives on conn; the end of ctx ends the connection.
func exchange(ctx context.Context, conn net.Conn, req *peer.Request) (*peer.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := writeFrame(conn, req)
	resp := &peer.Response{}
	if err == nil {
		err = readFrame(conn, resp)
	}
	if !stop() && err == nil { // answered at the last moment, with a deadline in the past: not to be reused
		err = ctx.Err()
	}
	return resp, err
}

// get returns an idle connection or dials one.
func (c *clients) get(ctx context.Context, address string) (net.Conn, error) {
	c.mu.Lock()
	for list := c.idle[address]; len(list) > 0; list = c.idle[address] {
		conn := list[len(list)-1]
		c.idle[address] = list[:len(list)-1]
		if time.Since(conn.since) < idleClient && alive(conn) {
			c.mu.Unlock()
			return conn.Conn, nil
		}
		conn.Close()
	}
	c.mu.Unlock()
	return dial(ctx, c.tls, address, kindPeer)
}

// alive reports whether an idle connection still stands: nothing is to be read, and nothing was.
func alive(conn net.Conn) bool {
	if conn.SetReadDeadline(time.Now().Add(-time.Second)) != nil {
		return false
	}
	var one [1]byte
	n, err := conn.Read(one[:])
	var timeout net.Error
	ok := n == 0 && errors.As(err, &timeout) && timeout.Timeout()
	return ok && conn.SetReadDeadline(time.Time{}) == nil
}

func (c *clients) put(address string, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil || len(c.idle[address]) >= maxPool {
		conn.Close()
		return
	}
	c.idle[address] = append(c.idle[address], idleConn{conn, time.Now()})
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, list := range c.idle {
		for _, conn := range list {
			conn.Close()
		}
	}
	c.idle = nil
}
