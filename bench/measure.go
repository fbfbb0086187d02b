package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/sluice-gateway/sluice/bench/limit"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// within bounds one repetition beside its own length: a machine that needs longer for it measures nothing.
const within = 5 * time.Minute

// during is what happens beside a job while it is measured; it ends when ctx does.
type during func(ctx context.Context) error

// measure does a job in a process of its own, and takes what it and the watched processes used from its start to its end. Where
// none is watched, the job itself is the limit.
func (r *runner) measure(ctx context.Context, job load.Job, watched map[string]int, beside during) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, within+job.For+job.Warm)
	defer cancel()
	child, err := stack.StartChild(r.o.Self, job)
	if err != nil {
		return Sample{}, err
	}
	defer child.Close()
	if _, err := child.Await(ctx, load.Ready); err != nil {
		return Sample{}, err
	}
	if err := child.Go(); err != nil {
		return Sample{}, err
	}
	if _, err := child.Await(ctx, load.Measuring); err != nil {
		return Sample{}, err
	}
	pids := map[string]int{costLoad: child.PID()}
	if watched == nil { // the job is what a library does alone
		pids = map[string]int{costLimit: child.PID()}
	}
	maps.Copy(pids, watched)
	if r.pid != 0 {
		pids[costBroker] = r.pid
	}
	if r.o.Profiles != "" && r.worker != nil && watched[costWorker] == r.worker.PID() {
		beside = both(r.profiling(), beside)
	}
	before := map[string]stack.Cost{}
	for name, pid := range pids {
		stack.ResetPeak(pid)
		before[name] = stack.CostOf(pid)
	}
	besideCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		if beside == nil {
			ended <- nil
			return
		}
		ended <- beside(besideCtx)
	}()
	if _, err := child.Await(ctx, load.Measured); err != nil {
		stop()
		<-ended
		return Sample{}, err
	}
	used := map[string]stack.Cost{}
	for name, pid := range pids {
		used[name] = stack.CostOf(pid)
	}
	e, err := child.Await(ctx, "done")
	stop()
	if besideErr := <-ended; err == nil && besideErr != nil {
		err = besideErr
	}
	if err != nil {
		return Sample{}, err
	}
	var s Sample
	if err := json.Unmarshal(e.Done, &s.Outcome); err != nil {
		return s, fmt.Errorf("read a child's outcome: %w", err)
	}
	s.Value, s.Cost = s.PerSecond(), map[string]Cost{}
	for name, u := range used {
		c := Cost{Memory: u.Memory, Peak: u.Peak}
		if s.Messages > 0 {
			c.CPUMicros = float64((u.CPU - before[name].CPU).Microseconds()) / float64(s.Messages)
		}
		s.Cost[name] = c
	}
	return s, nil
}

// server starts the server of a limit and returns its address. The caller closes it.
func (r *runner) server(ctx context.Context, job load.Job) (*stack.Child, string, error) {
	child, err := stack.StartChild(r.o.Self, job)
	if err != nil {
		return nil, "", err
	}
	e, err := child.Await(ctx, load.Ready)
	if err != nil {
		child.Close()
		return nil, "", err
	}
	return child, "http://" + e.Addr + "/", nil
}

// limited measures a job against a server of a limit.
func (r *runner) limited(serve, job load.Job) func(context.Context) (Sample, error) {
	return func(ctx context.Context) (Sample, error) {
		child, url, err := r.server(ctx, serve)
		if err != nil {
			return Sample{}, err
		}
		defer child.Close()
		job.URL = url
		var beside during
		if serve.Do == limit.Frames && serve.Live {
			beside = func(context.Context) error { return child.Go() }
		}
		return r.measure(ctx, job, map[string]int{costLimit: child.PID()}, beside)
	}
}

// producing is a producer that runs beside a job: Total records at Rate, or as fast as it goes. What it could not send is missed by
// the job.
func (r *runner) producing(job load.Job) during {
	job.Do = load.Produce
	return func(ctx context.Context) error {
		child, err := stack.StartChild(r.o.Self, job)
		if err != nil {
			return err
		}
		defer child.Close()
		if _, err := child.Await(ctx, load.Ready); err != nil {
			return err
		}
		if err := child.Go(); err != nil {
			return err
		}
		if _, err := child.Await(ctx, "done"); err != nil && ctx.Err() == nil {
			return err
		}
		return nil // who reads may have all before the producer knows
	}
}

// byLatency has a sample count by its median latency, in milliseconds.
func byLatency(s Sample, err error) (Sample, error) {
	if err != nil {
		return s, err
	}
	if s.Latency == nil {
		return s, fmt.Errorf("no message had a latency")
	}
	s.Value = s.Latency.P50 / 1000
	return s, nil
}
