// Package process runs the real sluice binary for end-to-end tests and benchmarks: it builds it once, starts roles as
// child processes on free loopback ports, talks to their management API, and kills what it started. Every child dies
// with the test process.
package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/bench/stack"
	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

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
type Process = stack.Process

// Start runs the binary with args; its output goes to a file in dir.
func Start(name, dir string, args ...string) (*Process, error) {
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	return stack.Start(bin, dir, name, args...)
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
