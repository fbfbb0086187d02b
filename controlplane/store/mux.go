package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte of a connection says what it carries.
const (
	kindRaft byte = 1
	kindPeer byte = 2
)

// mux accepts the peers' connections and sorts them. It is raft's stream layer.
type mux struct {
	store *Store
	ln    net.Listener
	raft  chan net.Conn
	quit  chan struct{}
	once  sync.Once
	group sync.WaitGroup // one per connection

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; nil once closed
}

func newMux(s *Store) *mux {
	return &mux{store: s, ln: s.deps.Listener, raft: make(chan net.Conn), quit: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

// serve accepts until the listener is closed, then waits for every connection to end.
func (m *mux) serve() {
	defer m.group.Wait()
	for {
		conn, err := m.ln.Accept()
		if err != nil {
			select {
			case <-m.quit:
				return
			case <-time.After(10 * time.Millisecond): // out of descriptors: others are closed meanwhile
				m.store.deps.Log.Warn("peer connection is not accepted", "err", err)
				continue
			}
		}
		m.group.Go(func() { m.sort(conn) })
	}
}

// sort proves who is there, reads the first byte and hands the connection on.
func (m *mux) sort(raw net.Conn) {
	if !m.keep(raw) {
		raw.Close()
		return
	}
	conn := tls.Server(raw, m.store.deps.TLS)
	kind, err := handshake(conn)
	if err != nil {
		m.drop(raw)
		if !errors.Is(err, io.EOF) {
			m.store.deps.Log.Warn("peer connection is refused", "remote", raw.RemoteAddr().String(), "err", err)
		}
		return
	}
	switch kind {
	case kindRaft:
		select {
		case m.raft <- &raftConn{Conn: conn, mux: m, raw: raw}:
		case <-m.quit:
			m.drop(raw)
		}
	case kindPeer:
		m.store.servePeer(conn)
		m.drop(raw)
	default:
		m.drop(raw)
	}
}

func handshake(conn *tls.Conn) (kind byte, err error) {
	if err := conn.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return 0, fmt.Errorf("set deadline: %w", err)
	}
	if err := conn.Handshake(); err != nil {
		return 0, fmt.Errorf("handshake: %w", err)
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return 0, fmt.Errorf("read kind: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return 0, fmt.Errorf("clear deadline: %w", err)
	}
	return first[0], nil
}

// keep remembers a connection so that Close can end it; it reports false once closed.
func (m *mux) keep(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns == nil {
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *mux) drop(c net.Conn) {
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	c.Close()
}

// raftConn is a connection that raft reads from. Raft leaves those open when it stops (v1.8.0, net_transport.go
// handleConn), so the mux goes on remembering it.
type raftConn struct {
	net.Conn
	mux *mux
	raw net.Conn
}

func (c *raftConn) Close() error {
	err := c.Conn.Close()
	c.mux.drop(c.raw)
	return err //nolint:wrapcheck // a net.Conn's own error
}

// Accept returns raft's next connection.
func (m *mux) Accept() (net.Conn, error) {
	select {
	case c := <-m.raft:
		return c, nil
	case <-m.quit:
		return nil, net.ErrClosed
	}
}

// Close ends the listener and every connection accepted.
func (m *mux) Close() error {
	var err error
	m.once.Do(func() {
		close(m.quit)
		err = m.ln.Close()
		m.mu.Lock()
		defer m.mu.Unlock()
		for c := range m.conns {
			c.Close()
		}
		m.conns = nil
	})
	return err
}

// Addr is the advertised address, which raft sends to its peers.
func (m *mux) Addr() net.Addr { return address(m.store.address) }

// Dial connects to a peer's raft.
func (m *mux) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:contextcheck // raft gives a timeout, not a context
	defer cancel()
	return dial(ctx, m.store.deps.TLS, string(to), kindRaft)
}

// dial connects to a peer, proves both ends and says what the connection is for.
func dial(ctx context.Context, conf *tls.Config, to string, kind byte) (net.Conn, error) {
	conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	if _, err := conn.Write([]byte{kind}); err != nil {
		return nil, errors.Join(fmt.Errorf("dial %s: %w", to, err), conn.Close())
	}
	return conn, nil
}

// address is a network address as raft writes it: a host that need not be resolved.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

var _ raft.StreamLayer = (*mux)(nil)
