package brokers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// tailBytes is how much of the end of a log file is shown when a child process fails.
const tailBytes = 6 << 10

// command says how a child process is started.
type command struct {
	name    string // for messages: "kafka node 1"
	path    string
	args    []string
	dir     string
	logPath string // appended to, so that the log of a killed run stays
}

// process is a running child, leader of its own process group. The kernel kills it when this process dies.
type process struct {
	command
	pid  int
	done chan struct{} // closed when the child has been waited for
	err  error         // how it ended; read only after done is closed
}

// start runs the command. One goroutine, owned by the process, lives as long as the child: Pdeathsig fires when the
// thread that forked ends, so that goroutine keeps its thread to itself.
func (c command) start() (*process, error) {
	logFile, err := os.OpenFile(c.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer logFile.Close()

	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = childAttr()

	p := &process{command: c, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// childAttr is what every child of ours has: a process group of its own, and death with its parent.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// running reports whether the child has not ended yet.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the child's group as a power cut would, and waits for it.
func (p *process) kill() {
	if p.running() {
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// stop asks the child to end and waits for it. When ctx ends first the child is killed and that is an error.
func (p *process) stop(ctx context.Context) error {
	if !p.running() {
		return nil
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("stop %s: killed: %w", p.name, context.Cause(ctx))
	}
}

// signal reaches the group that start made: its number is the pid of our child, not yet waited for, so it is ours.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.pid, s) }

// ended describes the unwanted end of the child.
func (p *process) ended() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended: %s\n%s", p.name, how, tail(p.logPath))
}

// tail returns the last lines of a log file, under a heading.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-tailBytes), io.SeekStart)
	}
	text, _ := io.ReadAll(f)
	if i := bytes.IndexByte(text, '\n'); i >= 0 && len(text) >= tailBytes {
		text = text[i+1:]
	}
	return fmt.Sprintf("--- end of %s\n%s---", path, text)
}

// await calls ready until it returns nil. It gives up when ctx ends or when a child that it depends on does.
func await(ctx context.Context, what string, children []*process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := newTicker()
	defer tick.Stop()
	for {
		for _, p := range children {
			if !p.running() {
				return p.ended()
			}
		}
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			err = fmt.Errorf("wait for %s: %w (last: %v)", what, context.Cause(ctx), err)
			for _, p := range children {
				err = errors.Join(err, errors.New(tail(p.logPath)))
			}
			return err
		}
	}
}
