//go:build unix

package webhook

import (
	"crypto/tls"
	"net"
	"syscall"
)

// socket is the socket of a connection, under TLS too; nil where there is none.
func socket(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// alive tells whether the peer has not closed an idle connection: found out before a message is sent over it, so that it costs no
// attempt. Answers that nobody asked for make a connection useless, except what TLS itself sends.
func (k *conn) alive() bool {
	if k.raw == nil {
		return true
	}
	if err := k.SetDeadline(never); err != nil {
		return false
	}
	k.peer = false
	return k.raw.Read(k.look) == nil && k.peer
}

func (k *conn) peek(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	_, secure := k.Conn.(*tls.Conn)
	k.peer = err == syscall.EAGAIN || err == nil && n > 0 && secure
	return true
}
