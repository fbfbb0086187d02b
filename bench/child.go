package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/sluice-gateway/sluice/bench/limit"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// Child does the job that is read from in, and tells of it on out. It returns when in ends, which its other side
// closes when it has what it wants; what is still done then is given up.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	var job load.Job
	if err := json.Unmarshal(first, &job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	begin := make(chan struct{})
	go func() { // ends with its input, which is the process's own
		defer cancel()
		if _, err := lines.ReadBytes('\n'); err != nil {
			return
		}
		close(begin)
		_, _ = io.Copy(io.Discard, lines)
	}()
	var mu sync.Mutex
	say := func(e stack.Event) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(out).Encode(e) // who does not listen is gone
	}
	tell := load.Tell{Go: begin, Say: func(event, addr string) { say(stack.Event{Event: event, Addr: addr}) }}
	done := stack.Event{Event: "done"}
	if limit.Is(job.Do) {
		err = limit.Serve(ctx, job, tell)
	} else {
		var outcome load.Outcome
		outcome, err = load.Run(ctx, job, tell)
		done.Done, _ = json.Marshal(outcome)
	}
	if err != nil {
		done.Error = err.Error()
	}
	say(done)
	<-ctx.Done() // what this process cost is read while it is there
	return nil
}
