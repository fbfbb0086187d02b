package run_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cmd/internal/run"
)

// journal notes what ended, in order.
type journal struct {
	mu sync.Mutex
	// guards the following
	lines []string
}

func (j *journal) runner(name string, flush time.Duration) run.Runner {
	return run.Runner{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(flush) // not real: the test runs in a bubble
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, name)
		return nil
	}}
}

func TestStack_StopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var j journal
		time.AfterFunc(time.Minute, cancel)
		if err := run.Stack(ctx, time.Minute, j.runner("a", time.Second), j.runner("b", 0), j.runner("c", 2*time.Second)); err != nil {
			t.Error(err)
		}
		if want := []string{"c", "b", "a"}; !slices.Equal(j.lines, want) {
			t.Errorf("ended %v, want %v", j.lines, want)
		}
	})
}

func TestStack_OneFailureStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var j journal
		err := run.Stack(t.Context(), time.Minute, j.runner("a", 0),
			run.Runner{Name: "b", Run: func(context.Context) error { return broken }}, j.runner("c", 0))
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "b: ") {
			t.Errorf("error %v", err)
		}
		if want := []string{"c", "a"}; !slices.Equal(j.lines, want) {
			t.Errorf("ended %v, want %v", j.lines, want)
		}
		err = run.Stack(t.Context(), time.Minute, run.Runner{Name: "b", Run: func(context.Context) error { return nil }})
		if !errors.Is(err, run.ErrEnded) {
			t.Errorf("error %v, want ErrEnded", err)
		}
	})
}

func TestStack_NamesTheOneStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release := make(chan struct{})
		var j journal
		err := run.Stack(ctx, 5*time.Second, j.runner("a", 0),
			run.Runner{Name: "stuck", Run: func(context.Context) error { <-release; return nil }}, j.runner("c", 0))
		if !errors.Is(err, run.ErrStillRunning) || !strings.HasSuffix(err.Error(), "of 5s: stuck") {
			t.Errorf("error %v", err)
		}
		if want := []string{"c", "a"}; !slices.Equal(j.lines, want) {
			t.Errorf("ended %v, want %v", j.lines, want)
		}
		close(release)
	})
}

func TestSignals_FirstEndsTheContext(t *testing.T) {
	ctx, stop := run.Signals(t.Context())
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}
