// Package run starts the parts of a process in order and stops them in the reverse one, politely and then not. It owns
// one goroutine per part while Stack runs, and leaves only those behind that it names in its error.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Errors of Stack.
var (
	// ErrEnded is wrapped where a part ended although nobody asked it to.
	ErrEnded = errors.New("ended by itself")
	// ErrStillRunning is wrapped where parts did not end within the grace; the text names them.
	ErrStillRunning = errors.New("still running after the grace")
)

// hardStop is how long the parts have when the grace is over and every context has ended. Ours.
const hardStop = time.Second

// Runner is one part of a process. Run blocks until ctx ends, then returns nil once everything it owns has ended.
type Runner struct {
	Name string
	Run  func(ctx context.Context) error
}

// part is a runner that was started.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// Stack runs the runners until ctx ends or one of them returns, then stops them one after the other, the last one first:
// each keeps what it stands on until it has ended. The grace is for all of them together; when it passes, every context
// ends at once, and those still running a moment later are named in the error.
func Stack(ctx context.Context, grace time.Duration, runners ...Runner) error {
	ended := make(chan *part, len(runners))
	parts := make([]*part, len(runners))
	for i, r := range runners {
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p := &part{name: r.Name, cancel: cancel, done: make(chan struct{})}
		parts[i] = p
		go func() {
			p.err = r.Run(inner)
			close(p.done)
			ended <- p
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case p := <-ended:
		if p.err == nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, ErrEnded))
		}
	}
	late := stop(parts, grace)
	for _, p := range parts {
		if !p.running() && p.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
		}
	}
	if len(late) > 0 {
		errs = append(errs, fmt.Errorf("%w of %v: %s", ErrStillRunning, grace, strings.Join(late, ", ")))
	}
	return errors.Join(errs...)
}

// stop ends the parts from the last to the first and returns the names of those that did not end in time: the one that
// held the others up first.
func stop(parts []*part, grace time.Duration) (late []string) {
	soft := time.NewTimer(grace)
	defer soft.Stop()
	i := len(parts) - 1
politely:
	for ; i >= 0; i-- {
		parts[i].cancel()
		select {
		case <-parts[i].done:
		case <-soft.C:
			break politely
		}
	}
	hard := time.NewTimer(hardStop)
	defer hard.Stop()
	for _, p := range parts {
		p.cancel()
	}
	for j := i; j >= 0; j-- {
		select {
		case <-parts[j].done:
		case <-hard.C:
			hard.Reset(0) // over for the others too
		}
		if parts[j].running() {
			late = append(late, parts[j].name)
		}
	}
	return late
}

func (p *part) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signals returns a context that ends with the first SIGINT or SIGTERM. A second one ends the process at once, since by
// then the signals have their default effect again.
func Signals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
