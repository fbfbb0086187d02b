package load

import (
	"syscall"
	"time"
)

// nap sleeps as exactly as the kernel can; it may wake early.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil)
}
