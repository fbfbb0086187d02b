package httpfront

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket asks the kernel about a TCP connection.
type socket struct {
	raw  syscall.RawConn  // nil: it cannot be asked
	read func(fd uintptr) // made once, since a closure per question would be an allocation
	last progress
	err  error
}

func (s *socket) init(raw syscall.RawConn) {
	s.raw = raw
	s.read = func(fd uintptr) { s.last, s.err = ask(int(fd)) }
}

// progress asks; false where the kernel or the connection does not tell.
func (s *socket) progress() (progress, bool) {
	if s.raw == nil || s.raw.Control(s.read) != nil || s.err != nil {
		return progress{}, false
	}
	return s.last, true
}

// ask reads the queue before the count of what was acknowledged, see Receipts.Mark.
func ask(fd int) (progress, error) {
	queued, err := unix.IoctlGetUint32(fd, unix.SIOCOUTQ)
	if err != nil {
		return progress{}, err
	}
	// Not unix.GetsockoptTCPInfo, which allocates its 240 bytes: this is asked once per write.
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return progress{}, errno
	}
	return progress{acked: info.Bytes_acked, queued: uint64(queued), closed: info.State == unix.BPF_TCP_CLOSE}, nil
}
