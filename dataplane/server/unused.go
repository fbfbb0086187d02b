package server

import (
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// unusedGrace is how long a connection on which no byte came may stay when the server stops. fasthttp takes it for one that
// is being served, until ReadTimeout; and clients that dial ahead of their requests, as Go's does, keep such connections for as
// long as they please.
const unusedGrace = 250 * time.Millisecond

// unused finds the connections on which nothing came yet.
type unused struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; all that are open and fasthttp's
}

// saw is fasthttp's ConnState. Per request it does nothing.
func (u *unused) saw(c net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateActive || state == fasthttp.StateIdle {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != fasthttp.StateNew {
		delete(u.conns, c)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[c] = struct{}{}
}

// close closes them. Inside TLS the handshake is something that came.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		if tls, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = tls.NetConn()
		}
		if tcp, ok := c.(*net.TCPConn); ok && isUntouched(tcp) {
			_ = tcp.Close()
		}
	}
}
