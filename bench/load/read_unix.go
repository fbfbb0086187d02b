//go:build unix

package load

import (
	"io"
	"sync"
	"syscall"
)

var buffers = sync.Pool{New: func() any { p := make([]byte, readSize); return &p }}

// some reads once and parses what came. The connection is waited for without a buffer.
func (c *conn) some() error {
	raw, err := c.net.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Read(func(fd uintptr) bool {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		n, err := syscall.Read(int(fd), *buf)
		switch {
		case err == syscall.EAGAIN:
			return false
		case err == syscall.EINTR:
			return true // nothing was read, and the caller asks again
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		default:
			failed = c.take((*buf)[:n])
		}
		return true
	}); err != nil {
		return err
	}
	return failed
}
