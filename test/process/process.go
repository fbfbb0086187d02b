// Package process runs the real sluice binary for end-to-end tests and benchmarks: it builds it once, starts roles as
// child processes on free loopback ports, talks to their management API, and kills what it started. Every child dies
// with the test process.
package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

// readyWithin bounds how long a role may take to answer its readiness probe.
const readyWithin = 30 * time.Second

// raceVariable, set to anything, has the binary built with the race detector: slower, and a race ends the process.
const raceVariable = "SLUICE_TEST_RACE"

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds ./cmd/sluice once per process and returns the path of the binary.
func Binary() (string, error) {
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "sluice-bin-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "sluice")
		cmd := exec.Command("go", "build", "-trimpath", "-o", build.path, "./cmd/sluice")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if os.Getenv(raceVariable) != "" {
			cmd.Args = slices.Insert(cmd.Args, 2, "-race")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GORACE=halt_on_error=1")
		}
		cmd.Dir = root()
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("build sluice: %w\n%s", err, out)
		}
	})
	return build.path, build.err
}

// CleanUp removes the built binary; TestMain calls it last.
func CleanUp() {
	if build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path))
	}
}

// root is the repository: two folders above this file.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Process is one running role.
type Process struct {
	Name string
	Log  string // path of its combined output
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	// killed says that we ended it the hard way, which is then no fault of its.
	killed atomic.Bool
}

// Start runs the binary with args; its output goes to a file in dir.
func Start(name, dir string, args ...string) (*Process, error) {
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, Log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(bin, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is bound to the thread that forks, so that thread waits for the child too.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Run runs the binary with args to its end and returns what it printed, in the order of standard output and error.
func Run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	bin, err := Binary()
	if err != nil {
		return "", "", err
	}
	var out, bad strings.Builder
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Stdout, cmd.Stderr = &out, &bad
	err = cmd.Run()
	return out.String(), bad.String(), err
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process as a power cut would and waits until it is gone.
func (p *Process) Kill() {
	p.killed.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end and waits; after grace it is killed and an error returned.
func (p *Process) Stop(grace time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		var exit *exec.ExitError
		if errors.As(p.err, &exit) && !exit.Success() && !p.killed.Load() {
			return fmt.Errorf("%s: %w", p.Name, p.err)
		}
		return nil
	case <-time.After(grace):
		p.Kill()
		return fmt.Errorf("%s did not end within %s; its log is %s", p.Name, grace, p.Log)
	}
}

// Tail returns the end of the process's log for failure messages.
func (p *Process) Tail() string {
	const most = 8 << 10
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// AwaitOK polls url until it answers 200, the process ends, or ctx does.
func (p *Process) AwaitOK(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := "no answer"
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			last = res.Status
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v\n%s", p.Name, p.err, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready at %s (%s)\n%s", p.Name, url, last, p.Tail())
		}
	}
}

// FreeAddr leases a loopback address for as long as this test process lives. It panics where no port is free.
func FreeAddr() string {
	p, err := ports.Lease()
	if err != nil {
		panic(err)
	}
	leases.Lock()
	defer leases.Unlock()
	leases.held = append(leases.held, p) // a lease ends when its file is collected
	return p.Addr()
}

var leases struct {
	sync.Mutex
	held []*ports.Port
}
