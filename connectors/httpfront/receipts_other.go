//go:build !linux

package httpfront

import "syscall"

// socket asks the kernel about a TCP connection, which only Linux answers.
type socket struct{}

func (*socket) init(syscall.RawConn) {}

func (*socket) progress() (progress, bool) { return progress{}, false }
