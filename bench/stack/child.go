package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// ChildCommand are the words after the binary that make it a child: it reads a job, a line of JSON, from standard input,
// does it, and tells of it in lines of JSON on standard output. It ends when its standard input does.
var ChildCommand = []string{"bench", "child"}

// Event is what a child tells.
type Event struct {
	Event string          `json:"event"` // ready, measuring, measured, done
	Addr  string          `json:"addr,omitempty"`
	Done  json.RawMessage `json:"done,omitempty"` // the job's outcome
	Error string          `json:"error,omitempty"`
}

// Child is a process that makes load or shows a limit: a server or a client in the measuring process itself would share
// its scheduler with what it is measured against.
type Child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	events chan Event // closed when the child's output ends
	waited chan struct{}
	err    error
}

// maxEvent bounds a line of a child, in bytes.
const maxEvent = 4 << 20

// StartChild starts a child with a job.
func StartChild(self string, job any) (*Child, error) {
	line, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: exec.Command(self, ChildCommand...), events: make(chan Event, 16), waited: make(chan struct{})}
	c.cmd.Stderr, c.cmd.SysProcAttr = os.Stderr, attributes()
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go c.run(out, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.Close()
		return nil, fmt.Errorf("give a child its job: %w", err)
	}
	return c, nil
}

func (c *Child) run(out io.Reader, started chan<- error) {
	runtime.LockOSThread() // see start
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = Event{Event: "done", Error: fmt.Sprintf("child said %.200q", lines.Bytes())}
		}
		c.events <- e // 16 are more than any child says
	}
	close(c.events)
	c.err = c.cmd.Wait()
	close(c.waited)
}

// PID is the child's id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Await returns when the child has told of the event.
func (c *Child) Await(ctx context.Context, event string) (Event, error) {
	for {
		select {
		case e, ok := <-c.events:
			switch {
			case !ok:
				<-c.waited
				return Event{}, fmt.Errorf("a child ended before it was %s: %w", event, errors.Join(c.err))
			case e.Error != "":
				return e, errors.New(e.Error)
			case e.Event == event:
				return e, nil
			}
		case <-ctx.Done():
			return Event{}, fmt.Errorf("a child is not %s: %w", event, ctx.Err())
		}
	}
}

// Go tells a child that is ready to begin.
func (c *Child) Go() error {
	_, err := io.WriteString(c.in, "go\n")
	return err
}

// Close ends the child and waits until it is gone.
func (c *Child) Close() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	for range c.events { // a child that is still telling must not wait for us
	}
	<-c.waited
}
