package eventloop_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
)

// burst writes a number of prepared frames, so many per call.
type burst struct {
	eventloop.Conn
	nc      net.Conn
	frames  []byte
	perCall int
	left    int
	begun   *atomic.Bool
	done    *sync.WaitGroup
}

const frameBytes = 1100

func (s *burst) Next(o *eventloop.Output) eventloop.State {
	if !s.begun.Load() {
		return eventloop.Idle
	}
	n := min(s.left, s.perCall)
	o.Shared(s.frames[:n*frameBytes])
	if s.left -= n; s.left == 0 {
		return eventloop.Close
	}
	return eventloop.More
}

func (s *burst) Written() {}

func (s *burst) Input(p []byte) (int, error) { return len(p), nil }

func (s *burst) Ended(error) {
	_ = s.nc.Close()
	s.done.Done()
}

// What the loop makes of many connections, in frames per second; "raw" is the plain limit: goroutines that write the same
// bytes to the same connections with blocking calls. The clients are another process.
func BenchmarkFanOut(b *testing.B) {
	const conns = 1000
	for _, perCall := range []int{1, 8, 29} {
		frames := make([]byte, perCall*frameBytes)
		b.Run(fmt.Sprintf("loop/%d per write", perCall), func(b *testing.B) {
			bed := newBed(b, false)
			dial(b, bed.ln.Addr().String(), conns)
			var begun atomic.Bool
			var done sync.WaitGroup
			all := make([]*burst, conns)
			for i := range all {
				nc, err := bed.ln.Accept()
				if err != nil {
					b.Fatal(err)
				}
				all[i] = &burst{nc: nc, frames: frames, perCall: perCall, left: max(b.N/conns, 1), begun: &begun, done: &done}
				done.Add(1)
				bed.loop.Add(&all[i].Conn, nc, all[i], eventloop.Options{})
			}
			report(b, func() {
				begun.Store(true)
				for _, s := range all {
					s.Wake()
				}
				done.Wait()
			})
		})
		b.Run(fmt.Sprintf("raw/%d per write", perCall), func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			dial(b, ln.Addr().String(), conns)
			all := make([]net.Conn, conns)
			for i := range all {
				if all[i], err = ln.Accept(); err != nil {
					b.Fatal(err)
				}
			}
			each := max(b.N/conns, 1)
			report(b, func() {
				var wg sync.WaitGroup
				for half := range 2 {
					wg.Go(func() {
						for sent := 0; sent < each; sent += perCall {
							for i := half; i < conns; i += 2 {
								_, _ = all[i].Write(frames[:min(perCall, each-sent)*frameBytes])
							}
						}
					})
				}
				wg.Wait()
			})
			for _, c := range all {
				_ = c.Close()
			}
		})
	}
}

func report(b *testing.B, f func()) {
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	f()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/frame")
}

func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// dial makes the connections from a child process, which reads and forgets.
func dial(b *testing.B, addr string, n int) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClients$")
	cmd.Env = append(os.Environ(), "EVENTLOOP_DIAL="+addr, "EVENTLOOP_CONNS="+strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// TestClients is the child process of dial; in the test binary's own run it has nothing to do.
func TestClients(t *testing.T) {
	addr := os.Getenv("EVENTLOOP_DIAL")
	if addr == "" {
		return
	}
	n, _ := strconv.Atoi(os.Getenv("EVENTLOOP_CONNS"))
	var wg sync.WaitGroup
	for range n {
		c, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 32<<10)) })
	}
	wg.Wait()
}
