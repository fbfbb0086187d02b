package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// fewAPIs is what routing among many APIs is compared with.
const fewAPIs = 10

// creating is how many APIs are created at a time.
const creating = 16

// routePath has a place for the number of an API.
const routePath = "/bench/route/%d"

func route(i int) api {
	return api{path: fmt.Sprintf(routePath, i), entrypoint: "http-post", level: "auto", endpoint: "mock", broker: object{}}
}

// crowd is a control plane with many APIs and its workers.
type crowd struct {
	r       *runner
	many    *stack.Stack
	ids     []string
	workers []*stack.Worker
	changes int
}

// controlPlane: a change and a new API among many until all workers serve it, the cold start of a worker, and what so many APIs
// cost a request.
func (r *runner) controlPlane() *group {
	c := &crowd{r: r}
	few := fmt.Sprintf("limit/routing/%d", fewAPIs)
	among := fmt.Sprintf("among %d APIs", r.o.APIs)
	return &group{name: "control plane", prepare: c.prepare, end: c.end, cases: []*scenario{
		{name: fmt.Sprintf("push/%d-apis/%d-workers", r.o.APIs, r.o.Workers), title: fmt.Sprintf("one change %s until %d workers serve it", among, r.o.Workers), unit: Millis,
			guess: time.Duration(r.o.Changes) * 100 * time.Millisecond, run: c.times(c.change)},
		{name: fmt.Sprintf("create/%d-apis/%d-workers", r.o.APIs, r.o.Workers), title: fmt.Sprintf("one new API %s, from its start until %d workers serve it", among, r.o.Workers), unit: Millis,
			guess: time.Duration(r.o.Changes) * 150 * time.Millisecond, run: c.times(c.add)},
		{name: fmt.Sprintf("cold-start/%d-apis", r.o.APIs), title: fmt.Sprintf("a new worker with %d APIs, until it is ready", r.o.APIs), unit: Millis, guess: 5 * time.Second, run: c.coldStart},
		{name: few, title: fmt.Sprintf("POST to mock among %d APIs", fewAPIs), unit: PerSecond, limit: true, guess: r.o.Duration * 3 / 2,
			run: c.requests(func() *stack.Worker { return r.worker }, fewAPIs)},
		{name: fmt.Sprintf("routing/%d", r.o.APIs), title: "POST to mock " + among, unit: PerSecond, against: []string{few}, guess: r.o.Duration * 3 / 2,
			run: c.requests(func() *stack.Worker { return c.workers[0] }, r.o.APIs)},
	}}
}

func (c *crowd) prepare(ctx context.Context) (err error) {
	r := c.r
	if c.many, err = r.newStack(ctx, "many", 1); err != nil {
		return err
	}
	if c.ids, err = create(ctx, c.many.Nodes[0], r.o.APIs); err != nil {
		return err
	}
	for range r.o.Workers {
		w, err := c.many.AddWorker(ctx)
		if err != nil {
			return err
		}
		c.workers = append(c.workers, w)
	}
	_, err = create(ctx, r.stack.Nodes[0], fewAPIs)
	return err
}

func (c *crowd) end() {
	if c.many != nil {
		c.many.Close()
	}
}

func (c *crowd) requests(worker func() *stack.Worker, paths int) func(context.Context) (Sample, error) {
	return func(ctx context.Context) (Sample, error) {
		r, w := c.r, worker()
		job := load.Job{Do: load.Requests, URL: w.Gateway + routePath, Paths: paths, Clients: r.o.Clients, Size: load.StampSize, Warm: r.o.Duration / 5, For: r.o.Duration}
		return r.measure(ctx, job, map[string]int{costWorker: w.PID()}, nil)
	}
}

// times does something as often as changes are measured, one after the other, and takes how long each took.
func (c *crowd) times(do func(context.Context) (time.Duration, error)) func(context.Context) (Sample, error) {
	return func(ctx context.Context) (s Sample, err error) {
		var all []time.Duration
		for range max(c.r.o.Changes, 1) {
			took, err := do(ctx)
			if err != nil {
				return Sample{}, err
			}
			all = append(all, took)
		}
		s.Messages, s.Sent, s.Delivered, s.Latency = int64(len(all)), int64(len(all)), int64(len(all)), load.LatencyOf(all)
		return byLatency(s, nil)
	}
}

