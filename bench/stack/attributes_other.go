//go:build !linux

package stack

import "syscall"

// attributes: elsewhere a child is ended by its parent alone.
func attributes() *syscall.SysProcAttr { return nil }
