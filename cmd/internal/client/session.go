package client

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
)

// session is one run of a command against a server.
type session struct {
	*rest.Client
	out, err io.Writer
	format   output.Format
	colour   bool // of out
}

// open makes the session of a command that is about to run.
func open(cmd *cobra.Command, c *connection) (*session, error) {
	client, err := c.dial()
	if err != nil {
		return nil, err
	}
	s := &session{Client: client, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), format: formatOf(cmd)}
	s.colour = output.Colour(s.out)
	return s, nil
}

// say writes a line for people; programs get the command's object instead.
func (s *session) say(format string, args ...any) {
	if !s.format.Machine() {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// finish writes the command's object for programs; people were told before.
func (s *session) finish(v any) error {
	if !s.format.Machine() {
		return nil
	}
	return output.Write(s.out, s.format, v)
}

const (
	// redraw is how often a terminal's waiting line is written again.
	redraw = 200 * time.Millisecond
	// patience is how long a wait is silent where there is no terminal.
	patience = 2 * time.Second
)

// waiting runs work and shows on the error stream that it runs: a line that is written again on a terminal, one line
// after a while elsewhere, nothing for programs.
func (s *session) waiting(ctx context.Context, text string, work func(context.Context) error) error {
	if s.format.Machine() {
		return work(ctx)
	}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() { s.showWait(text, done) })
	err := work(ctx)
	close(done)
	shown.Wait()
	return err
}

func (s *session) showWait(text string, done <-chan struct{}) {
	start := time.Now()
	terminal := output.Terminal(s.err)
	every := patience
	if terminal {
		every = redraw
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			if terminal {
				fmt.Fprint(s.err, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		if !terminal {
			fmt.Fprintln(s.err, text)
			<-done
			return
		}
		fmt.Fprintf(s.err, "\r\x1b[K%s (%s)", text, time.Since(start).Round(time.Second))
	}
}
