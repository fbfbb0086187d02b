//go:build !linux

package server

import "net"

// isUntouched is not known here: such connections stay until ReadTimeout.
func isUntouched(*net.TCPConn) bool { return false }
