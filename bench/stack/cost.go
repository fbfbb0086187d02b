package stack

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cost is what a process has used. It is read from /proc, and zero where there is none.
type Cost struct {
	CPU    time.Duration // user and system time so far
	Memory int64         // resident set, in bytes
	Peak   int64         // the most it ever was, in bytes
}

// clockTick is the unit of /proc/PID/stat's times on Linux (USER_HZ).
const clockTick = 10 * time.Millisecond

// CostOf reads what a process has used so far (proc(5)).
func CostOf(pid int) Cost {
	var c Cost
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			c.CPU = time.Duration(user+system) * clockTick
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		c.Memory, c.Peak = kilobytes(b, "VmRSS:"), kilobytes(b, "VmHWM:")
	}
	return c
}

func kilobytes(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n << 10
}

// ResetPeak makes the present memory the most that a process ever had (proc(5), clear_refs).
func ResetPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }

// Listener returns the id of the process on this machine that listens on addr; 0: none that may be looked at.
func Listener(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	socket := listening(n)
	if socket == "" {
		return 0
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && link == "socket:["+socket+"]" {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			return pid
		}
	}
	return 0
}

// listening returns the inode of the socket that listens on port.
func listening(port int) string {
	const listen = "0A" // state, in include/net/tcp_states.h
	suffix := fmt.Sprintf(":%04X", port)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == listen {
				return f[9]
			}
		}
	}
	return ""
}
