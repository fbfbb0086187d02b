// Package ports leases TCP ports on loopback to the child processes of tests. A lease outlives the process it is
// handed to, so that a broker that was killed finds its port free when it is started again, and it is honoured by
// every test binary of the machine: it is a lock on a file, which the kernel drops when the test binary dies.
// Ports lie below the range from which the kernel takes the ports of outgoing connections.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Leased ports lie in [lowest, highest): above the well-known ones and the default ports of the brokers, below the
// default net.ipv4.ip_local_port_range (32768).
const (
	lowest  = 20000
	highest = 32000
	tries   = 1000
)

// Port is a leased port on 127.0.0.1.
type Port struct {
	Number int
	lock   *os.File
}

// Addr returns the port as 127.0.0.1:n.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release ends the lease.
func (p *Port) Release() { p.lock.Close() }

// Lease returns a port that nobody listens on and nobody else has leased.
func Lease() (*Port, error) {
	dir := filepath.Join(os.TempDir(), "sluice-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the directory of port leases: %w", err)
	}
	for range tries {
		n := lowest + rand.IntN(highest-lowest)
		p, err := try(dir, n)
		if err != nil {
			return nil, err
		}
		if p != nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("lease a port: none of %d tried between %d and %d is free", tries, lowest, highest)
}

// LeaseN leases n ports, or none.
func LeaseN(n int) ([]*Port, error) {
	leased := make([]*Port, 0, n)
	for range n {
		p, err := Lease()
		if err != nil {
			for _, l := range leased {
				l.Release()
			}
			return nil, err
		}
		leased = append(leased, p)
	}
	return leased, nil
}

// try returns nil where port n is taken.
func try(dir string, n int) (*Port, error) {
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(n)), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open a port lease: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, nil
	}
	p := &Port{Number: n, lock: f}
	ln, err := net.Listen("tcp", p.Addr())
	if err != nil {
		f.Close()
		return nil, nil
	}
	ln.Close()
	return p, nil
}
