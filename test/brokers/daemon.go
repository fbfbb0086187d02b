package brokers

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

// Daemon is what the brokers of one process have in common.
type Daemon struct {
	port    *ports.Port
	command command
	ready   func(ctx context.Context, addr string) error
	process *process // nil unless meant to run
}

// newDaemon leases a port; the caller completes the command and calls Restart.
func newDaemon(name, tool, dir string, ready func(context.Context, string) error) (*Daemon, error) {
	path, err := lookTool(tool)
	if err != nil {
		return nil, err
	}
	port, err := ports.Lease()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &Daemon{
		port:    port,
		command: command{name: name, path: path, dir: dir, logPath: filepath.Join(dir, name+".log")},
		ready:   ready,
	}, nil
}

// Addr is where the broker listens, host:port.
func (d *Daemon) Addr() string { return d.port.Addr() }

// Running reports whether the process lives.
func (d *Daemon) Running() bool { return d.process.running() }

// Kill ends the process with SIGKILL and waits until it is gone.
func (d *Daemon) Kill() {
	if d.process != nil {
		d.process.kill()
		d.process = nil
	}
}

// Stop shuts the process down in order and waits, stopLimit at most, until it is gone.
func (d *Daemon) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	defer func() { d.process = nil }()
	return d.process.stop(ctx)
}

// Restart starts the process, where it is not running, on the port and the data that it had, and returns when it
// serves.
func (d *Daemon) Restart(ctx context.Context) error {
	if !d.Running() {
		p, err := d.command.start()
		if err != nil {
			return err
		}
		d.process = p
	}
	return await(ctx, d.command.name, []*process{d.process}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		return d.ready(ctx, d.Addr())
	})
}

// Close kills the process and gives its port back. The data stays.
func (d *Daemon) Close() {
	d.Kill()
	d.port.Release()
}

// LogTail is the end of the log.
func (d *Daemon) LogTail() string { return tail(d.command.logPath) }

// endWith ends the daemon with the test, and shows its log where that failed.
func (d *Daemon) endWith(t testing.TB) {
	t.Cleanup(func() {
		d.Close()
		if t.Failed() {
			t.Log(d.LogTail())
		}
	})
}
