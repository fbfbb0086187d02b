package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// isUntouched tells whether the peer has sent nothing (Linux since 4.1).
func isUntouched(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	untouched := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		untouched = err == nil && info.Bytes_received == 0
	})
	return err == nil && untouched
}