// change changes an API and tells how long its deployment took, from its sending until every worker reported that it serves it.
func (c *crowd) change(ctx context.Context) (time.Duration, error) {
	c.changes++
	i := c.changes % len(c.ids)
	a := route(i)
	a.broker = object{"headers": []object{{"name": "changed", "value": time.Now().Format(time.RFC3339Nano)}}}
	node := c.many.Nodes[0]
	if err := node.Update(ctx, c.ids[i], a.definition()); err != nil {
		return 0, err
	}
	start := time.Now()
	err := node.Redeploy(ctx, c.ids[i], "?wait=30s")
	return time.Since(start), err
}

// add makes an API and tells how long its start took, the write that has the workers serve it, until every worker serves it.
func (c *crowd) add(ctx context.Context) (time.Duration, error) {
	node := c.many.Nodes[0]
	c.changes++
	id, err := node.Create(ctx, api{path: fmt.Sprintf("/bench/new/%d", c.changes), entrypoint: "http-post", level: "auto", endpoint: "mock", broker: object{}}.definition())
	if err != nil {
		return 0, err
	}
	if err := node.Redeploy(ctx, id, ""); err != nil {
		return 0, err
	}
	start := time.Now()
	err = node.Start(ctx, id, "&wait=30s")
	took := time.Since(start)
	if err == nil {
		err = node.Remove(ctx, id)
	}
	return took, err
}

// coldStart starts a worker that has nothing and takes the time until it serves all APIs.
func (c *crowd) coldStart(ctx context.Context) (s Sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	start := time.Now()
	w, err := c.many.AddWorker(ctx)
	if err != nil {
		return Sample{}, err
	}
	s.Value = float64(time.Since(start).Microseconds()) / 1000
	s.Messages, s.Sent, s.Delivered = 1, 1, 1
	cost := stack.CostOf(w.PID())
	s.Cost = map[string]Cost{costWorker: {Memory: cost.Memory, Peak: cost.Peak, CPUMicros: float64(cost.CPU.Microseconds())}}
	return s, w.Stop(leaving)
}

// create stores, deploys and starts n APIs.
func create(ctx context.Context, node *stack.Node, n int) ([]string, error) {
	ids := make([]string, n)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(creating, n) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				var err error
				if ids[i], err = node.Create(ctx, route(i).definition()); err == nil {
					if err = node.Redeploy(ctx, ids[i], ""); err == nil {
						err = node.Start(ctx, ids[i], "")
					}
				}
				if err != nil {
					cancel(fmt.Errorf("API %d of %d: %w", i+1, n, err))
				}
			}
		})
	}
	wg.Wait()
	return ids, context.Cause(ctx)
}

// failover: kill -9 the leader of three control-plane nodes, and write through the others without pause until a write is accepted.
func (r *runner) failover() *group {
	var three *stack.Stack
	rounds := 0
	return &group{name: "failover",
		prepare: func(ctx context.Context) (err error) {
			three, err = r.newStack(ctx, "three", 3)
			return err
		},
		end: func() {
			if three != nil {
				three.Close()
			}
		},
		cases: []*scenario{{name: "failover/3-nodes", title: "leader of three killed, until a write is accepted", unit: Millis, guess: 5 * time.Second, run: func(ctx context.Context) (Sample, error) {
			rounds++
			return kill(ctx, three, rounds)
		}}}}
}

func kill(ctx context.Context, s *stack.Stack, round int) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	lead, err := s.Leader(ctx)
	if err != nil {
		return Sample{}, err
	}
	lead.Kill()
	killed := time.Now()
	for n := 0; ; n++ {
		node := s.Nodes[n%len(s.Nodes)]
		if node == lead {
			continue
		}
		if a, err := node.Do(ctx, http.MethodPost, "/v4/apis/", route(round).definition()); err == nil && a.Status == http.StatusCreated {
			break
		}
		if err := ctx.Err(); err != nil {
			return Sample{}, fmt.Errorf("no write is accepted: %w", err)
		}
	}
	took := time.Since(killed)
	sample := Sample{Value: float64(took.Microseconds()) / 1000}
	sample.Messages, sample.Sent, sample.Delivered = 1, 1, 1
	return sample, s.Restart(ctx, lead)
}
